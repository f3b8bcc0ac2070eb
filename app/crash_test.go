package app_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
)

// The short form is part of all tests; `make test-crash` runs the long one. A seed runs the same plan again; what is under
// way at a kill is the machine's.
var (
	crashUsers  = flag.Int("crash.users", 60, "crash test: how many users")
	crashCalls  = flag.Int("crash.calls", 40, "crash test: calls of each user")
	crashRandom = flag.Int("crash.random", 4, "crash test: kills at random moments, besides one at every failpoint")
	crashSeed   = flag.Uint64("crash.seed", 20261125, "crash test: seed of the plan")
)

// crashRig is the real program, built with failpoints, against a sandbox that is slow and fails now and then.
type crashRig struct {
	*child

	box    *sandbox.Sandbox
	api    *sandboxtest.Server
	rng    *rand.Rand
	users  int
	calls  int
	budget chan struct{} // calls that may be made: each life of the process grants some
	sent   atomic.Int64  // acknowledged
	tries  atomic.Int64  // posted, repeats included

	mu     sync.Mutex
	life   int
	effect map[int64]int // the life in which an API call took effect, by the call's number

	random int // kills that came at no failpoint
	atEach map[failpoint.Point]int

	failures map[string][]int64 // see failedUpdates
}

// refusedSeq ends the numbers that the API refuses until the trouble is mended. A call has nothing that could be sent
// without its number, so these become dead letters.
const refusedSeq = ".5"

func newCrashRig(t *testing.T) *crashRig {
	t.Helper()
	r := &crashRig{
		users: *crashUsers, calls: *crashCalls, rng: rand.New(rand.NewPCG(*crashSeed, 1)),
		budget: make(chan struct{}, *crashUsers**crashCalls), effect: map[int64]int{}, atEach: map[failpoint.Point]int{},
	}
	r.box, r.api = childServer(t, sandbox.Options{History: true, CallLog: 1 << 20, OnEffect: func(c sandbox.Call) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.effect[c.N] = r.life
	}},
		sandbox.Fault{Percent: 100, MatchBody: refusedSeq + "}", Status: http.StatusUnprocessableEntity},
		sandbox.Fault{Percent: 5, Seed: *crashSeed, Status: http.StatusInternalServerError},
		sandbox.Fault{Percent: 10, Seed: *crashSeed, Delay: 200 * time.Millisecond},
		sandbox.Fault{Percent: 100, Delay: 2 * time.Millisecond}, // so that a user's calls pile up
	)
	r.child = newChild(t, buildProgram(t, "-tags", "failpoints"), t.TempDir(), r.api.URL,
		"nats: {max_bytes: 128MiB}\nretry: {initial: 50ms, max: 1s, max_age: 15m}\n")
	r.environ = []string{soonClear}
	return r
}

// The process is killed at every failpoint and at random moments, under load. Nothing accepted is lost, no contact goes
// backwards or ends stale, no change is made more often than once per life, and the ledger is right.
func TestCrashesLoseNothing(t *testing.T) {
	t.Parallel()
	r := newCrashRig(t)
	ctx := t.Context()
	traffic := make(chan struct{})
	go func() { defer close(traffic); r.traffic(ctx) }()

	// The first lives have the horizon's points: a store that nothing has read yet commits it at once.
	r.killAt(ctx, failpoint.HorizonBefore)
	r.killAt(ctx, failpoint.HorizonAfter)
	lives := []failpoint.Point{
		failpoint.PublishBefore, failpoint.PublishAfter, failpoint.Fold, failpoint.EffectBefore, failpoint.EffectAfter, failpoint.LetterBefore,
		failpoint.LetterAfter, failpoint.CommitBefore, failpoint.CommitAfter, failpoint.TrimBefore, failpoint.TrimAfter,
	}
	for range *crashRandom {
		lives = append(lives, "")
	}
	r.rng.Shuffle(len(lives), func(i, j int) { lives[i], lives[j] = lives[j], lives[i] })
	for _, at := range lives {
		r.killAt(ctx, at)
	}
	r.begin("")
	r.load(r.users * r.calls)
	<-traffic
	st := r.settled(ctx)
	if st.Ledger.Dead == 0 || st.Ledger.Difference != 0 {
		t.Errorf("before the replay: %+v", st.Ledger)
	}
	r.signal(syscall.SIGTERM)
	r.killAtReplay(ctx, failpoint.LetterReplaced)

	r.box.ClearFaults() // the trouble is mended
	for _, at := range []failpoint.Point{failpoint.ReplayTaken, failpoint.ReplayCommitted, failpoint.ReplayDropped} {
		r.killAtReplay(ctx, at)
	}
	r.begin("")
	st = r.settled(ctx)
	began := time.Now()
	for r.replay(ctx, 0); st.Ledger.Dead > 0 && ctx.Err() == nil; st = r.settled(ctx) { // commands in the log are not pending events
		if pause(ctx, 50*time.Millisecond); time.Since(began) > processPatience {
			var letters, jobs json.RawMessage
			r.ask(ctx, http.MethodGet, "/api/letters", "", &letters)
			r.ask(ctx, http.MethodGet, "/api/replays", "", &jobs)
			t.Fatalf("the replay of all letters left some: %s\n%s\n%s", letters, jobs, r.stderr)
		}
	}
	// What a replay's last letters became is read before whether they are still there: a reading in between lacks them.
	for began = time.Now(); st.Ledger.Difference != 0 && time.Since(began) < processPatience; st = r.settled(ctx) {
		pause(ctx, 50*time.Millisecond)
	}
	r.check(st)
	r.signal(syscall.SIGTERM)
	if code := r.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d after SIGTERM:\n%s", code, r.stderr)
	}
}

// traffic posts all calls of all users, each user's one after the other, as fast as the budget allows.
func (r *crashRig) traffic(ctx context.Context) {
	var wg sync.WaitGroup
	for u := range r.users {
		wg.Go(func() {
			for seq := range r.calls {
				select {
				case <-r.budget:
				case <-ctx.Done():
					return
				}
				number := fmt.Sprint(seq)
				if r.refuses(u, seq) {
					number += refusedSeq
				}
				r.tries.Add(int64(r.deliver(ctx, identifyWith(fmt.Sprint("user-", u), seq, number))))
				r.sent.Add(1)
			}
		})
	}
	wg.Wait()
}

// refuses says whether the API refuses a call at first. The last one too: then only a replay makes its user right.
func (r *crashRig) refuses(u, seq int) bool {
	return u%10 == 0 && (seq%10 == 3 || seq == r.calls-1)
}

func (r *crashRig) refused() (n int) {
	for u := range r.users {
		for seq := range r.calls {
			if r.refuses(u, seq) {
				n++
			}
		}
	}
	return n
}

// load lets the users make n more calls.
func (r *crashRig) load(n int) {
	for range n {
		select {
		case r.budget <- struct{}{}:
		default:
			return
		}
	}
}

// begin starts a life, once the last calls of the one before have had their effect or none.
func (r *crashRig) begin(plan string) {
	r.api.Quiet(r.t, nil)
	r.mu.Lock()
	r.life++
	r.mu.Unlock()
	r.start(plan)
}

// killAt lives one life under load, which ends at a failpoint, or at a random moment if at is "".
func (r *crashRig) killAt(ctx context.Context, at failpoint.Point) {
	r.t.Helper()
	passing := 1
	switch at {
	case failpoint.PublishBefore, failpoint.PublishAfter, failpoint.Fold, failpoint.EffectBefore, failpoint.EffectAfter, failpoint.CommitBefore, failpoint.CommitAfter:
		passing += r.rng.IntN(20) // the others are rare
	}
	plan := ""
	if at != "" {
		plan = fmt.Sprintf("%s=%d:kill", at, passing)
	}
	r.begin(plan)
	if at == "" {
		moment := time.Duration(150+r.rng.IntN(600)) * time.Millisecond
		r.load(r.share())
		pause(ctx, moment)
		r.random++
		r.signal(syscall.SIGKILL)
		if !r.killed() {
			r.t.Errorf("the process ended by itself: %v\n%s", r.cmd.ProcessState, r.stderr)
		}
		return
	}
	rounds := 10
	if at == failpoint.TrimBefore || at == failpoint.TrimAfter {
		rounds = 25 // trimming comes every 2 s: there must be events under way then, which it could take away
	}
	began := time.Now()
	for round := 0; !r.over(); round++ {
		switch {
		case round < rounds:
			r.load(r.share() / rounds)
		case round > 50: // this one takes longer: no call may be left for it, then there will be none for the last life
			r.load(1)
		}
		pause(ctx, 100*time.Millisecond)
		if ctx.Err() != nil || time.Since(began) > processPatience {
			r.t.Fatalf("the process never came to %s\n%s", at, r.stderr)
		}
	}
	r.diedAt(at)
}

// share is how many calls each life is granted, with a tenth to spare.
func (r *crashRig) share() int {
	return r.users * r.calls * 9 / 10 / (len(failpoint.Points()) + *crashRandom)
}

func (r *crashRig) diedAt(at failpoint.Point) {
	r.t.Helper()
	if !r.killed() || !strings.Contains(r.stderr.String(), fmt.Sprintf("failpoint %s: kill\n", at)) {
		r.t.Fatalf("the process was to die at %s: %v\n%s", at, r.cmd.ProcessState, r.stderr)
	}
	r.atEach[at]++
}

// killAtReplay lives one life in which a letter is replayed until the process dies of it.
func (r *crashRig) killAtReplay(ctx context.Context, at failpoint.Point) {
	r.t.Helper()
	r.begin(string(at) + "=1:kill")
	for !r.over() {
		r.replay(ctx, 1)
		pause(ctx, 50*time.Millisecond)
		if ctx.Err() != nil {
			r.t.Fatalf("the process never came to %s\n%s", at, r.stderr)
		}
	}
	r.diedAt(at)
}

// check compares what the sandbox saw, what the senders know and what the ledger says.
func (r *crashRig) check(st admin.Status) {
	r.t.Helper()
	all := int64(r.users * r.calls)
	l := st.Ledger
	reasons := map[string]int64{}
	for _, d := range st.Discards {
		reasons[d.Reason] += d.Count
	}
	// A letter that was replayed after its user's newer calls changes nothing any more.
	stale, duplicates := reasons["stale"], reasons["duplicate"]
	if r.sent.Load() != all || l.Delivered != all-stale || l.Dead != 0 || l.Pending != 0 || l.Difference != 0 || stale > int64(r.refused()) {
		r.t.Errorf("%d calls were acknowledged, the ledger is %+v, discards %v", r.sent.Load(), l, reasons)
	}
	// A repeat of a call whose answer was lost is one more accepted and one more discarded, and nothing else is.
	if repeats := r.tries.Load() - all; l.Accepted != all+duplicates || l.Discarded != stale+duplicates || duplicates > repeats {
		r.t.Errorf("%d repeats were posted, the ledger is %+v, discards %v", repeats, l, reasons)
	}
	kills := r.random
	elsewhere := append(stepsOfAForget(), failpoint.LeaseBefore, failpoint.LeaseAfter) // these have tests of their own
	for _, p := range failpoint.Points() {
		if r.atEach[p] == 0 && !slices.Contains(elsewhere, p) {
			r.t.Errorf("no life ended at %s", p)
		}
		kills += r.atEach[p]
	}
	contacts := r.box.Contacts()
	if len(contacts) != r.users {
		r.t.Errorf("%d contacts for %d users", len(contacts), r.users)
	}
	r.failures = failedUpdates(r.box.Calls())
	repeated := 0
	for _, c := range contacts {
		if got := c.Custom["cf_seq"]; strings.TrimSuffix(fmt.Sprint(got), refusedSeq) != fmt.Sprint(r.calls-1) {
			r.t.Errorf("%s ends with %v", c.ExternalID, got)
		}
		repeated += r.checkHistory(c)
	}
	r.t.Logf("%d kills (%d at random moments), %d effects, %d of them repeats; %d calls posted %d times, %d stored twice",
		kills, r.random, len(r.effect), repeated, all, r.tries.Load(), l.Discarded)
}

package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
)

// soonClear has a program that was built with failpoints wait for a shorter time after a kill in the middle of a bulk, instead of
// two minutes each time. The job has ended long before: in these sandboxes it takes no time.
const soonClear = failpoint.UnclearVariable + "=5s"

// killRig is the real program against a sandbox in this process; it is killed and starts again by itself.
type killRig struct {
	*child

	box *sandbox.Sandbox
	api *sandboxtest.Server

	oneKill  sync.Mutex
	mu       sync.Mutex
	ended    bool
	kills    int
	effects  atomic.Int64
	inEffect atomic.Int64                  // kills between an effect and its commit
	killing  atomic.Int64                  // effects that wait until the process is killed
	killAt   map[int64]bool                // effects after which the process is killed before it is answered
	gate     atomic.Pointer[chan struct{}] // these kills wait until it is closed
}

// newKillRig starts the program, built with these arguments.
func newKillRig(t *testing.T, killAt map[int64]bool, build ...string) (*killRig, context.Context) {
	t.Helper()
	k := &killRig{killAt: killAt}
	k.shut()() // they need not wait
	// Slow enough for the calls of a user to pile up, so that kills hit merged changes.
	slow := sandbox.Fault{Percent: 100, Delay: 5 * time.Millisecond}
	k.box, k.api = childServer(t, sandbox.Options{History: true, OnEffect: func(sandbox.Call) {
		if k.killAt[k.effects.Add(1)] {
			k.inEffect.Add(1)
			k.killing.Add(1)
			<-*k.gate.Load()
			k.kill()
			k.killing.Add(-1)
		}
	}}, slow)
	k.child = newChild(t, buildProgram(t, build...), t.TempDir(), k.api.URL, "nats: {max_bytes: 128MiB}\nretry: {initial: 50ms, max: 1s, max_age: 15m}\n")
	k.environ = []string{soonClear}
	k.start("")
	t.Cleanup(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.ended = true
		if t.Failed() {
			t.Logf("the process said:\n%s", k.stderr)
		}
	})
	return k, t.Context()
}

// shut lets the kills after an effect wait from now on; open ends that.
func (k *killRig) shut() (open func()) {
	gate := make(chan struct{})
	k.gate.Store(&gate)
	return sync.OnceFunc(func() { close(gate) })
}

// kill kills the process, waits until it is gone, and starts it anew.
func (k *killRig) kill() {
	k.oneKill.Lock() // one at a time: the next one kills the process that follows
	defer k.oneKill.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return
	}
	k.kills++
	k.signal(syscall.SIGKILL)
	if !k.killed() {
		k.t.Errorf("the process ended by itself: %v\n%s", k.cmd.ProcessState, k.stderr)
	}
	k.api.Quiet(k.t, func() int { return int(k.killing.Load()) }) // nothing of the dead one comes late
	k.start("")
}

func (k *killRig) call(ctx context.Context, user string, seq int) {
	k.deliver(ctx, identify(user, seq, fmt.Sprint("plan ", seq)))
}

// The process is killed in the middle of 2,000 identifies for 200 users: right after an effect and before its commit,
// and at random moments. Everything accepted is applied, each user's last state is right, nothing went backwards. The build has
// failpoints for soonClear alone.
func TestKilledProcessesLoseNothingAndWriteNothingBackwards(t *testing.T) {
	t.Parallel()
	const users, each, seed = 200, 10, 20261123
	rng := rand.New(rand.NewPCG(seed, seed))
	killAt := map[int64]bool{}
	for range 5 {
		killAt[20+rng.Int64N(150)] = true // there is at least one effect per user
	}
	k, ctx := newKillRig(t, killAt, "-tags", "failpoints")
	var wg sync.WaitGroup
	for u := range users {
		wg.Go(func() {
			for seq := range each {
				k.call(ctx, fmt.Sprint("user-", u), seq)
			}
		})
	}
	stop := make(chan struct{})
	random := make(chan struct{})
	go func() { // random moments, ingest included
		defer close(random)
		for range 3 {
			select {
			case <-time.After(time.Duration(200+rng.IntN(600)) * time.Millisecond):
				k.kill()
			case <-stop:
				return
			}
		}
	}()
	wg.Wait()
	close(stop)
	<-random
	k.drained(ctx, users*each)
	if n := int(k.inEffect.Load()); n != len(killAt) || n < 4 {
		t.Errorf("%d of %d kills came between an effect and its commit", n, len(killAt))
	}
	t.Logf("%d kills, %d of them between an effect and its commit; %d effects", k.kills, k.inEffect.Load(), k.effects.Load())
	k.check(users, each)
}

// drained waits until the process, in whatever incarnation, has delivered everything, and then stops it politely.
func (k *killRig) drained(ctx context.Context, accepted int64) {
	k.t.Helper()
	st := k.settled(ctx)
	if l := st.Ledger; l.Dead != 0 || l.Accepted < accepted || l.Delivered != accepted || l.Difference != 0 {
		k.t.Errorf("ledger %+v, discards %+v", l, st.Discards)
	}
	k.signal(syscall.SIGTERM)
	if code := k.cmd.ProcessState.ExitCode(); code != 0 {
		k.t.Errorf("exit code %d after SIGTERM", code)
	}
}

func (k *killRig) check(users, each int) {
	k.t.Helper()
	contacts := k.box.Contacts()
	if len(contacts) != users {
		k.t.Errorf("%d contacts for %d users", len(contacts), users)
	}
	for _, c := range contacts {
		if got := c.Custom["cf_seq"]; got != json.Number(fmt.Sprint(each-1)) {
			k.t.Errorf("%s ends with %v", c.ExternalID, got)
		}
		last := int64(-1)
		for _, s := range k.box.History(c.ID) {
			n, ok := s.Contact.Custom["cf_seq"].(json.Number)
			if !ok {
				continue
			}
			v, err := n.Int64()
			if err != nil {
				k.t.Fatal(err)
			}
			if v < last {
				k.t.Errorf("%s went from %d back to %d", c.ExternalID, last, v)
			}
			last = v
		}
	}
}

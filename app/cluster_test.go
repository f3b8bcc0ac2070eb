package app_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// The short form is part of all tests; `make test-cluster` runs the long one.
var (
	clusterUsers  = flag.Int("cluster.users", 40, "cluster tests: how many users")
	clusterCalls  = flag.Int("cluster.calls", 15, "cluster tests: calls of each user")
	clusterKills  = flag.Int("cluster.kills", 1, "cluster tests: how often the stream leader is killed")
	clusterPoints = flag.Bool("cluster.points", false, "cluster tests: freeze a process at every failpoint and not only before an effect")
)

// clusterLease is short so that a test need not wait half a minute for every take-over, and long against what a call takes.
const clusterLease = 4 * time.Second

// clusterPartitions are those of the processes that are killed and frozen.
const clusterPartitions = 8

// unwelcome ends the numbers that the API refuses: these calls become dead letters, as nothing else is in them.
const unwelcome = ".5"

// clusterPatience ends a test that stands still, so that it can say what the processes said.
const clusterPatience = 20 * time.Minute

// clusterRig is several real programs that share a broker and an account.
type clusterRig struct {
	t     *testing.T
	box   *sandbox.Sandbox
	nodes []*child
	acked atomic.Int64 // calls that were acknowledged
	next  atomic.Int64

	mu      sync.Mutex
	last    time.Time     // of the last acknowledgement
	longest time.Duration // between two
}

// newClusterRig prepares processes that deliver, and doors before them, which only take calls in.
func newClusterRig(t *testing.T, program string, doors, processes int, nats string) *clusterRig {
	t.Helper()
	r := &clusterRig{t: t}
	var api string
	r.box, api = childAPI(t, sandbox.Options{History: true, CallLog: 1 << 20},
		sandbox.Fault{Percent: 100, MatchBody: unwelcome + "}", Status: http.StatusUnprocessableEntity},
		sandbox.Fault{Percent: 3, Seed: 7, Status: http.StatusInternalServerError},
		sandbox.Fault{Percent: 100, Delay: 5 * time.Millisecond}, // so that a user's calls pile up
	)
	for i := range doors + processes {
		c := newChild(t, program, mkdir(t, fmt.Sprint("p", i)), api, nats+"retry: {initial: 50ms, max: 1s, max_age: 15m}\n")
		c.environ = []string{failpoint.LeaseVariable + "=" + clusterLease.String(), "FRESHRELAY_FRESHMARKETER_TIMEOUT=1s"}
		if i < doors {
			c.args = []string{"--role", "ingest"}
		}
		r.nodes = append(r.nodes, c)
	}
	return r
}

func mkdir(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// deliver posts a call to one process after the other until one accepts it, as a load balancer and Segment do together.
func (r *clusterRig) deliver(ctx context.Context, body []byte) {
	for ctx.Err() == nil {
		node := r.nodes[int(r.next.Add(1))%len(r.nodes)]
		tryCtx, cancel := context.WithTimeout(ctx, 8*time.Second) // a frozen process never answers
		status := node.post(tryCtx, body)
		cancel()
		if status == http.StatusOK {
			r.acknowledged()
			return
		}
		pause(ctx, 20*time.Millisecond)
	}
}

func (r *clusterRig) acknowledged() {
	r.acked.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if !r.last.IsZero() {
		r.longest = max(r.longest, now.Sub(r.last))
	}
	r.last = now
}

// traffic posts all calls of all users; done is closed at its end. pace is the pause of each user between two calls.
func (r *clusterRig) traffic(ctx context.Context, pace time.Duration) (done chan struct{}) {
	done = make(chan struct{})
	var wg sync.WaitGroup
	for u := range *clusterUsers {
		wg.Go(func() {
			for seq := range *clusterCalls {
				number := fmt.Sprint(seq)
				if u%5 == 0 && seq%5 == 3 {
					number += unwelcome // becomes a dead letter
				}
				r.deliver(ctx, identifyWith(fmt.Sprint("user-", u), seq, number))
				pause(ctx, pace)
			}
		})
	}
	go func() { defer close(done); wg.Wait() }()
	return done
}

// ledger is what every process says; answered, once all have and say the same.
func (r *clusterRig) ledger(ctx context.Context) (l admin.Ledger, answered bool) {
	answered = true
	for i, n := range r.nodes {
		var st admin.Status
		askCtx, cancel := context.WithTimeout(ctx, 3*time.Second)
		if !n.ask(askCtx, http.MethodGet, "/api/status", "", &st) || !st.Ledger.SettledReading || len(st.Unowned) > 0 || len(st.Ledger.Uncounted) > 0 {
			answered = false
		}
		cancel()
		if i == 0 {
			l = st.Ledger
		}
		answered = answered && cmp.Equal(l, st.Ledger)
	}
	return l, answered
}

// settled waits until the owners have settled all that was acknowledged, and checks the books and every contact.
func (r *clusterRig) settled(ctx context.Context) {
	r.t.Helper()
	var l admin.Ledger
	for {
		var answered bool
		if l, answered = r.ledger(ctx); answered && l.Pending == 0 && l.Accepted >= r.acked.Load() {
			break
		}
		pause(ctx, 100*time.Millisecond)
		r.alive()
		if ctx.Err() != nil {
			r.t.Fatalf("never settled: %d acknowledged, %+v\n%s", r.acked.Load(), l, r.said())
		}
	}
	all := int64(*clusterUsers * *clusterCalls)
	if r.acked.Load() != all || l.Dead == 0 || l.Difference != 0 || l.Accepted != l.Delivered+l.Discarded+l.Dead || l.Delivered+l.Dead != all {
		r.t.Errorf("%d of %d calls were acknowledged, the ledger is %+v\n%s", r.acked.Load(), all, l, r.said())
	}
	contacts := r.box.Contacts()
	if len(contacts) != *clusterUsers {
		r.t.Errorf("%d contacts for %d users", len(contacts), *clusterUsers)
	}
	for _, c := range contacts {
		r.checkContact(c)
	}
}

// checkContact goes through the states a contact was in: it never went backwards and ends with the last call that was not refused.
func (r *clusterRig) checkContact(c sandbox.Contact) {
	r.t.Helper()
	last := int64(-1)
	for _, s := range r.box.History(c.ID) {
		n, ok := s.Contact.Custom["cf_seq"].(json.Number)
		if !ok {
			continue
		}
		v, err := n.Int64()
		if err != nil {
			r.t.Fatal(err)
		}
		if v < last {
			r.t.Errorf("%s went from %d back to %d (call %d)", c.ExternalID, last, v, s.N)
		}
		last = v
	}
	want := int64(*clusterCalls - 1)
	if (strings.HasSuffix(c.ExternalID, "0") || strings.HasSuffix(c.ExternalID, "5")) && want%5 == 3 {
		want--
	}
	if last != want {
		r.t.Errorf("%s ends with %d, not %d", c.ExternalID, last, want)
	}
}

// alive fails if a process has ended by itself.
func (r *clusterRig) alive() {
	r.t.Helper()
	for i, n := range r.nodes {
		select {
		case <-n.exited:
			r.t.Fatalf("process %d ended by itself: %v\n%s", i, n.cmd.ProcessState, r.said())
		default:
		}
	}
}

func (r *clusterRig) said() string {
	var b strings.Builder
	for i, n := range r.nodes {
		fmt.Fprintf(&b, "--- process %d\n%s", i, n.stderr)
	}
	return b.String()
}

// freeze waits until a process has stopped itself at a failpoint, lets its leases run out, and continues it.
func (r *clusterRig) freeze(ctx context.Context, n *child, at failpoint.Point) {
	r.t.Helper()
	r.frozen(ctx, n, at)
	pause(ctx, clusterLease*3/2)
	r.thaw(n)
}

// frozen waits until a process has stopped itself at a failpoint.
func (r *clusterRig) frozen(ctx context.Context, n *child, at failpoint.Point) {
	r.t.Helper()
	for !strings.Contains(n.stderr.String(), fmt.Sprintf("failpoint %s: stop\n", at)) {
		pause(ctx, 20*time.Millisecond)
		if ctx.Err() != nil {
			r.t.Fatalf("no process came to %s\n%s", at, r.said())
		}
	}
}

func (r *clusterRig) thaw(n *child) {
	r.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		r.t.Error(err)
	}
}

func (r *clusterRig) stopAll() {
	r.t.Helper()
	for i, n := range r.nodes {
		n.signal(syscall.SIGTERM)
		if code := n.cmd.ProcessState.ExitCode(); code != 0 {
			r.t.Errorf("process %d: exit code %d after SIGTERM:\n%s", i, code, n.stderr)
		}
	}
}

// Two and three processes that deliver share one broker, the three with one that only takes calls in. One is killed, another is frozen past its lease at a failpoint and goes on there: what it
// does then is refused. Nothing is lost, nothing goes backwards, nothing stands still, and the ledger is right.
func TestProcessesThatShareABrokerLoseNothing(t *testing.T) {
	t.Parallel()
	points := []failpoint.Point{failpoint.EffectBefore}
	if *clusterPoints {
		points = []failpoint.Point{
			failpoint.PublishBefore, failpoint.PublishAfter, failpoint.HorizonBefore, failpoint.HorizonAfter, failpoint.Fold, failpoint.EffectBefore,
			failpoint.EffectAfter, failpoint.LetterBefore, failpoint.LetterAfter, failpoint.CommitBefore, failpoint.CommitAfter,
			failpoint.TrimBefore, failpoint.TrimAfter, failpoint.LeaseBefore, failpoint.LeaseAfter,
			failpoint.ReplayTaken, failpoint.ReplayCommitted, failpoint.ReplayDropped,
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), clusterPatience)
	defer cancel()
	servers := queuetest.Servers(t, 1)
	program := buildProgram(t, "-tags", "failpoints")
	for _, at := range points {
		for _, processes := range []int{2, 3} {
			t.Run(fmt.Sprintf("%s/%d processes", at, processes), func(t *testing.T) {
				prefix := fmt.Sprintf("%s-%d", at, processes)
				r := newClusterRig(t, program, processes-2, processes, fmt.Sprintf("nats: {url: %q, durability: fsync, prefix: %s, partitions: %d, max_bytes: 128MiB}\n", queuetest.URLs(servers), prefix, clusterPartitions))
				switch at {
				case failpoint.ReplayTaken, failpoint.ReplayCommitted, failpoint.ReplayDropped:
					r.freezeInReplay(ctx, at)
				default:
					r.freezeAt(ctx, at)
				}
			})
		}
	}
}

// freezeAt has one process stop at a failpoint and another one killed meanwhile.
func (r *clusterRig) freezeAt(ctx context.Context, at failpoint.Point) {
	r.t.Helper()
	last := len(r.nodes) - 1
	frozen, killed := r.nodes[last], r.nodes[last-1]
	passing := 3
	switch at {
	case failpoint.Fold, failpoint.EffectBefore, failpoint.EffectAfter:
		passing = 2 * *clusterUsers // past the users' first calls, which would have nothing older to write
	case failpoint.LeaseBefore, failpoint.LeaseAfter, failpoint.HorizonBefore, failpoint.HorizonAfter, failpoint.LetterBefore, failpoint.LetterAfter:
		passing = 1 // these are rare
	}
	frozen.start(fmt.Sprintf("%s=%d:stop", at, passing))
	done := r.traffic(ctx, clusterPace())
	if at == failpoint.HorizonBefore || at == failpoint.HorizonAfter {
		pause(ctx, 2*time.Second) // it must be the first to read: the others will not have to commit one
	}
	for _, n := range r.nodes[:last] {
		n.start("")
	}
	pause(ctx, 2*time.Second)
	killed.signal(syscall.SIGKILL)
	killed.start("")
	r.freeze(ctx, frozen, at)
	<-done
	r.settled(ctx)
	r.stopAll()
}

// freezeInReplay has a process stop in the middle of the replay of a dead letter. The others take its partitions over, with what the
// replay has left of the letter, and it goes on when they have.
func (r *clusterRig) freezeInReplay(ctx context.Context, at failpoint.Point) {
	r.t.Helper()
	last := len(r.nodes) - 1
	frozen, others := r.nodes[last], r.nodes[:last]
	for _, n := range r.nodes {
		n.start("")
	}
	<-r.traffic(ctx, clusterPace()) // not at once: what is sent together with a newer call is no letter
	r.settled(ctx)
	r.stopAll()

	frozen.start(string(at) + "=1:stop") // alone, so every letter is in a partition of its own
	asked := make(chan struct{})
	go func() { defer close(asked); frozen.replay(ctx, 0) }() // it may stand still before it has answered
	r.frozen(ctx, frozen, at)
	for _, n := range others {
		n.start("")
	}
	for st := (admin.Status{}); ctx.Err() == nil && !takenFrom(frozen, st); pause(ctx, 100*time.Millisecond) {
		others[len(others)-1].ask(ctx, http.MethodGet, "/api/status", "", &st)
	}
	r.thaw(frozen)
	<-asked
	r.replayed(ctx, others[len(others)-1])
	r.stopAll()
}

// takenFrom says whether the others own every partition.
func takenFrom(frozen *child, st admin.Status) bool {
	owned := 0
	for _, p := range st.Processes {
		if p.PID != frozen.cmd.Process.Pid {
			owned += len(p.Partitions)
		}
	}
	return owned == clusterPartitions
}

// replayed has every letter replayed that is left, and checks that each has become nothing: its user had newer calls.
func (r *clusterRig) replayed(ctx context.Context, by *child) {
	r.t.Helper()
	for {
		l, answered := r.ledger(ctx)
		if answered && l.Pending == 0 && l.Dead == 0 {
			if all := r.acked.Load(); l.Accepted != all || l.Difference != 0 || l.Delivered+l.Discarded != all || l.Discarded == 0 {
				r.t.Errorf("after the replay of all letters: %+v\n%s", l, r.said())
			}
			break
		}
		r.alive()
		if ctx.Err() != nil {
			r.t.Fatalf("letters are left: %+v\n%s", l, r.said())
		}
		by.replay(ctx, 0)
		pause(ctx, 500*time.Millisecond)
	}
	for _, c := range r.box.Contacts() {
		r.checkContact(c)
	}
}

// clusterPace spreads the traffic over the time that kills and take-overs need.
func clusterPace() time.Duration { return 8 * time.Second / time.Duration(*clusterCalls) }

// Three nats-server processes with three replicas of every stream. The leader of the log is killed under load, again and
// again. Nothing acknowledged is lost and the order is kept; the longest time without an acknowledgement is reported.
func TestAKilledStreamLeaderLosesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), clusterPatience)
	defer cancel()
	servers := queuetest.Servers(t, 3)
	r := newClusterRig(t, buildProgram(t, "-tags", "failpoints"), 0, 2, fmt.Sprintf("nats: {url: %q, durability: fsync, replicas: 3, partitions: 4, max_bytes: 128MiB}\n", queuetest.URLs(servers)))
	for _, n := range r.nodes {
		n.start("")
	}
	for l, ok := r.ledger(ctx); !ok; l, ok = r.ledger(ctx) { // everybody serves: the gaps are the kills'
		pause(ctx, 100*time.Millisecond)
		if ctx.Err() != nil {
			t.Fatalf("not ready: %+v\n%s", l, r.said())
		}
	}
	done := r.traffic(ctx, clusterPace()*time.Duration(*clusterKills))
	for range *clusterKills {
		pause(ctx, time.Second)
		leader := queuetest.Leader(t, servers, "FRESHRELAY_EVENTS")
		for ; leader == nil && ctx.Err() == nil; leader = queuetest.Leader(t, servers, "FRESHRELAY_EVENTS") {
			pause(ctx, 50*time.Millisecond)
		}
		leader.Kill()
		pause(ctx, 6*time.Second)
		leader.Start()
		pause(ctx, 2*time.Second)
	}
	<-done
	r.settled(ctx)
	t.Logf("%d kills of the stream leader, %d calls acknowledged, longest time without an acknowledgement %v", *clusterKills, r.acked.Load(), r.longest.Round(10*time.Millisecond))
	r.stopAll()
}

package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// wire is the way from one process to a broker; it can be cut, or lose what the broker answers.
type wire struct {
	broker *embedded
	down   atomic.Bool
	mu     sync.Mutex
	conns  []*wireConn
}

// wireConn is one connection over the wire.
type wireConn struct {
	net.Conn

	deaf atomic.Bool
}

func (c *wireConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.deaf.Load() {
			return n, err
		}
	}
}

func (w *wire) InProcessConn() (net.Conn, error) {
	if w.down.Load() {
		return nil, errors.New("cut")
	}
	conn, err := w.broker.server.InProcessConn()
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &wireConn{Conn: conn}
	w.conns = append(w.conns, c)
	return c, nil
}

// deafen loses from now on what the broker says, once there is a connection: while it is being made the client holds a lock that
// would keep fake time from going on.
func (w *wire) deafen(nc *nats.Conn) {
	for !nc.IsConnected() {
		time.Sleep(10 * time.Millisecond)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.deaf.Store(true)
	}
}

// hear ends that: what was lost stays lost, and the process connects anew.
func (w *wire) hear() {
	w.cut()
	w.down.Store(false)
}

func (w *wire) cut() {
	w.down.Store(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.conns {
		_ = conn.Close()
	}
	w.conns = nil
}

// node is one process's store on a shared broker, and what it owns.
type node struct {
	*Store
	wire *wire
	stop context.CancelFunc
	done chan error
	// keepOpen says which items are never settled; nil: none.
	keepOpen func(Item) bool

	mu    sync.Mutex
	owns  map[int]*Partition
	taken map[int]time.Time
}

// shared calls body on fake time with a broker that several nodes can share.
func shared(t *testing.T, body func(t *testing.T, broker *embedded)) {
	t.Helper()
	dir := t.TempDir()
	// The client keeps its timers in a sync.Pool for all connections, and one that was made in another bubble must not be used
	// here. Two collections empty the pool.
	runtime.GC()
	runtime.GC()
	synctest.Test(t, func(t *testing.T) {
		broker, err := startEmbedded(t.Context(), dir, Encryption{}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		body(t, broker)
		if err := broker.stop(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
	})
}

// join opens a store on the broker; it owns nothing before own.
func join(t *testing.T, broker *embedded, partitions int) *node {
	t.Helper()
	return joinAs(t, broker, partitions, "all")
}

func joinAs(t *testing.T, broker *embedded, partitions int, role string) *node {
	t.Helper()
	n := &node{wire: &wire{broker: broker}, owns: map[int]*Partition{}, taken: map[int]time.Time{}}
	var err error
	n.Store, err = Open(t.Context(), Config{
		MaxBytes: MinMaxBytes, Account: "sandbox", Partitions: partitions, Role: role,
		External: &External{Replicas: 1, Durability: DurabilityFsync, Dial: func(opts ...nats.Option) (*nats.Conn, error) {
			return nats.Connect("", append(opts, nats.InProcessServer(n.wire))...)
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// own takes part in the ownership until leave. Each partition is read, and what is read is settled as delivered.
func (n *node) own(t *testing.T) *node {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	n.stop, n.done = cancel, make(chan error, 1)
	go func() {
		n.done <- n.Own(ctx, func(ctx context.Context, p *Partition) error {
			n.mu.Lock()
			n.owns[p.Number()], n.taken[p.Number()] = p, time.Now()
			n.mu.Unlock()
			defer func() {
				n.mu.Lock()
				defer n.mu.Unlock()
				delete(n.owns, p.Number())
			}()
			return p.Run(ctx, func(_ context.Context, items []Item) error {
				for _, it := range items {
					if n.keepOpen != nil && n.keepOpen(it) {
						continue
					}
					p.Commit(&Settlement{Positions: []uint64{it.Position}, Tally: Tally{{Type: "identify", Outcome: Delivered}: 1}, Done: func(uint64, error) {}})
				}
				return nil
			})
		})
	}()
	return n
}

func (n *node) numbers() []int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.owns))
}

// owned are the present tenures, and when each partition was taken last.
func (n *node) owned() (map[int]*Partition, map[int]time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.owns), maps.Clone(n.taken)
}

func (n *node) leave(t *testing.T) {
	t.Helper()
	if n.stop != nil {
		n.stop()
		if err := <-n.done; err != nil {
			t.Errorf("owning ended with %v", err)
		}
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// spread fails unless the nodes own all partitions between them, each one once and nobody more than its share.
func spread(t *testing.T, partitions int, nodes ...*node) {
	t.Helper()
	share := (partitions + len(nodes) - 1) / len(nodes)
	owners := map[int]int{}
	for i, n := range nodes {
		numbers := n.numbers()
		if len(numbers) > share {
			t.Errorf("node %d owns %v, its share is %d", i, numbers, share)
		}
		for _, p := range numbers {
			owners[p]++
		}
	}
	for p := range partitions {
		if owners[p] != 1 {
			t.Errorf("partition %d has %d owners", p, owners[p])
		}
	}
}

func TestPartitionsAreSpreadAsProcessesComeAndGo(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		const partitions = 16
		a := join(t, broker, partitions).own(t)
		time.Sleep(5 * time.Second)
		spread(t, partitions, a)
		b := join(t, broker, partitions).own(t)
		time.Sleep(15 * time.Second)
		spread(t, partitions, a, b)
		c := join(t, broker, partitions).own(t)
		time.Sleep(15 * time.Second)
		spread(t, partitions, a, b, c)
		a.leave(t) // politely: nobody waits for its leases to run out
		time.Sleep(10 * time.Second)
		spread(t, partitions, b, c)
		b.leave(t)
		time.Sleep(10 * time.Second)
		spread(t, partitions, c)
		c.leave(t)
	})
}

// A process that is gone without a word keeps its partitions for a lease time and not much longer.
func TestALeaseIsTakenOverWhenItHasRunOutAndNotBefore(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		a := join(t, broker, 4).own(t)
		time.Sleep(5 * time.Second)
		b := join(t, broker, 4).own(t)
		time.Sleep(20 * time.Second)
		spread(t, 4, a, b)
		lost := a.numbers()
		had, _ := a.owned()
		first := had[lost[0]]
		a.wire.cut()
		cut := time.Now()
		var deadline time.Time
		for time.Since(cut) < 2*leaseTime {
			time.Sleep(100 * time.Millisecond)
			if err := first.Held(); err != nil && deadline.IsZero() {
				deadline = time.Now()
			}
		}
		spread(t, 4, b)
		_, taken := b.owned()
		for _, p := range lost {
			if taken[p].Before(deadline) {
				t.Errorf("partition %d was taken %v before its owner stopped to send", p, deadline.Sub(taken[p]))
			}
			if waited := taken[p].Sub(cut); waited > leaseTime*3/2 {
				t.Errorf("partition %d stood still for %v", p, waited)
			}
		}
		a.wire.down.Store(false) // back again: it learns that it has lost them and takes its share anew
		time.Sleep(time.Minute)
		if err := first.Err(); !errors.Is(err, ErrLost) {
			t.Errorf("the old tenure ended with %v", err)
		}
		spread(t, 4, a, b)
		a.leave(t)
		b.leave(t)
	})
}

// A commit of several partitions, one of which has another owner by now: that one stores nothing, the others do.
func TestACommitIsFencedByTheLeaseOfEachPartition(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		a := join(t, broker, 2).own(t)
		time.Sleep(5 * time.Second)
		users := map[int]string{}
		owns, _ := a.owned()
		for i := 0; len(users) < 2; i++ {
			user := a.User(fmt.Sprint("user", i))
			for n, p := range owns {
				if p.Owns(user) {
					users[n] = user
				}
			}
		}
		stranger := holder{Process: "stranger", Tenure: "t"}
		if _, err := a.js.Publish(t.Context(), a.names.lease(0), stranger.encode()); err != nil {
			t.Fatal(err)
		}
		answers := map[int]chan error{0: make(chan error, 1), 1: make(chan error, 1)}
		lost, kept := owns[0], owns[1]
		for n, p := range map[int]*Partition{0: lost, 1: kept} {
			p.Commit(&Settlement{User: users[n], Record: []byte("x"), Done: func(_ uint64, err error) { answers[n] <- err }})
		}
		if err := <-answers[0]; !errors.Is(err, ErrLost) {
			t.Errorf("the lost partition's commit was answered with %v", err)
		}
		if err := <-answers[1]; err != nil {
			t.Errorf("the other partition's commit was answered with %v", err)
		}
		if _, rev, err := lost.Record(t.Context(), users[0]); rev != 0 || err != nil {
			t.Errorf("a record of the lost partition is stored at %d, %v", rev, err)
		}
		if _, rev, err := kept.Record(t.Context(), users[1]); rev == 0 || err != nil {
			t.Errorf("the other partition's record is not stored: %v", err)
		}
		if err := lost.Hold(t.Context(), time.Second); !errors.Is(err, ErrLost) {
			t.Errorf("a call for the lost partition is let through: %v", err)
		}
		letter := Letter{User: users[0], Position: 7, Reason: "invalid"} // the new owner's: what the old one knows of letters is old
		if err := kept.PutLetter(t.Context(), letter, false); err != nil {
			t.Fatal(err)
		}
		if err := lost.DropLetter(t.Context(), letterID(letter.User, letter.Position)); !errors.Is(err, ErrLost) {
			t.Errorf("the old owner may drop a letter: %v", err)
		}
		if _, err := a.Letter(t.Context(), letterID(letter.User, letter.Position)); err != nil {
			t.Errorf("the new owner's letter: %v", err)
		}
		time.Sleep(2 * leaseTime) // the stranger never renews
		spread(t, 2, a)
		a.leave(t)
	})
}

// Several processes store into the same log at once: every event once, and the totals count them all.
func TestSeveralPublishersKeepTheTotals(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		const each = 60
		nodes := []*node{join(t, broker, 1), join(t, broker, 1), join(t, broker, 1)}
		var wg sync.WaitGroup
		for i, n := range nodes {
			wg.Go(func() {
				for k := range each {
					if err := n.Publish(t.Context(), []Entry{{UserID: fmt.Sprint(i), Data: fmt.Appendf(nil, "%d-%d", i, k)}}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got, err := nodes[0].accepted(t.Context(), logID{}); got != each*3 || err != nil {
			t.Errorf("the totals say %d of %d, %v", got, each*3, err)
		}
		nodes[1].own(t)
		time.Sleep(10 * time.Second)
		if l, err := nodes[1].Ledger(t.Context()); err != nil || l.Delivered != each*3 || l.Difference() != 0 || l.Pending != 0 {
			t.Errorf("%+v, %v", l, err)
		}
		for _, n := range nodes {
			n.leave(t)
		}
	})
}

// Trimming one partition leaves the others alone, and every partition keeps its last pack, whose totals the next one continues.
func TestAPartitionTrimsOnlyItself(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 4)
		for i := range 40 {
			if err := n.Publish(t.Context(), []Entry{{UserID: fmt.Sprint(i), Data: []byte("x")}}); err != nil {
				t.Fatal(err)
			}
		}
		n.own(t)
		time.Sleep(30 * time.Second)
		info, err := n.events.Info(t.Context())
		if err != nil || info.State.Msgs != 4 {
			t.Errorf("%d packs are left, %v", info.State.Msgs, err)
		}
		if err := n.Publish(t.Context(), []Entry{{UserID: "1", Data: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if l, err := n.Ledger(t.Context()); err != nil || l.Accepted != 41 || l.Delivered != 41 || l.Difference() != 0 {
			t.Errorf("%+v, %v", l, err)
		}
		n.leave(t)
	})
}

// Trouble with one partition gives that one back, and it is taken again; only what makes the store doubtful ends the process.
func TestTroubleWithAPartitionDoesNotEndTheProcess(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 2)
		var tenures atomic.Int64
		trouble := make(chan error, 1)
		trouble <- errors.New("no answer")
		done := make(chan error, 1)
		go func() {
			done <- n.Own(t.Context(), func(ctx context.Context, p *Partition) error {
				tenures.Add(1)
				if p.Number() == 1 {
					select {
					case err := <-trouble:
						return err
					case <-ctx.Done():
					}
				}
				<-ctx.Done()
				return nil
			})
		}()
		time.Sleep(10 * time.Second)
		if got := tenures.Load(); got != 3 || len(n.Owned()) != 2 {
			t.Errorf("%d tenures, %d partitions are owned", got, len(n.Owned()))
		}
		trouble <- fmt.Errorf("reading: %w", ErrConflict)
		if err := <-done; !errors.Is(err, ErrConflict) || len(n.Owned()) != 0 {
			t.Errorf("owning ended with %v, and %d partitions", err, len(n.Owned()))
		}
		n.leave(t)
	})
}

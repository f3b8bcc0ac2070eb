package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"runtime"
	"slices"
	"strconv"
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

	mu      sync.Mutex
	deafAt  []byte // what is to be sent before it becomes deaf; nil: nothing makes it so
	at      []byte // from what on the broker gets nothing; nil: it gets everything
	held    []byte // what it has not got
	holding chan struct{}
	closed  bool
}

// Write keeps, from a certain message on, what is sent: it is on its way. The client does not notice.
func (c *wireConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deafAt != nil && bytes.Contains(b, c.deafAt) {
		c.deaf.Store(true)
	}
	if c.at == nil || c.held == nil && !bytes.Contains(b, c.at) {
		return c.Conn.Write(b)
	}
	if c.held == nil {
		close(c.holding)
	}
	c.held = append(c.held, b...)
	return len(b), nil
}

// Close does not take back what is on its way.
func (c *wireConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return c.Conn.Close()
	}
	c.closed = true
	return c.SetReadDeadline(time.Now()) // the client's reader ends
}

func (c *wireConn) arrive() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.Conn.Write(c.held)
	c.at, c.held = nil, nil
	if c.closed {
		time.Sleep(time.Second) // the broker reads it
		err = errors.Join(err, c.Conn.Close())
	}
	return err
}

func (c *wireConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.closed { // the broker talks on, or it would close the connection
				go func() { _, _ = io.Copy(io.Discard, c.Conn) }()
				return n, errors.Join(err, c.SetReadDeadline(time.Time{}))
			}
			return n, err
		}
		if !c.deaf.Load() {
			return n, nil
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
	c := &wireConn{Conn: conn, holding: make(chan struct{})}
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

// deafenAt does so from the first message to a subject on.
func (w *wire) deafenAt(subject string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.mu.Lock()
		c.deafAt = []byte("PUB " + subject)
		c.mu.Unlock()
	}
}

// hear ends that: what was lost stays lost, and the process connects anew.
func (w *wire) hear() {
	w.cut()
	w.down.Store(false)
}

// hold has what the process sends stay on its way, from the first message to a subject on. held is closed then, and arrive
// lets it come in, whether the connection is still there or not.
func (w *wire) hold(subject string) (held <-chan struct{}, arrive func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.conns[len(w.conns)-1]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = []byte("PUB " + subject)
	return c.holding, c.arrive
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
	// signs is how often it was asked what it says.
	signs atomic.Int32
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
		Says: func() json.RawMessage { return json.RawMessage(strconv.Itoa(int(n.signs.Add(1)))) },
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

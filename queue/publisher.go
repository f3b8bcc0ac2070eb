package queue

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	publishTimeout  = 3 * time.Second // below Segment's own 5 s
	maxWaitingBytes = 64 << 20        // gathered but not stored; beyond it callers are refused at once
)

// publisher is the group commit of one log: while one pack is being stored, the next gathers. One pack in flight keeps arrival
// order, and an unclear outcome repeats the same pack, byte for byte, under the same message id.
type publisher struct {
	s      *Store
	id     logID
	log    *zap.Logger
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	waiting []waitingItem
	closed  bool
	wake    chan struct{} // capacity 1

	// Only the loop touches these: the running totals, and the sequence of the log's last pack.
	events, items, last uint64
	stale               bool // the log may end elsewhere by now
}

// waitingItem is an item and the call that waits for it.
type waitingItem struct {
	item packed
	call *publishCall
}

// publishCall is one Publish, whose items may go to several publishers: done is told once, when the last item is stored
// or the first has failed.
type publishCall struct {
	left atomic.Int64
	done chan error // capacity 1
}

// failedCall is so far below 0 that stored items never lift a failed call's count up to it again.
const failedCall = math.MinInt64 / 2

func newPublishCall(items int) *publishCall {
	c := &publishCall{done: make(chan error, 1)}
	c.left.Store(int64(items))
	return c
}

func (c *publishCall) open() bool { return c.left.Load() > 0 }

func (c *publishCall) stored() {
	if c.left.Add(-1) == 0 {
		c.done <- nil
	}
}

func (c *publishCall) failed(err error) {
	if c.left.Swap(failedCall) > 0 {
		c.done <- err
	}
}

func (s *Store) openPublisher(ctx context.Context, id logID) (*publisher, error) {
	p := &publisher{s: s, id: id, stale: true, log: s.log, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	if err := p.refresh(ctx); err != nil {
		return nil, fmt.Errorf("reading the log's end: %w", err)
	}
	loopCtx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go p.loop(loopCtx)
	return p, nil
}

// Publish stores the entries in order and returns nil once all are on disk. On an error a part may be stored: the
// sender repeats the call and the repeats are recognised by their message ids. Errors: ErrFull, ErrUnavailable,
// ErrTooLarge, or the context's, after which the entries may still be stored.
func (s *Store) Publish(ctx context.Context, entries []Entry) error {
	items := make([]packed, len(entries))
	for i, e := range entries {
		if len(e.Data) > maxEntryBytes {
			return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(e.Data), maxEntryBytes)
		}
		digest := s.identity.digest(e.UserID)
		if e.User != "" {
			var err error
			if digest, _, err = parseLetterID(letterID(e.User, 0)); err != nil {
				return fmt.Errorf("the lane of an entry: %w", err)
			}
		}
		items[i] = packed{kind: KindEvent, digest: digest, activity: e.Activity, erases: e.Erases, data: e.Data}
	}
	if err := s.room.admit(ctx, items); err != nil {
		return err
	}
	if !slices.ContainsFunc(items, packed.yields) || !s.room.crowded(ctx) {
		return s.publish(ctx, items)
	}
	if err := s.publish(ctx, slices.DeleteFunc(items, packed.yields)); err != nil {
		return err
	}
	return fmt.Errorf("%w: activities have as much of the log as they may", ErrFull)
}

// Replay puts one command per dead letter into the log, to deliver it again. It is Command with the zero Order.
func (s *Store) Replay(ctx context.Context, ids []string) error { return s.Command(ctx, ids, Order{}) }

// publish stores items and waits for all. Those for the logs of activities come after the others: an activity that arrives
// together with what makes its contact must not stand before it in the stream.
func (s *Store) publish(ctx context.Context, items []packed) error {
	if !slices.ContainsFunc(items, packed.isActivity) {
		return s.publishTo(ctx, items)
	}
	contacts := slices.DeleteFunc(slices.Clone(items), packed.isActivity)
	if err := s.publishTo(ctx, contacts); err != nil {
		return err
	}
	return s.publishTo(ctx, slices.DeleteFunc(items, func(it packed) bool { return !it.activity }))
}

// publishTo hands each item to its log's publisher and waits for all.
func (s *Store) publishTo(ctx context.Context, items []packed) error {
	if len(items) == 0 {
		return nil
	}
	call := newPublishCall(len(items))
	parts := map[int][]packed{}
	for _, it := range items {
		n := s.publisherOf(it)
		parts[n] = append(parts[n], it)
	}
	for n, part := range parts {
		if err := s.publishers[n].enqueue(part, call); err != nil {
			call.failed(err)
			break
		}
	}
	select {
	case err := <-call.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

func (p *publisher) enqueue(items []packed, call *publishCall) error {
	size := 0
	for _, it := range items {
		size += it.size()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("%w: the service is stopping", ErrUnavailable)
	}
	if waiting := p.s.waitingBytes.Load(); waiting+int64(size) > maxWaitingBytes && waiting > 0 {
		return fmt.Errorf("%w: too many events wait to be stored", ErrUnavailable)
	}
	for _, it := range items {
		p.waiting = append(p.waiting, waitingItem{item: it, call: call})
	}
	p.s.waitingBytes.Add(int64(size))
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return nil
}

func (p *publisher) loop(ctx context.Context) {
	defer close(p.done)
	for {
		pack := p.take()
		if len(pack) == 0 {
			p.mu.Lock()
			closed := p.closed
			p.mu.Unlock()
			if closed {
				return
			}
			select {
			case <-p.wake:
			case <-ctx.Done():
				return
			}
			continue
		}
		settle(pack, p.store(ctx, pack))
	}
}

// take removes the next pack's items: all that wait, up to a pack's limits. Items of a call that already failed are dropped.
func (p *publisher) take() []waitingItem {
	p.mu.Lock()
	defer p.mu.Unlock()
	var pack []waitingItem
	n, size := 0, 1
	for _, w := range p.waiting {
		if w.call.open() {
			if len(pack) == maxPackItems || (size+w.item.size() > maxPackBytes && len(pack) > 0) {
				break
			}
			pack = append(pack, w)
			size += w.item.size()
		}
		p.s.waitingBytes.Add(-int64(w.item.size()))
		n++
	}
	clear(p.waiting[:n]) // lets go of the events' bytes
	p.waiting = p.waiting[n:]
	return pack
}

// settle tells the callers of a pack.
func settle(pack []waitingItem, err error) {
	for _, w := range pack {
		if err != nil {
			w.call.failed(err)
		} else {
			w.call.stored()
		}
	}
}

// close stores what has gathered, refuses what comes, and waits. An unclear pack is given one publish timeout.
func (p *publisher) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	stop := time.AfterFunc(publishTimeout, p.cancel)
	<-p.done
	stop.Stop()
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.waiting {
		w.call.failed(fmt.Errorf("%w: the service is stopping", ErrUnavailable))
	}
	p.waiting = nil
}

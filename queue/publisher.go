package queue

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	publishTimeout  = 3 * time.Second // below Segment's own 5 s
	maxWaitingBytes = 64 << 20        // gathered but not stored; beyond it callers are refused at once
)

// publisher is the group commit: while one pack is being stored, the next gathers. One pack in flight keeps arrival
// order, and an unclear outcome repeats the same pack, byte for byte, under the same message id.
type publisher struct {
	s      *Store
	log    *zap.Logger
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	waiting []waitingItem
	bytes   int
	closed  bool
	wake    chan struct{} // capacity 1

	// Only the loop touches these: the running totals, and the sequence of the log's last pack.
	events, items, last uint64

	unclear atomic.Int32 // tries without an answer since the last that had one
}

// waitingItem is an item and the call that waits for it.
type waitingItem struct {
	item packed
	call *publishCall
}

// publishCall is one Publish: done is told once, when the last item is stored or the first has failed.
type publishCall struct {
	left int
	done chan error // capacity 1
}

func (s *Store) openPublisher(ctx context.Context) (*publisher, error) {
	p := &publisher{s: s, log: s.log, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	msg, err := s.lastPack(ctx)
	if err != nil {
		return nil, err
	}
	if msg != nil {
		p.last = msg.Sequence
		if p.events, p.items, err = packTotals(msg.Header); err != nil {
			return nil, err
		}
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
		items[i] = packed{kind: KindEvent, digest: s.identity.digest(e.UserID), data: e.Data}
	}
	return s.publisher.publish(ctx, items)
}

// Replay puts one command per dead letter into the log; each takes its turn in its user's lane. A letter that is not
// there any more is passed over when its turn comes. Errors: ErrNoLetter for an id that is none, and those of Publish.
func (s *Store) Replay(ctx context.Context, ids []string) error {
	items := make([]packed, len(ids))
	for i, id := range ids {
		digest, position, err := parseLetterID(id)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNoLetter, err)
		}
		items[i] = packed{kind: KindReplay, digest: digest, letter: position}
	}
	return s.publisher.publish(ctx, items)
}

func (p *publisher) publish(ctx context.Context, items []packed) error {
	if len(items) == 0 {
		return nil
	}
	call := &publishCall{left: len(items), done: make(chan error, 1)}
	if err := p.enqueue(items, call); err != nil {
		return err
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
	if p.bytes+size > maxWaitingBytes && p.bytes > 0 {
		return fmt.Errorf("%w: too many events wait to be stored", ErrUnavailable)
	}
	for _, it := range items {
		p.waiting = append(p.waiting, waitingItem{item: it, call: call})
	}
	p.bytes += size
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
		p.settle(pack, p.store(ctx, pack))
	}
}

// take removes the next pack's items: all that wait, up to a pack's limits. Items of a call that already failed are dropped.
func (p *publisher) take() []waitingItem {
	p.mu.Lock()
	defer p.mu.Unlock()
	var pack []waitingItem
	n, size := 0, 1
	for _, w := range p.waiting {
		if w.call.left > 0 {
			if len(pack) == maxPackItems || (size+w.item.size() > maxPackBytes && len(pack) > 0) {
				break
			}
			pack = append(pack, w)
			size += w.item.size()
		}
		p.bytes -= w.item.size()
		n++
	}
	clear(p.waiting[:n]) // lets go of the events' bytes
	p.waiting = p.waiting[n:]
	return pack
}

// settle tells the callers of a pack.
func (p *publisher) settle(pack []waitingItem, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range pack {
		if w.call.left <= 0 {
			continue
		}
		if err != nil {
			w.call.left = 0
			w.call.done <- err
			continue
		}
		if w.call.left--; w.call.left == 0 {
			w.call.done <- nil
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
		if w.call.left > 0 {
			w.call.left = 0
			w.call.done <- fmt.Errorf("%w: the service is stopping", ErrUnavailable)
		}
	}
	p.waiting = nil
}

package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"
)

// Headers of a pack. The running totals make "accepted" countable from the log alone: the last pack says how many
// events and how many items (events and commands) were ever stored.
const (
	headerEvents = "Freshrelay-Events" // running total of events
	headerItems  = "Freshrelay-Items"  // running total of items
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

	events, items uint64 // running totals; only the loop touches them
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
	var err error
	if p.events, p.items, err = s.totals(ctx); err != nil {
		return nil, err
	}
	loopCtx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go p.loop(loopCtx)
	return p, nil
}

// totals reads the running totals from the log's last pack.
func (s *Store) totals(ctx context.Context) (events, items uint64, err error) {
	msg, err := s.events.GetLastMsgForSubject(ctx, s.names.events())
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("reading the log's last pack: %w", err)
	}
	return packTotals(msg.Header)
}

func packTotals(h nats.Header) (events, items uint64, err error) {
	if events, err = strconv.ParseUint(h.Get(headerEvents), 10, 64); err != nil {
		return 0, 0, fmt.Errorf("%w: header %s: %w", errPack, headerEvents, err)
	}
	if items, err = strconv.ParseUint(h.Get(headerItems), 10, 64); err != nil {
		return 0, 0, fmt.Errorf("%w: header %s: %w", errPack, headerItems, err)
	}
	return events, items, nil
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
	p.waiting = p.waiting[n:]
	return pack
}

// store publishes one pack until its outcome is known.
func (p *publisher) store(ctx context.Context, pack []waitingItem) error {
	items := make([]packed, len(pack))
	events := p.events
	for i, w := range pack {
		items[i] = w.item
		if w.item.kind == KindEvent {
			events++
		}
	}
	msg := nats.NewMsg(p.s.names.events())
	msg.Data = encodePack(items)
	msg.Header.Set(headerEvents, strconv.FormatUint(events, 10))
	msg.Header.Set(headerItems, strconv.FormatUint(p.items+uint64(len(pack)), 10))
	id := nuid.Next()
	began := time.Now()

	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	err := backoff.RetryNotify(func() error { return p.try(ctx, msg, id) }, backoff.WithContext(wait, ctx), func(err error, next time.Duration) {
		p.log.Warn("storing a pack has no clear outcome, repeating it", zap.Int("events", len(pack)), zap.Duration("wait", next), zap.Error(err))
	})
	if err != nil {
		return err
	}
	if p.s.cfg.OnPublish != nil && events > p.events {
		p.s.cfg.OnPublish(time.Since(began), int(events-p.events))
	}
	p.events, p.items = events, p.items+uint64(len(pack))
	return nil
}

// try publishes once. A Permanent error means that the pack is surely not stored.
func (p *publisher) try(ctx context.Context, msg *nats.Msg, id string) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	_, err := p.s.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
	switch code := errorCode(err); {
	case err == nil:
		return nil
	case code == codeStreamFull || code == codeServerFull:
		return backoff.Permanent(fmt.Errorf("%w: free room or raise nats.max_bytes", ErrFull))
	case code == codeUnavailable || code == 0:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	default:
		return backoff.Permanent(fmt.Errorf("%w: %w", ErrUnavailable, err))
	}
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

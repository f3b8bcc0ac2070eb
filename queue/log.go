package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/failpoint"
)

// Headers of a pack. The running totals make "accepted" countable from the log alone: the last pack says how many
// events and how many items (events and commands) were ever stored.
const (
	headerEvents = "Freshrelay-Events" // running total of events
	headerItems  = "Freshrelay-Items"  // running total of items
	headerMoved  = "Freshrelay-Moved"  // in the last pack of a log that goes on elsewhere: under which prefix
)

// lastPack is a log's last pack, or nil if there has never been one.
func (s *Store) lastPack(ctx context.Context, id logID) (*jetstream.RawStreamMsg, error) {
	msg, err := s.events.GetLastMsgForSubject(ctx, s.names.packs(id))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil //nolint:nilnil // an empty log is an ordinary answer here
	}
	if err != nil {
		return nil, fmt.Errorf("reading the log's last pack: %w", err)
	}
	return msg, nil
}

// accepted is how many events were ever stored in a log, by its last pack.
func (s *Store) accepted(ctx context.Context, id logID) (uint64, error) {
	events, _, err := s.totals(ctx, id)
	return events, err
}

// totals are the running totals in a log's last pack.
func (s *Store) totals(ctx context.Context, id logID) (events, items uint64, err error) {
	msg, err := s.lastPack(ctx, id)
	if err != nil || msg == nil {
		return 0, 0, err
	}
	return packTotals(msg.Header)
}

func setTotals(msg *nats.Msg, events, items uint64) {
	msg.Header.Set(headerEvents, strconv.FormatUint(events, 10))
	msg.Header.Set(headerItems, strconv.FormatUint(items, 10))
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

// eventsUpTo is how many events a log held up to and including pack seq, which may be trimmed.
func (s *Store) eventsUpTo(ctx context.Context, id logID, seq uint64) (uint64, error) {
	msg, err := s.events.GetMsg(ctx, max(seq, 1), jetstream.WithGetMsgSubject(s.names.packs(id)))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the log's first pack: %w", err)
	}
	total, _, err := packTotals(msg.Header)
	if err != nil || msg.Sequence == seq {
		return total, err
	}
	items, err := decodePack(msg.Sequence, msg.Data)
	for _, it := range items {
		if it.Kind == KindEvent {
			total--
		}
	}
	return total, err
}

// contentionTries is how often a pack is stored again at once because another process stored one first; after that it waits
// like one without an answer.
const contentionTries = 20

// outgoing is one pack on its way: its bytes and its id stay the same from try to try, its totals follow the log.
type outgoing struct {
	id            string
	data          []byte
	events, items uint64
	doubtful      bool // a try had no answer, so it may be stored
}

// store publishes one pack until its outcome is known.
func (p *publisher) store(ctx context.Context, pack []waitingItem) error {
	items := make([]packed, len(pack))
	out := &outgoing{id: nuid.Next(), items: uint64(len(pack))}
	for i, w := range pack {
		items[i] = w.item
		if w.item.kind == KindEvent {
			out.events++
		}
	}
	out.data = encodePack(items)
	began := time.Now()
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	err := backoff.RetryNotify(func() error { return p.try(ctx, out) }, backoff.WithContext(wait, ctx), func(err error, next time.Duration) {
		p.s.repeats(false)
		p.log.Warn("storing a pack has no clear outcome, repeating it", zap.Int("items", len(pack)), zap.Duration("wait", next), zap.Error(err))
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: the service is stopping", ErrUnavailable)
	}
	if err != nil {
		return err
	}
	if p.s.cfg.OnPublish != nil && out.events > 0 {
		p.s.cfg.OnPublish(time.Since(began), int(out.events))
	}
	return nil
}

// try publishes a pack and notes that it is stored. A Permanent error means that it is surely not.
func (p *publisher) try(ctx context.Context, out *outgoing) error {
	for range contentionTries {
		if err := p.refresh(ctx); err != nil {
			return err
		}
		conflict, err := p.send(ctx, out)
		if !conflict {
			return err
		}
		if stored, err := p.resolve(ctx, out); err != nil || stored {
			return err
		}
		if err := pause(ctx, rand.N(10*time.Millisecond)); err != nil { //nolint:gosec // only to be apart from the others that lost, too
			return err
		}
	}
	return fmt.Errorf("%w: other processes are always quicker", ErrUnavailable)
}

// send publishes once. conflict says that the log ends elsewhere than thought.
func (p *publisher) send(ctx context.Context, out *outgoing) (conflict bool, _ error) {
	msg := nats.NewMsg(p.s.names.packs(p.id))
	msg.Data = out.data
	setTotals(msg, p.events+out.events, p.items+out.items)
	// The broker forgets ids after a while. A try after that (the machine slept) must not store the pack twice: the
	// running totals would be wrong for ever. So the pack is compared with the one before it, too.
	failpoint.Hit(failpoint.PublishBefore)
	ack, err := p.s.write(ctx, "EVENTS", msg, jetstream.WithMsgID(out.id), jetstream.WithRetryAttempts(0), jetstream.WithExpectLastSequencePerSubject(p.last))
	switch {
	case errors.Is(err, ErrStuck):
		return false, backoff.Permanent(fmt.Errorf("%w: %w", ErrUnavailable, err))
	case unclear(err):
		out.doubtful = true
		return false, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case err == nil:
		failpoint.Hit(failpoint.PublishAfter)
		p.events, p.items, p.last = p.events+out.events, p.items+out.items, ack.Sequence
		p.stale = ack.Duplicate // stored by an earlier try, perhaps upon other totals and not as the last
		return false, nil
	case isConflict(err):
		return true, nil
	case isFull(err):
		return false, backoff.Permanent(fmt.Errorf("%w: the log drains as its events are delivered; nats.max_bytes gives it more room", ErrFull))
	}
	return false, backoff.Permanent(fmt.Errorf("%w: %w", ErrUnavailable, err))
}

// resolve finds out, after a conflict, whether an earlier try of the pack is stored. If it is not, somebody else's pack is:
// with an external broker another process of ours, else somebody with whom this process must not go on.
func (p *publisher) resolve(ctx context.Context, out *outgoing) (stored bool, _ error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	p.stale = true
	for seq := p.last + 1; out.doubtful; seq++ {
		msg, err := p.s.events.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(p.s.names.packs(p.id)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return false, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if msg.Header.Get(jetstream.MsgIDHeader) == out.id {
			return true, nil
		}
		seq = msg.Sequence
	}
	if p.s.cfg.External != nil {
		return false, nil
	}
	err := fmt.Errorf("%w: the log has a pack that this process did not store", ErrConflict)
	p.s.Partition().fail(err)
	return false, backoff.Permanent(fmt.Errorf("%w: %w", ErrUnavailable, err))
}

// refresh reads the log's end again if it may have moved. The last pack is never trimmed, so a log that ends where it ended
// before is the same log, with the same totals.
func (p *publisher) refresh(ctx context.Context) error {
	if !p.stale {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	msg, err := p.s.lastPack(ctx, p.id)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if msg != nil && msg.Header.Get(headerMoved) != "" && !p.s.cfg.moving {
		moved := movedTo(msg.Header.Get(headerMoved))
		if p.s.moved.CompareAndSwap(nil, &moved) {
			p.log.Error("this process stores nothing any more: stop it", zap.Error(moved))
		}
		return backoff.Permanent(fmt.Errorf("%w: %w", ErrUnavailable, moved))
	}
	p.stale = false
	if msg == nil {
		p.events, p.items, p.last = 0, 0, 0
		return nil
	}
	if p.events, p.items, err = packTotals(msg.Header); err != nil {
		return backoff.Permanent(fmt.Errorf("%w: %w", ErrUnavailable, err))
	}
	p.last = msg.Sequence
	return nil
}

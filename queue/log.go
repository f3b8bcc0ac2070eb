package queue

import (
	"context"
	"errors"
	"fmt"
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
)

// lastPack is a partition's last pack, or nil if there has never been one.
func (s *Store) lastPack(ctx context.Context, partition int) (*jetstream.RawStreamMsg, error) {
	msg, err := s.events.GetLastMsgForSubject(ctx, s.names.events(partition))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil //nolint:nilnil // an empty log is an ordinary answer here
	}
	if err != nil {
		return nil, fmt.Errorf("reading the log's last pack: %w", err)
	}
	return msg, nil
}

// accepted is how many events were ever stored in a partition, by its last pack.
func (s *Store) accepted(ctx context.Context, partition int) (uint64, error) {
	msg, err := s.lastPack(ctx, partition)
	if err != nil || msg == nil {
		return 0, err
	}
	events, _, err := packTotals(msg.Header)
	return events, err
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

// eventsUpTo is how many events a partition held up to and including pack seq, which may be trimmed.
func (s *Store) eventsUpTo(ctx context.Context, partition int, seq uint64) (uint64, error) {
	msg, err := s.events.GetMsg(ctx, max(seq, 1), jetstream.WithGetMsgSubject(s.names.events(partition)))
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
	msg := nats.NewMsg(p.s.names.events(p.partition))
	msg.Data = encodePack(items)
	msg.Header.Set(headerEvents, strconv.FormatUint(events, 10))
	msg.Header.Set(headerItems, strconv.FormatUint(p.items+uint64(len(pack)), 10))
	id := nuid.Next()
	began := time.Now()

	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	var stored uint64
	err := backoff.RetryNotify(func() (err error) {
		stored, err = p.try(ctx, msg, id)
		return err
	}, backoff.WithContext(wait, ctx), func(err error, next time.Duration) {
		p.log.Warn("storing a pack has no clear outcome, repeating it", zap.Int("events", len(pack)), zap.Duration("wait", next), zap.Error(err))
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: the service is stopping", ErrUnavailable)
	}
	if err != nil {
		return err
	}
	if p.s.cfg.OnPublish != nil && events > p.events {
		p.s.cfg.OnPublish(time.Since(began), int(events-p.events))
	}
	p.events, p.items, p.last = events, p.items+uint64(len(pack)), stored
	return nil
}

// try publishes once and returns the pack's sequence. A Permanent error means that the pack is surely not stored.
func (p *publisher) try(ctx context.Context, msg *nats.Msg, id string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	// The broker forgets ids after a while. A try after that (the machine slept) must not store the pack twice: the
	// running totals would be wrong for ever. So the pack is compared with the one before it, too.
	failpoint.Hit(failpoint.PublishBefore)
	ack, err := p.s.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0), jetstream.WithExpectLastSequencePerSubject(p.last))
	code := errorCode(err)
	if err != nil && code == 0 || code == codeUnavailable {
		p.unclear.Add(1)
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	p.unclear.Store(0)
	switch {
	case err == nil:
		failpoint.Hit(failpoint.PublishAfter)
		return ack.Sequence, nil
	case isConflict(err):
		return p.storedBefore(ctx, id)
	case code == codeStreamFull || code == codeServerFull:
		return 0, backoff.Permanent(fmt.Errorf("%w: the log drains as its events are delivered; nats.max_bytes gives it more room", ErrFull))
	default:
		return 0, backoff.Permanent(fmt.Errorf("%w: %w", ErrUnavailable, err))
	}
}

// storedBefore is the sequence of the pack with this id, if it is the log's last: an earlier try stored it. If it is
// not, somebody else writes to the log, and this process must not go on.
func (p *publisher) storedBefore(ctx context.Context, id string) (uint64, error) {
	msg, err := p.s.lastPack(ctx, p.partition)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if msg != nil && msg.Header.Get(jetstream.MsgIDHeader) == id {
		return msg.Sequence, nil
	}
	err = fmt.Errorf("%w: the log has a pack that this process did not store", ErrConflict)
	p.s.partitions[p.partition].fail(err)
	return 0, backoff.Permanent(fmt.Errorf("%w: %w", ErrUnavailable, err))
}

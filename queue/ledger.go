package queue

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Ledger is the account of all events ever stored: Accepted = Delivered + Discarded + Dead + Pending. The four come from
// different places, so that the sum can be wrong and is worth checking.
type Ledger struct {
	Accepted  int64 // the running total in the log's last pack
	Delivered int64 // counters committed with the records
	Discarded int64 // the same
	Dead      int64 // letters in DEAD
	Pending   int64 // events after the floor that no record covers
	// Reading is set while an earlier run's events are still being read again after a start; Pending is too high until then.
	Reading bool
	// Oldest is when the oldest pending event was stored; zero if nothing is pending.
	Oldest time.Time
	Counts map[Count]int64
}

// Difference is 0 when the ledger adds up. Under load it can be off by what happens between two look-ups.
func (l Ledger) Difference() int64 {
	return l.Accepted - l.Delivered - l.Discarded - l.Dead - l.Pending
}

// Ledger takes stock of all partitions that this process owns.
func (s *Store) Ledger(ctx context.Context) (Ledger, error) {
	sum := Ledger{Counts: map[Count]int64{}}
	for _, p := range s.Owned() {
		l, err := p.Ledger(ctx)
		if err != nil {
			return Ledger{}, err
		}
		sum.add(l)
	}
	return sum, nil
}

// add puts another partition's account onto this one.
func (l *Ledger) add(o Ledger) {
	l.Accepted, l.Delivered, l.Discarded = l.Accepted+o.Accepted, l.Delivered+o.Delivered, l.Discarded+o.Discarded
	l.Dead, l.Pending, l.Reading = l.Dead+o.Dead, l.Pending+o.Pending, l.Reading || o.Reading
	if l.Oldest.IsZero() || !o.Oldest.IsZero() && o.Oldest.Before(l.Oldest) {
		l.Oldest = o.Oldest
	}
	for count, n := range o.Counts {
		l.Counts[count] += n
	}
}

// Ledger takes stock of one partition: of both its logs, whose dead letters lie together.
func (p *Partition) Ledger(ctx context.Context) (Ledger, error) {
	sum := Ledger{Counts: map[Count]int64{}}
	for _, log := range []*Partition{p, p.activities} {
		l := log.ledger() // before the log's end is looked up: what has been read is never more than was accepted
		accepted, err := p.s.accepted(ctx, log.id)
		if err != nil {
			return Ledger{}, err
		}
		l.Accepted = int64(accepted)
		l.Pending += l.Accepted
		sum.add(l)
	}
	var err error
	sum.Dead, err = p.letters(ctx)
	return sum, err
}

// letters counts the partition's dead letters. Their subjects do not name the partition: it is computed from the user's token.
func (p *Partition) letters(ctx context.Context) (int64, error) {
	var opts []jetstream.StreamInfoOpt
	if p.s.identity.Partitions > 1 {
		opts = append(opts, jetstream.WithSubjectFilter(p.s.names.dead("*", "*")))
	}
	info, err := p.s.dead.Info(ctx, opts...)
	if err != nil {
		return 0, fmt.Errorf("asking for the state of DEAD: %w", err)
	}
	if p.s.identity.Partitions == 1 {
		return int64(info.State.Msgs), nil
	}
	var n int64
	for subject := range info.State.Subjects {
		user, _, _ := strings.Cut(strings.TrimPrefix(subject, p.s.names.letter("")), ".")
		if p.Owns(user) {
			n++
		}
	}
	return n, nil
}

// ledger is what this owner knows. Its Pending lacks the events accepted in all.
func (p *Partition) ledger() Ledger {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := Ledger{Counts: p.stored.counters.values(), Oldest: p.progress.oldest()}
	for count, n := range l.Counts {
		switch count.Outcome {
		case Delivered:
			l.Delivered += n
		case Discarded:
			l.Discarded += n
		}
	}
	l.Pending = int64(p.progress.openEvents) - int64(p.progress.readEvents)
	select {
	case <-p.recovered:
	default:
		l.Reading = true
	}
	return l
}

// Size is what a stream takes, and may take, in bytes.
type Size struct{ Bytes, Limit uint64 }

// Sizes are those of the streams.
func (s *Store) Sizes(ctx context.Context) (map[string]Size, error) {
	sizes := map[string]Size{}
	for name, stream := range map[string]jetstream.Stream{"EVENTS": s.events, "STATE": s.state, "DEAD": s.dead, "JOURNAL": s.journal, "AUDIT": s.audit} {
		info, err := stream.Info(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking for the state of %s: %w", name, err)
		}
		sizes[name] = Size{Bytes: info.State.Bytes, Limit: uint64(max(0, info.Config.MaxBytes))}
	}
	return sizes, nil
}

// Bytes is the size of each stream.
func (s *Store) Bytes(ctx context.Context) (map[string]uint64, error) {
	sizes, err := s.Sizes(ctx)
	if err != nil {
		return nil, err
	}
	bytes := make(map[string]uint64, len(sizes))
	for name, size := range sizes {
		bytes[name] = size.Bytes
	}
	return bytes, nil
}

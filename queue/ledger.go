package queue

import (
	"context"
	"fmt"
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

// Ledger takes stock.
func (s *Store) Ledger(ctx context.Context) (Ledger, error) {
	l := s.partition.ledger() // before the log's end is looked up: what has been read is never more than was accepted
	accepted, err := s.accepted(ctx)
	if err != nil {
		return Ledger{}, err
	}
	dead, err := s.dead.Info(ctx)
	if err != nil {
		return Ledger{}, fmt.Errorf("asking for the state of DEAD: %w", err)
	}
	l.Accepted, l.Dead = int64(accepted), int64(dead.State.Msgs)
	l.Pending += l.Accepted
	return l, nil
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

// Bytes is the size of each stream.
func (s *Store) Bytes(ctx context.Context) (map[string]uint64, error) {
	sizes := map[string]uint64{}
	for name, stream := range map[string]jetstream.Stream{"EVENTS": s.events, "STATE": s.state, "DEAD": s.dead, "JOURNAL": s.journal} {
		info, err := stream.Info(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking for the state of %s: %w", name, err)
		}
		sizes[name] = info.State.Bytes
	}
	return sizes, nil
}

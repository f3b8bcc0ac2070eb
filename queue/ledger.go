package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	// Uncounted are partitions of which only Accepted and the counters are known: nobody has owned them since this was
	// written by a version that did not say how far it had come. Their pending events are missing.
	Uncounted []int
}

// Difference is 0 when the ledger adds up. Under load it can be off by what happens between two look-ups.
func (l Ledger) Difference() int64 {
	return l.Accepted - l.Delivered - l.Discarded - l.Dead - l.Pending
}

// Ledger takes stock of all logs, whoever owns their partitions: of the own ones by what this process knows, of the others by
// what their owners have committed.
func (s *Store) Ledger(ctx context.Context) (Ledger, error) {
	sum := Ledger{Counts: map[Count]int64{}}
	for _, id := range s.logs() {
		l, err := s.logLedger(ctx, id)
		if err != nil {
			return Ledger{}, err
		}
		sum.add(l)
	}
	info, err := s.letterInfo(ctx)
	if err != nil {
		return Ledger{}, err
	}
	sum.Dead = lettersIn(info)
	return sum, nil
}

// logLedger is a log's account without its dead letters.
func (s *Store) logLedger(ctx context.Context, id logID) (Ledger, error) {
	s.mu.Lock()
	p := s.owned[id.number]
	s.mu.Unlock()
	switch {
	case p == nil, !s.Alone() && p.Err() != nil:
		return s.storedLedger(ctx, id)
	case id.activities:
		return p.activities.books(ctx)
	}
	return p.books(ctx)
}

// storedLedger is the account of somebody else's log, as of its owner's last commit, without the dead letters.
func (s *Store) storedLedger(ctx context.Context, id logID) (l Ledger, err error) {
	data, rev, err := s.readState(ctx, s.names.counters(id))
	if err != nil {
		return l, err
	}
	c := counters{Settled: new(int64)} // nobody has committed anything
	if rev > 0 {
		if c, err = decodeCounters(data); err != nil {
			return l, err
		}
	}
	l.count(c)
	accepted, err := s.accepted(ctx, id) // after the counters: what is settled is never more than what was accepted
	if err != nil {
		return l, err
	}
	l.Accepted = int64(accepted)
	if c.Settled == nil {
		l.Uncounted = []int{id.number}
		return l, nil
	}
	if l.Pending = l.Accepted - *c.Settled; l.Pending > 0 {
		l.Oldest, err = s.firstOpen(ctx, id)
	}
	return l, err
}

// firstOpen is when the first pack behind a log's stored floor was stored; zero if there is none.
func (s *Store) firstOpen(ctx context.Context, id logID) (time.Time, error) {
	floor, _, err := s.readNumber(ctx, s.names.floor(id))
	if err != nil {
		return time.Time{}, err
	}
	msg, err := s.events.GetMsg(ctx, floor+1, jetstream.WithGetMsgSubject(s.names.packs(id)))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the log: %w", err)
	}
	return msg.Time, nil
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
	for _, n := range o.Uncounted { // both logs of a partition may be
		if !slices.Contains(l.Uncounted, n) {
			l.Uncounted = append(l.Uncounted, n)
		}
	}
}

// count takes over what the counters say.
func (l *Ledger) count(c counters) {
	l.Counts, l.Reading = c.values(), c.Reading
	for count, n := range l.Counts {
		switch count.Outcome {
		case Delivered:
			l.Delivered += n
		case Discarded:
			l.Discarded += n
		}
	}
}

// Ledger takes stock of one partition, for its owner: of both its logs, whose dead letters lie together.
func (p *Partition) Ledger(ctx context.Context) (Ledger, error) {
	sum := Ledger{Counts: map[Count]int64{}}
	for _, log := range []*Partition{p, p.activities} {
		l, err := log.books(ctx)
		if err != nil {
			return Ledger{}, err
		}
		sum.add(l)
	}
	var err error
	sum.Dead, err = p.s.letterCounts.get(ctx, p.s, p.id.number)
	return sum, err
}

// books is what the owner of a log knows of it, without the dead letters.
func (p *Partition) books(ctx context.Context) (l Ledger, err error) {
	p.mu.Lock()
	l.count(p.stored.counters)
	l.Oldest, l.Reading = p.progress.oldest(), p.reading()
	settled := p.progress.settledEvents(nil)
	p.mu.Unlock()
	accepted, err := p.s.accepted(ctx, p.id) // after the rest: what has been read is never more than was accepted
	if err != nil {
		return Ledger{}, err
	}
	l.Accepted = int64(accepted)
	l.Pending = l.Accepted - settled
	return l, nil
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

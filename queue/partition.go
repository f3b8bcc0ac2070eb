package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"go.uber.org/zap"
)

// Partition is the owner's side of one of the logs. One goroutine calls Run; Record, Commit and Skip may be called from many.
// The log of contacts brings that of activities along, see Activities; everything here is there twice but the standing.
type Partition struct {
	*standing

	s          *Store
	id         logID
	activities *Partition // nil in the log of activities itself
	erased     *erasure   // of users, in both logs
	log        *zap.Logger

	oldHorizon uint64 // items: how far an earlier owner may have read
	oldEnd     uint64 // the partition's last pack when this owner began
	// nothingLeft says that an earlier run has settled all of it: there is nothing to be read again.
	nothingLeft bool
	recovered   chan struct{}
	recoverOne  sync.Once

	mu       sync.Mutex
	progress *progress
	strays   strays
	stored   storedState
}

// storedState mirrors what STATE holds for this partition. Only the committer writes it, after a commit.
type storedState struct {
	counters    counters
	countersRev uint64
	floor       uint64
	horizon     uint64 // in items, compared with the running total in the packs' headers
	horizonRev  uint64
}

// openPartition reads what STATE and the logs say. With a lease: after it was taken, so that nobody else changes it any more.
func (s *Store) openPartition(ctx context.Context, number int, l *lease) (*Partition, error) {
	shared := &standing{lease: l, failed: make(chan struct{}), fence: newLetterFence()}
	p, err := s.openLog(ctx, logID{number: number}, shared)
	if err != nil {
		return nil, err
	}
	if p.activities, err = s.openLog(ctx, logID{number: number, activities: true}, shared); err != nil {
		return nil, err
	}
	p.erased = &erasure{}
	p.activities.erased = p.erased
	return p, nil
}

func (s *Store) openLog(ctx context.Context, id logID, shared *standing) (*Partition, error) {
	p := &Partition{standing: shared, s: s, id: id, log: s.log.With(zap.String("partition", id.String())), recovered: make(chan struct{})}
	var err error
	if p.stored.floor, _, err = s.readNumber(ctx, s.names.floor(id)); err != nil {
		return nil, err
	}
	if p.stored.horizon, p.stored.horizonRev, err = s.readNumber(ctx, s.names.horizon(id)); err != nil {
		return nil, err
	}
	data, rev, err := s.readState(ctx, s.names.counters(id))
	if err != nil {
		return nil, err
	}
	if rev > 0 {
		if p.stored.counters, err = decodeCounters(data); err != nil {
			return nil, err
		}
		p.stored.countersRev = rev
	}
	p.strays = newStrays(p.stored.counters)
	info, err := s.events.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking for the state of the log: %w", err)
	}
	if info.State.LastSeq < p.stored.floor { // new packs would get numbers that count as settled, and never be read
		return nil, fmt.Errorf("%w: EVENTS ends at %d but STATE has settled %d: restore both from one backup, or start with an empty data_dir",
			ErrMismatch, info.State.LastSeq, p.stored.floor)
	}
	last, err := s.lastPack(ctx, id)
	if err != nil {
		return nil, err
	}
	if last != nil {
		p.oldEnd = last.Sequence
	}
	p.oldHorizon = p.stored.horizon
	p.progress = newProgress(p.stored.floor)
	p.nothingLeft = p.oldEnd <= p.stored.floor
	if p.progress.readEvents, err = s.eventsUpTo(ctx, id, p.stored.floor); err != nil {
		return nil, err
	}
	return p, nil
}

func (s *Store) readNumber(ctx context.Context, subject string) (n, rev uint64, err error) {
	data, rev, err := s.readState(ctx, subject)
	if err != nil || rev == 0 {
		return 0, 0, err
	}
	if n, err = strconv.ParseUint(string(data), 10, 64); err != nil {
		return 0, 0, fmt.Errorf("%w: %s is unreadable: %w", ErrMismatch, subject, err)
	}
	return n, rev, nil
}

// Number is the partition's number, from 0.
func (p *Partition) Number() int { return p.id.number }

// Owns says whether a user's events are in this partition; user is a token, as User makes it.
func (p *Partition) Owns(user string) bool {
	raw, err := userEncoding.DecodeString(user)
	return err == nil && len(raw) == userBytes && p.s.identity.partition([userBytes]byte(raw)) == p.id.number
}

// Record is a user's record and its revision, 0 if there is none yet. Each log has records of its own.
func (p *Partition) Record(ctx context.Context, user string) (data []byte, rev uint64, err error) {
	return p.s.readState(ctx, p.s.names.record(p.id, user))
}

// Recovered is closed once the reader has come as far as any earlier owner may have read. Nothing may be sent before.
func (p *Partition) Recovered() <-chan struct{} { return p.recovered }

// reading says that an earlier owner's events are still being read again.
func (p *Partition) reading() bool {
	select {
	case <-p.recovered:
		return false
	default:
		return !p.nothingLeft
	}
}

// Skip settles items that an earlier run has settled already: the user's record says so. Nothing is committed.
func (p *Partition) Skip(positions ...uint64) {
	p.mu.Lock()
	var err error
	for _, position := range positions {
		err = errors.Join(err, p.progress.settled(position))
	}
	p.mu.Unlock()
	if err != nil {
		p.fail(err)
	}
}

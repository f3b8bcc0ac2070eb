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
type Partition struct {
	s      *Store
	number int
	log    *zap.Logger

	oldHorizon uint64 // items: how far an earlier owner may have read
	oldEnd     uint64 // the partition's last pack when this owner began
	recovered  chan struct{}
	recoverOne sync.Once

	failed chan struct{} // closed on an error after which this process must not go on

	mu       sync.Mutex
	err      error
	lease    *lease // nil with an embedded broker
	renewing bool   // a renewal is on its way to the committer
	progress *progress
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

// openPartition reads what STATE and the log say. With a lease: after it was taken, so that nobody else changes it any more.
func (s *Store) openPartition(ctx context.Context, number int, l *lease) (*Partition, error) {
	p := &Partition{
		s: s, number: number, log: s.log.With(zap.Int("partition", number)), recovered: make(chan struct{}), failed: make(chan struct{}), lease: l,
	}
	var err error
	if p.stored.floor, _, err = s.readNumber(ctx, s.names.floor(number)); err != nil {
		return nil, err
	}
	if p.stored.horizon, p.stored.horizonRev, err = s.readNumber(ctx, s.names.horizon(number)); err != nil {
		return nil, err
	}
	data, rev, err := s.readState(ctx, s.names.counters(number))
	if err != nil {
		return nil, err
	}
	if rev > 0 {
		if p.stored.counters, err = decodeCounters(data); err != nil {
			return nil, err
		}
		p.stored.countersRev = rev
	}
	info, err := s.events.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking for the state of the log: %w", err)
	}
	if info.State.LastSeq < p.stored.floor { // new packs would get numbers that count as settled, and never be read
		return nil, fmt.Errorf("%w: EVENTS ends at %d but STATE has settled %d: restore both from one backup, or start with an empty data_dir",
			ErrMismatch, info.State.LastSeq, p.stored.floor)
	}
	last, err := s.lastPack(ctx, number)
	if err != nil {
		return nil, err
	}
	if last != nil {
		p.oldEnd = last.Sequence
	}
	p.oldHorizon = p.stored.horizon
	p.progress = newProgress(p.stored.floor)
	if p.progress.readEvents, err = s.eventsUpTo(ctx, number, p.stored.floor); err != nil {
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
func (p *Partition) Number() int { return p.number }

// Owns says whether a user's events are in this partition; user is a token, as User makes it.
func (p *Partition) Owns(user string) bool {
	raw, err := userEncoding.DecodeString(user)
	return err == nil && len(raw) == userBytes && p.s.identity.partition([userBytes]byte(raw)) == p.number
}

// Record is a user's record and its revision, 0 if there is none yet.
func (p *Partition) Record(ctx context.Context, user string) (data []byte, rev uint64, err error) {
	return p.s.readState(ctx, p.s.names.user(user))
}

// Recovered is closed once the reader has come as far as any earlier owner may have read. Nothing may be sent before.
func (p *Partition) Recovered() <-chan struct{} { return p.recovered }

// Failed is closed when the store can no longer be trusted by this process; Err says why.
func (p *Partition) Failed() <-chan struct{} { return p.failed }

// Err is the reason why the partition failed, or nil.
func (p *Partition) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *Partition) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		close(p.failed)
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

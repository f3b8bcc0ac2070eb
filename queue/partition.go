package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Partition is the owner's side of the log. One goroutine calls Run; Record, Commit and Skip may be called from many.
type Partition struct {
	s   *Store
	log *zap.Logger

	oldHorizon uint64 // items: how far an earlier owner may have read
	oldEnd     uint64 // the log's last pack when this owner began
	recovered  chan struct{}
	recoverOne sync.Once

	commits commitQueue
	stopped chan struct{} // the committer has ended
	giveUp  context.CancelFunc
	failed  chan struct{} // closed on an error after which this process must not go on

	mu       sync.Mutex
	err      error
	progress *progress
	stored   storedState
}

// storedState mirrors what STATE holds for this partition. Only the committer writes it, after a commit.
type storedState struct {
	counters    counters
	countersRev uint64
	floor       uint64
	horizon     uint64 // in items, compared with the running total in the packs' headers
}

func (s *Store) openPartition(ctx context.Context) (*Partition, error) {
	p := &Partition{
		s: s, log: s.log, recovered: make(chan struct{}), commits: commitQueue{wake: make(chan struct{}, 1)},
		stopped: make(chan struct{}), failed: make(chan struct{}),
	}
	var err error
	if p.stored.floor, err = s.readNumber(ctx, "floor.0"); err != nil {
		return nil, err
	}
	if p.stored.horizon, err = s.readNumber(ctx, "horizon.0"); err != nil {
		return nil, err
	}
	data, rev, err := s.readState(ctx, s.names.state("counters.0"))
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
	p.oldHorizon, p.oldEnd = p.stored.horizon, info.State.LastSeq
	p.progress = newProgress(p.stored.floor)
	if p.progress.readEvents, err = s.eventsUpTo(ctx, p.stored.floor); err != nil {
		return nil, err
	}
	commitCtx, giveUp := context.WithCancel(context.Background())
	p.giveUp = giveUp
	go p.commitLoop(commitCtx)
	return p, nil
}

func (s *Store) readNumber(ctx context.Context, key string) (uint64, error) {
	data, rev, err := s.readState(ctx, s.names.state(key))
	if err != nil || rev == 0 {
		return 0, err
	}
	n, err := strconv.ParseUint(string(data), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %s is unreadable: %w", ErrMismatch, key, err)
	}
	return n, nil
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

// close commits what waits and ends the committer. A broker that does not answer is given one timeout: what is not
// committed then is read again by the next start.
func (p *Partition) close() {
	p.commits.close(errClosed)
	stop := time.AfterFunc(commitTimeout, p.giveUp)
	<-p.stopped
	stop.Stop()
	p.giveUp()
}

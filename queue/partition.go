package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// horizonStep is how many items the horizon is committed ahead: one commit per 5,000 items, and after a crash at most
// that many items, beyond those that were being worked on, are read before anything is sent.
const horizonStep = 5000

const (
	trimEvery = 2 * time.Second
	readAhead = 16 // packs that the client may buffer: at most 8 MB
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
	p.oldHorizon, p.oldEnd = p.stored.horizon, info.State.LastSeq
	p.progress = newProgress(p.stored.floor)
	if p.progress.readEvents, err = s.eventsUpTo(ctx, p.stored.floor); err != nil {
		return nil, err
	}
	go p.commitLoop()
	return p, nil
}

// eventsUpTo is how many events the log held up to and including pack seq, which may be trimmed.
func (s *Store) eventsUpTo(ctx context.Context, seq uint64) (uint64, error) {
	msg, err := s.events.GetMsg(ctx, max(seq, 1), jetstream.WithGetMsgSubject(s.names.events()))
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

// readState is the last value of a STATE subject and its revision; revision 0 means that there is none.
func (s *Store) readState(ctx context.Context, subject string) (data []byte, rev uint64, err error) {
	msg, err := s.state.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading STATE: %w", err)
	}
	return msg.Data, msg.Sequence, nil
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

// Run reads the log from the floor and hands each pack to deliver, in order, until parent ends or the partition fails.
// deliver may block to hold the reader back, but not before Recovered is closed. Run trims the log behind the floor.
func (p *Partition) Run(parent context.Context, deliver func(ctx context.Context, items []Item) error) error {
	if err := p.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	trimmed := make(chan struct{})
	go func() {
		defer close(trimmed)
		p.trimLoop(ctx)
	}()
	go func() {
		select {
		case <-p.failed:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := p.read(ctx, deliver)
	cancel()
	<-trimmed
	if failure := p.Err(); failure != nil {
		return failure
	}
	if parent.Err() != nil {
		return nil // stopping is not failing
	}
	return err
}

func (p *Partition) read(ctx context.Context, deliver func(context.Context, []Item) error) error {
	start := p.stored.floor + 1
	if p.oldEnd < start {
		p.setRecovered() // nothing is left of the earlier run
	}
	consumer, err := p.s.js.OrderedConsumer(ctx, p.s.names.stream("EVENTS"), jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{p.s.names.events()}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: start,
	})
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	defer p.s.dropConsumer("EVENTS", consumer)
	messages, err := consumer.Messages(jetstream.PullMaxMessages(readAhead))
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if errors.Is(err, jetstream.ErrNoHeartbeat) {
			continue // the consumer is made again by the client
		}
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		if err := p.take(ctx, msg, deliver); err != nil {
			return err
		}
	}
}

// take hands one pack out, after the horizon covers it.
func (p *Partition) take(ctx context.Context, msg jetstream.Msg, deliver func(context.Context, []Item) error) error {
	meta, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	seq := meta.Sequence.Stream
	totalEvents, totalItems, err := packTotals(msg.Headers())
	if err != nil {
		return fmt.Errorf("pack %d: %w", seq, err)
	}
	items, err := decodePack(seq, msg.Data())
	if err != nil {
		return err
	}
	if err := p.coverHorizon(ctx, totalItems); err != nil {
		return err
	}
	p.mu.Lock()
	p.progress.read(seq, totalEvents, meta.Timestamp, items)
	p.mu.Unlock()
	if err := deliver(ctx, items); err != nil {
		return err
	}
	if totalItems >= p.oldHorizon || seq >= p.oldEnd {
		p.setRecovered()
	}
	return nil
}

func (p *Partition) setRecovered() { p.recoverOne.Do(func() { close(p.recovered) }) }

// coverHorizon commits a further horizon if the next pack lies beyond the present one.
func (p *Partition) coverHorizon(ctx context.Context, totalItems uint64) error {
	p.mu.Lock()
	covered := totalItems <= p.stored.horizon
	p.mu.Unlock()
	if covered {
		return nil
	}
	done := make(chan error, 1)
	p.Commit(&Settlement{horizon: totalItems + horizonStep, Done: func(_ uint64, err error) { done <- err }})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// trimLoop removes what lies below the floor, on a timer: also when nothing is committed any more.
func (p *Partition) trimLoop(ctx context.Context) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	var trimmedTo uint64
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		floor, read, storedFloor := p.progress.floor, p.progress.readSeq, p.stored.floor
		p.mu.Unlock()
		if floor > storedFloor {
			p.Commit(&Settlement{Done: func(uint64, error) {}}) // takes the floor along
		}
		// The last pack always stays: its header holds the running totals.
		keep := min(storedFloor+1, read)
		if keep <= trimmedTo {
			continue
		}
		if err := p.s.events.Purge(ctx, jetstream.WithPurgeSequence(keep)); err != nil {
			if ctx.Err() == nil {
				p.log.Warn("trimming the log failed, trying again", zap.Error(err))
			}
			continue
		}
		trimmedTo = keep
	}
}

// close commits what waits and ends the committer.
func (p *Partition) close() {
	p.commits.close(errClosed)
	<-p.stopped
}

package queue

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/failpoint"
)

// releasePatience is how long a stop waits for a lease to be given back; one that is not runs out by itself.
const releasePatience = 2 * time.Second

// forgetAfter is after how many lease times without a sign somebody removes a process's announcement.
const forgetAfter = 10

// ownership decides which partitions this process owns on a broker that it shares with others. Every process announces
// itself, takes at most an equal share of the partitions, and gives back what it has beyond that.
type ownership struct {
	s    *Store
	log  *zap.Logger
	id   string // of this process
	time time.Duration
	run  func(context.Context, *Partition) error

	seen      map[string]sighting // by subject
	tenures   map[int]*tenure
	ended     chan tenureEnd
	announced time.Time
	told      string // of the spread, last said in the log
}

// sighting is the revision of a subject and since when this process has seen it, on its own clock.
type sighting struct {
	rev   uint64
	since time.Time
}

// tenure is the time in which this process owns one partition.
type tenure struct {
	p        *Partition
	stop     context.CancelFunc
	stopping bool
}

type tenureEnd struct {
	number int
	err    error
}

func (s *Store) newOwnership(run func(context.Context, *Partition) error) *ownership {
	return &ownership{
		s: s, log: s.log.Named("ownership"), id: s.process, time: s.cfg.External.lease(), run: run,
		seen: map[string]sighting{}, tenures: map[int]*tenure{}, ended: make(chan tenureEnd, s.identity.Partitions),
	}
}

// keep takes and gives back partitions until parent ends or a partition fails, and then gives all back.
func (o *ownership) keep(parent context.Context) error {
	tick := time.NewTicker(o.time / leaseParts)
	defer tick.Stop()
	done := parent.Done()
	var failure error
	stopping := false
	for {
		switch {
		case stopping && len(o.tenures) == 0:
			o.leave()
			return failure
		case stopping:
			o.renew()
		default:
			if err := o.round(parent); err != nil && parent.Err() == nil {
				if errors.Is(err, ErrMismatch) {
					failure, stopping = err, true
					o.stopAll()
					continue
				}
				o.log.Warn("looking after the partitions failed, trying again", zap.Error(err))
			}
		}
		select {
		case <-tick.C:
		case end := <-o.ended:
			delete(o.tenures, end.number)
			switch {
			case end.err == nil || errors.Is(end.err, ErrLost):
			case final(end.err):
				if failure == nil {
					failure, stopping = end.err, true
					o.stopAll()
				}
			default: // the servers' trouble, as a rule: the partition is free for whoever has none
				o.log.Warn("a partition could not be worked on and was given back", zap.Int("partition", end.number), zap.Error(end.err))
			}
		case <-done:
			done, stopping = nil, true
			o.stopAll()
		}
	}
}

// final says that the process must not go on: the store is not what it took it for, or nothing is committed any more.
func final(err error) bool {
	for _, kind := range []error{ErrConflict, ErrMismatch, errClosed, errPack} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

func (o *ownership) stopAll() {
	for _, t := range o.tenures {
		t.stop()
		t.stopping = true
	}
}

// round is one look around, and what follows from it.
func (o *ownership) round(ctx context.Context) error {
	o.renew()
	if err := o.announce(ctx); err != nil {
		return err
	}
	processes, err := o.processes(ctx)
	if err != nil {
		return err
	}
	share := (o.s.identity.Partitions + processes - 1) / processes
	o.giveBack(share)
	free, err := o.free(ctx)
	if err != nil {
		return err
	}
	for _, f := range free {
		if o.active() >= share {
			break
		}
		o.renew() // taking many over takes its time
		if err := o.take(ctx, f); err != nil {
			return err
		}
	}
	if told := fmt.Sprint(o.active(), processes); told != o.told {
		o.told = told
		o.log.Info("partitions owned", zap.Int("owned", o.active()), zap.Int("of", o.s.identity.Partitions), zap.Int("processes", processes))
	}
	return nil
}

func (o *ownership) active() (n int) {
	for _, t := range o.tenures {
		if !t.stopping {
			n++
		}
	}
	return n
}

// renew asks the committer for renewals that are due; it sends them, so that no batch of its own is fenced by an older one.
func (o *ownership) renew() {
	for _, t := range o.tenures {
		if t.p.toRenew() {
			t.p.Commit(&Settlement{Done: func(uint64, error) { t.p.renewalAnswered() }})
		}
	}
}

// announce says that this process lives and takes its share.
func (o *ownership) announce(ctx context.Context) error {
	if now := time.Now(); o.announced.IsZero() || now.Sub(o.announced) >= renewParts*o.time/leaseParts {
		if _, err := o.publish(ctx, o.s.names.process(o.id), []byte("{}")); err != nil {
			return fmt.Errorf("announcing this process: %w", err)
		}
		o.announced = now
	}
	return nil
}

// leave takes the announcement back. Without it the others would wait for this process's share to be taken by it.
func (o *ownership) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), releasePatience)
	defer cancel()
	if err := o.s.state.Purge(ctx, jetstream.WithPurgeSubject(o.s.names.process(o.id))); err != nil {
		o.log.Debug("this process's announcement could not be taken back", zap.Error(err))
	}
}

// processes counts those that gave a sign within a lease time, this one included.
func (o *ownership) processes(ctx context.Context) (int, error) {
	info, err := o.s.state.Info(ctx, jetstream.WithSubjectFilter(o.s.names.process("*")))
	if err != nil {
		return 0, fmt.Errorf("looking for other processes: %w", err)
	}
	n := 1
	for subject := range info.State.Subjects {
		if subject == o.s.names.process(o.id) {
			continue
		}
		_, rev, err := o.s.readState(ctx, subject)
		if err != nil {
			return 0, err
		}
		switch stood := o.sight(subject, rev); {
		case rev == 0:
		case stood < o.time:
			n++
		case stood > forgetAfter*o.time:
			if err := o.s.state.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(rev+1)); err != nil {
				return 0, fmt.Errorf("removing the announcement of a process that is gone: %w", err)
			}
		}
	}
	return n, nil
}

// sight notes a revision and says for how long it has stood. It is called after the answer has come: whoever wrote the
// revision has sent it before.
func (o *ownership) sight(subject string, rev uint64) time.Duration {
	now := time.Now()
	if s, ok := o.seen[subject]; ok && s.rev == rev {
		return now.Sub(s.since)
	}
	o.seen[subject] = sighting{rev: rev, since: now}
	return 0
}

// giveBack stops partitions beyond the share, those that this process prefers least.
func (o *ownership) giveBack(share int) {
	var numbers []int
	for n, t := range o.tenures {
		if !t.stopping {
			numbers = append(numbers, n)
		}
	}
	o.prefer(numbers)
	for _, n := range numbers[min(share, len(numbers)):] {
		o.log.Info("giving a partition back", zap.Int("partition", n), zap.Int("share", share))
		o.tenures[n].stop()
		o.tenures[n].stopping = true
	}
}

// prefer orders partitions by a hash with the process, so that several that look for some at once do not want the same.
func (o *ownership) prefer(numbers []int) {
	rank := func(n int) uint64 {
		h := fnv.New64a()
		_, _ = h.Write([]byte(o.id + "." + strconv.Itoa(n)))
		return h.Sum64()
	}
	slices.SortFunc(numbers, func(a, b int) int {
		if ra, rb := rank(a), rank(b); ra != rb {
			if ra < rb {
				return -1
			}
			return 1
		}
		return a - b
	})
}

// freeLease is a lease that may be taken, at the revision at which that was seen.
type freeLease struct {
	number int
	rev    uint64
}

// free finds the leases that nobody holds or whose holder has not renewed them for a whole lease time.
func (o *ownership) free(ctx context.Context) ([]freeLease, error) {
	revs := map[int]uint64{}
	var numbers []int
	for n := range o.s.identity.Partitions {
		if o.tenures[n] != nil {
			continue
		}
		subject := o.s.names.lease(n)
		data, rev, err := o.s.readState(ctx, subject)
		if err != nil {
			return nil, err
		}
		h, err := decodeHolder(data)
		if err != nil {
			return nil, err
		}
		// One that bears this process's name without a tenure is what is left of an unclear attempt to take it.
		if stood := o.sight(subject, rev); h.Process == "" || h.Process == o.id || stood >= o.time {
			numbers, revs[n] = append(numbers, n), rev
		}
	}
	o.prefer(numbers)
	free := make([]freeLease, len(numbers))
	for i, n := range numbers {
		free[i] = freeLease{n, revs[n]}
	}
	return free, nil
}

// take tries to get a lease and begins a tenure. Not getting it is no error: another process was quicker, or the outcome
// is unclear and the next round sees.
func (o *ownership) take(ctx context.Context, f freeLease) error {
	l := &lease{holder: holder{Process: o.id, Tenure: nuid.Next()}, sent: time.Now(), time: o.time}
	failpoint.Hit(failpoint.LeaseBefore)
	rev, err := o.publish(ctx, o.s.names.lease(f.number), l.holder.encode(), jetstream.WithExpectLastSequencePerSubject(f.rev))
	if err != nil {
		o.log.Debug("a lease was not to be had", zap.Int("partition", f.number), zap.Error(err))
		return nil
	}
	failpoint.Hit(failpoint.LeaseAfter)
	l.rev = rev
	p, err := o.s.openPartition(ctx, f.number, l)
	if err != nil {
		_, freeErr := o.publish(ctx, o.s.names.lease(f.number), holder{}.encode(), jetstream.WithExpectLastSequencePerSubject(rev))
		return errors.Join(fmt.Errorf("opening partition %d: %w", f.number, err), freeErr)
	}
	o.begin(ctx, p)
	return nil
}

func (o *ownership) publish(ctx context.Context, subject string, data []byte, opts ...jetstream.PublishOpt) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	ack, err := o.s.js.Publish(ctx, subject, data, append(opts, jetstream.WithRetryAttempts(0))...)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// begin runs a tenure in the background: the confirmation that what was read is what is stored, the work, the giving back.
func (o *ownership) begin(ctx context.Context, p *Partition) {
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	o.tenures[p.id.number] = &tenure{p: p, stop: stop}
	o.s.setOwned(p.id.number, p)
	o.log.Debug("partition taken", zap.Int("partition", p.id.number))
	go func() {
		defer stop()
		err := p.confirm(runCtx)
		if err == nil {
			err = o.run(runCtx, p)
		}
		if runCtx.Err() != nil && errors.Is(err, context.Canceled) {
			err = nil // stopped before it had begun
		}
		p.release()
		o.s.setOwned(p.id.number, nil)
		o.ended <- tenureEnd{p.id.number, err}
	}()
}

// confirm commits what was read at the opening, compared with its revisions: an answer that a deposed leader gave from an
// older state of the stream is found out here, before anything rests on it.
func (p *Partition) confirm(ctx context.Context) error {
	logs := []*Partition{p, p.activities}
	done := make(chan error, len(logs))
	for _, l := range logs {
		l.Commit(&Settlement{confirm: true, Done: func(_ uint64, err error) { done <- err }})
	}
	for range logs {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// release gives the lease back; everything of this tenure that is to be committed has been.
func (p *Partition) release() {
	if p.Err() == nil {
		done := make(chan error, 1)
		p.Commit(&Settlement{release: true, Done: func(_ uint64, err error) { done <- err }})
		timer := time.NewTimer(releasePatience)
		defer timer.Stop()
		select {
		case err := <-done:
			if err != nil {
				p.log.Debug("a lease could not be given back, it runs out", zap.Error(err))
			}
		case <-timer.C:
		}
	}
	p.fail(ErrLost)
}

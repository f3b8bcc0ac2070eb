package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/failpoint"
)

// releasePatience is how long a stop waits for a lease to be given back; one that is not runs out by itself.
const releasePatience = 2 * time.Second

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

// take tries to get a lease and begins a tenure. Not getting it is no error: another process was quicker, or the outcome
// is unclear and the next round sees.
func (o *ownership) take(ctx context.Context, f freeLease) error {
	l := &lease{holder: holder{Process: o.id, Tenure: nuid.Next()}, sent: time.Now(), time: o.time}
	failpoint.Hit(failpoint.LeaseBefore)
	rev, err := o.s.writeState(ctx, o.s.names.lease(f.number), l.holder.encode(), jetstream.WithExpectLastSequencePerSubject(f.rev))
	if err != nil {
		o.log.Debug("a lease was not to be had", zap.Int("partition", f.number), zap.Error(err))
		return nil
	}
	failpoint.Hit(failpoint.LeaseAfter)
	l.rev = rev
	p, err := o.s.openPartition(ctx, f.number, l)
	if err != nil {
		_, freeErr := o.s.writeState(ctx, o.s.names.lease(f.number), holder{}.encode(), jetstream.WithExpectLastSequencePerSubject(rev))
		return errors.Join(fmt.Errorf("opening partition %d: %w", f.number, err), freeErr)
	}
	o.begin(ctx, p)
	return nil
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
			err = p.fenceOff(runCtx)
		}
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
	return commitAll(ctx, Settlement{confirm: true}, p, p.activities)
}

// commitAll commits the same for some logs, and waits for it.
func commitAll(ctx context.Context, s Settlement, logs ...*Partition) error {
	done := make(chan error, len(logs))
	for _, l := range logs {
		own := s
		own.Done = func(_ uint64, err error) { done <- err }
		l.Commit(&own)
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

// fenceOff keeps former owners' letters out from now on. Where DEAD is full nobody can store any, and the fence is left for later.
func (p *Partition) fenceOff(ctx context.Context) error {
	err := p.fenced(ctx)
	if errors.Is(err, ErrFull) {
		p.log.Warn("no dead letter can be stored", zap.Error(err))
		return nil
	}
	return err
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

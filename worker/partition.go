package worker

import (
	"cmp"
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/queue"
)

// partition is what the pool has per partition that this process owns: the lanes, their reader and their letters. It comes
// and goes with the ownership; what is the account's (gate, fields, concurrency) stays in the pool.
type partition struct {
	pool    *Pool
	log     *queue.Partition
	backlog *backlog
	again   *redelivery
	bulks   *bulks
	// contacts is the other half of the partition, for the half that performs activities; nil for the one that is about contacts.
	contacts *partition
}

// work reads and delivers one partition until ctx ends, then lets calls under way finish. It returns nil when it was told
// to stop, and an error when the partition can no longer be trusted.
func (p *Pool) work(ctx context.Context, log *queue.Partition) error {
	part := &partition{pool: p, log: log, backlog: newBacklog(p.cfg.ReadAhead/p.store.Partitions(), p.behind), again: newRedelivery(p.store, p.mode.writes, log.Owns, log.HasDead, p.log)}
	defer p.backlogs.enter(part.backlog)()
	defer p.users.enter(part.backlog)()
	part.bulks = newBulks(part, p.log)
	activities := newActivities(part)
	defer p.backlogs.enter(activities.backlog)()
	for _, half := range []*partition{part, activities} {
		if err := half.reconcile(ctx); err != nil {
			if ctx.Err() != nil {
				return nil // stopping is not failing
			}
			return err
		}
	}
	waitCtx, stop := context.WithCancelCause(ctx)
	defer stop(errStopping)
	callCtx, cancelCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelCalls()

	var wg, serving sync.WaitGroup
	wg.Go(func() { // whoever has lost the partition must not go on with a call, either
		select {
		case <-log.Failed():
			cancelCalls()
		case <-callCtx.Done():
		}
	})
	wg.Go(func() { part.again.run(waitCtx) })
	if p.mode.Name != ModeLive {
		wg.Go(func() {
			for sleep(waitCtx, watchEvery) {
				part.backlog.wakeDue(time.Now())
			}
		})
	}
	serving.Go(func() {
		select {
		case <-log.Recovered():
		case <-waitCtx.Done():
			return
		}
		for { // trouble with our own store ends by itself, or ends the process
			err := part.bulks.recover(waitCtx, callCtx)
			if waitCtx.Err() != nil {
				return
			}
			if err == nil {
				break
			}
			p.log.Error("the marks of bulks could not be read, trying again", zap.Error(err))
			if !sleep(waitCtx, time.Second) {
				return
			}
		}
		serving.Go(func() { part.bulks.run(waitCtx, callCtx) })
		for range p.cfg.Concurrency {
			serving.Go(func() { part.serve(waitCtx, callCtx) })
		}
	})
	performing := make(chan error, 1)
	activities.start(waitCtx, callCtx, serving.Go)
	wg.Go(func() {
		err := activities.log.Run(waitCtx, activities.take)
		stop(errStopping) // an error ends both
		performing <- err
	})
	err := log.Run(waitCtx, part.take)
	stop(errStopping)
	hard := time.AfterFunc(StopTimeout, cancelCalls)
	defer hard.Stop()
	serving.Wait()
	cancelCalls()
	wg.Wait()
	return cmp.Or(err, <-performing)
}

// take puts a pack's items into their lanes and holds the reader back while too much waits there.
func (part *partition) take(ctx context.Context, items []queue.Item) error {
	select {
	case <-part.log.Recovered():
		part.backlog.add(items, false)
		if !part.backlog.full() {
			return nil
		}
		if part.pool.mode.Name != ModeLive {
			part.pool.mode.full.Add(1)
			defer part.pool.mode.full.Add(-1)
		}
		return part.backlog.hasRoom(ctx)
	default:
		part.backlog.add(items, true)
		return nil // the reader must first come as far as before the start, whatever it takes
	}
}

// serve is one runner: it takes ready lanes and does one turn of each, as far as the pool's concurrency lets it.
func (part *partition) serve(waitCtx, callCtx context.Context) {
	for {
		l, release := part.backlog.next(waitCtx)
		if l == nil || !part.pool.begin(waitCtx) {
			release()
			return // a lane in hand is let go: what is not settled is read again
		}
		t := newTurn(waitCtx, callCtx, part, l)
		err := t.run()
		part.pool.end()
		release()
		if err != nil && waitCtx.Err() == nil {
			// Trouble with our own store, or a lease that is renewed late. The lane keeps its items and comes again.
			part.pool.log.Error("a user's events could not be worked on, trying again", zap.String("lane", l.user), zap.Error(err))
			part.retryLater(l, l.stall())
		}
	}
}

// retryLater gives the lane back after a wait. A stop does not wait for it: what is not settled is read again.
func (part *partition) retryLater(l *lane, wait time.Duration) {
	part.backlog.plan(l, l.attempts(), wait)
	time.AfterFunc(wait, func() { part.backlog.giveBack(l) })
}

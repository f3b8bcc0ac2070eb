package replay

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/queue"
)

const (
	// sweepEvery is how often the letters' ages are looked at.
	sweepEvery = time.Hour
	// WarnBefore is how long before letters expire that is said.
	WarnBefore = 7 * 24 * time.Hour
	// ReasonExpired is the reason under which expired letters are discarded.
	ReasonExpired = "expired"
)

// ages knows how old the letters are, as of the last sweep.
type ages struct {
	retention time.Duration

	mu  sync.Mutex
	now Ages
}

// Ages is what a look at all letters has found.
type Ages struct {
	Oldest   time.Time // first try of the oldest letter; zero without letters
	Expires  time.Time // when the first letter expires; zero without letters, or if they are kept for ever
	Expiring int       // letters that expire within WarnBefore
}

// Ages tells what the last sweep found.
func (r *Runner) Ages() Ages {
	r.ages.mu.Lock()
	defer r.ages.mu.Unlock()
	return r.ages.now
}

// keepAges sweeps until ctx ends.
func (r *Runner) keepAges(ctx context.Context) {
	for {
		if err := r.sweep(ctx, time.Now().UTC()); err != nil && ctx.Err() == nil {
			r.log.Warn("the dead letters' ages could not be looked at, trying again", zap.Error(err))
		}
		if !sleep(ctx, sweepEvery) {
			return
		}
	}
}

// sweep looks at every letter's age, says which will expire, and gives up those that have.
func (r *Runner) sweep(ctx context.Context, now time.Time) error {
	if r.store.Partition() == nil {
		return nil // several processes: the owner of the first partition does it
	}
	var found Ages
	expired := 0
	keep := r.ages.retention
	err := r.store.EachLetter(ctx, queue.LetterFilter{}, func(l queue.Letter) error {
		if found.Oldest.IsZero() || l.FirstTry.Before(found.Oldest) {
			found.Oldest = l.FirstTry
		}
		switch left := keep - now.Sub(l.FirstTry); {
		case keep <= 0:
		case left <= 0:
			expired++
		case left <= WarnBefore:
			found.Expiring++
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if keep > 0 && !found.Oldest.IsZero() {
		found.Expires = found.Oldest.Add(keep)
	}
	r.ages.mu.Lock()
	r.ages.now = found
	r.ages.mu.Unlock()
	if found.Expiring > 0 {
		r.log.Warn("dead letters will expire: replay, export or discard them, or raise dead.retention", zap.Int("letters", found.Expiring),
			zap.Duration("within", WarnBefore), zap.Time("first", found.Expires))
	}
	if expired == 0 {
		return nil
	}
	if busy, err := r.givingUp(ctx); busy || err != nil {
		return err // what has expired since waits for the next sweep
	}
	r.log.Warn("dead letters have expired and are given up", zap.Int("letters", expired), zap.Duration("retention", keep))
	if err := r.store.Audit(ctx, queue.AuditEntry{Actor: "freshrelay", Action: ActionDiscard, Count: expired, Detail: "expired"}); err != nil {
		return err
	}
	_, err = r.Start(ctx, Job{Action: ActionDiscard, Actor: "freshrelay", Reason: ReasonExpired, Filter: queue.LetterFilter{FirstBefore: now.Add(-keep)}})
	return err
}

// givingUp says whether an earlier sweep's letters are still being given up: each job more would take the place of somebody's.
func (r *Runner) givingUp(ctx context.Context) (bool, error) {
	list, err := r.jobs(ctx)
	return slices.ContainsFunc(list, func(j Job) bool { return j.State == StateRunning && j.Reason == ReasonExpired }), err
}

package worker

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// run takes blocks for whoever waits, until ctx ends.
func (q *quota) run(ctx context.Context) {
	retry := newBackOff(quotaRetry, quotaRetryMax)
	for ctx.Err() == nil {
		if q.news() {
			q.tell()
		}
		next := q.serve()
		if next.calls > 0 && next.wait == 0 {
			var err error
			if next.wait, err = q.take(ctx, next.calls); err == nil {
				retry.Reset()
				q.told(nil)
			} else if ctx.Err() == nil {
				next.wait = retry.NextBackOff()
				q.told(err)
			}
			if next.wait == 0 {
				continue
			}
		}
		short := q.isShort(next)
		q.dry(short)
		if q.rest(ctx, next); short {
			q.isShort(next) // all that time
		}
	}
	q.dry(false)
}

// isShort says that others than activities have to wait, and remembers it for those.
func (q *quota) isShort(next queued) bool {
	if next.calls == 0 || next.class == classActivity {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.short = time.Now()
	return true
}

// queued is who is next in line: how many calls it needs, 0 if nobody waits, and how long it has to wait whatever
// STATE says.
type queued struct {
	class class
	calls int
	wait  time.Duration
}

// rest waits for a waiter, or while there is one, as long as it takes until calls come free.
func (q *quota) rest(ctx context.Context, next queued) {
	var over <-chan time.Time
	if next.calls > 0 {
		timer := time.NewTimer(next.wait)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-q.wake:
	case <-over:
	case <-ctx.Done():
	}
}

// serve grants what is at hand, in order, and says who is next.
func (q *quota) serve() queued {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		c, ok := q.turnOf()
		if !ok {
			return queued{}
		}
		w := q.waiting[c][0]
		next := queued{class: c, calls: q.most(w.calls)}
		if c == classActivity {
			if next.wait = q.mind(next.calls); next.wait > 0 {
				return next
			}
		}
		g := q.grantLocked(next.calls)
		if g == nil {
			if !q.cap.lets(next.calls) {
				next.wait = max(time.Millisecond, time.Until(q.cap.until))
			}
			return next
		}
		switch {
		case c == classActivity:
			q.begun = time.Now()
		case c == classReplay:
			q.passed = 0
		case c == classContact && len(q.waiting[classReplay]) > 0:
			q.passed++
		}
		w.ready <- g
		q.waiting[c][0] = nil
		q.waiting[c] = q.waiting[c][1:]
	}
}

// replayShare is how many contacts are served, while contacts and replays wait, before a replay is: a replay must end even
// if there are always more contacts than calls.
const replayShare = 19

// turnOf is the class whose turn it is: the lowest in which somebody waits, but for the replays' share.
func (q *quota) turnOf() (class, bool) {
	if q.passed >= replayShare && len(q.waiting[classReplay]) > 0 && len(q.waiting[classSystem]) == 0 {
		return classReplay, true
	}
	for c, waiting := range q.waiting {
		if len(waiting) > 0 {
			return class(c), true
		}
	}
	return 0, false
}

// mind is how long activities wait so that contacts need not: evenly spread over the hour, none within a minute after
// contacts were short of calls, and none out of the last tenth of the hour and the last quarter of the minute.
func (q *quota) mind(calls int) time.Duration {
	const pause = time.Minute
	limits := q.seen.limits(q.cfg, q.brokerTime(time.Now()))
	space := max(time.Hour/time.Duration(limits.hour), time.Minute/time.Duration(limits.minute)) * time.Duration(calls)
	wait := max(0, space-time.Since(q.begun), pause-time.Since(q.short))
	for _, w := range q.windowsLocked() {
		keep := w.Allowed / 10
		if w.Window == WindowMinute {
			keep = w.Allowed / 4
		}
		if w.Left-calls < keep {
			wait = max(wait, time.Second)
		}
	}
	return wait
}

// told says once that STATE fails, and once that it works again.
func (q *quota) told(err error) {
	switch {
	case err != nil && !q.failing:
		q.log.Warn("no calls can be taken from the quota, so none are made", zap.Error(err))
	case err == nil && q.failing:
		q.log.Info("calls can be taken from the quota again")
	}
	q.failing = err != nil
}

package worker

import (
	"math"
	"slices"
	"time"
)

// QuotaWindow is how one window of the quota stands now, over all processes.
type QuotaWindow struct {
	Window  string // WindowHour or WindowMinute
	Limit   int    // calls the account gives
	Reserve int    // of them for people and other integrations
	Allowed int    // calls we may make: Limit − Reserve, or less after a 429
	Used    int    // calls we made in the window
	Left    int    // calls we may make now
}

// windows tells of the windows that have a limit.
func (q *quota) windows() []QuotaWindow {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.windowsLocked()
}

func (q *quota) windowsLocked() []QuotaWindow {
	now, s := q.brokerTime(time.Now()), q.estimate()
	allowed := s.limits(q.cfg, now)
	var out []QuotaWindow
	for _, w := range []struct {
		name           string
		limit, allowed int
		length         time.Duration
	}{{WindowHour, q.cfg.PerHour, allowed.hour, time.Hour}, {WindowMinute, q.cfg.PerMinute, allowed.minute, time.Minute}} {
		if w.limit == 0 {
			continue
		}
		used := s.used(now, w.length)
		left := max(0, w.allowed-used)
		if q.cap != nil && time.Now().Before(q.cap.until) {
			left = max(0, min(left, q.cap.left))
		}
		out = append(out, QuotaWindow{
			Window: w.name, Limit: w.limit, Reserve: q.cfg.reserved(w.limit), Allowed: w.allowed, Used: used, Left: left,
		})
	}
	return out
}

// estimate is what STATE had last, with what we know better: how much of our own blocks was really spent.
func (q *quota) estimate() spending {
	s := spending{Taken: slices.Clone(q.seen.Taken), Learn: q.seen.Learn}
	for _, b := range append([]*block{q.block}, q.retired...) {
		if b == nil {
			continue
		}
		end := b.last
		if b.flying > 0 {
			end = time.Now()
		}
		s.put(taken{ID: b.id, End: q.brokerTime(end).UnixMilli(), Calls: b.made}, b.id)
	}
	return s
}

// leftThisMinute is how many calls may be made before the minute's end, as far as the hour lets.
func (q *quota) leftThisMinute() int {
	left := math.MaxInt
	if q.cfg.PerMinute == 0 {
		left = DefaultQuota().PerMinute // no limit of ours: what a careful client would take for one
	}
	for _, w := range q.windows() {
		left = min(left, w.Left)
	}
	return left
}

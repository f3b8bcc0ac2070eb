package worker

import (
	"math"
	"sync"
	"time"
)

// effortHalfLife is after how long what was observed counts half.
const effortHalfLife = 10 * time.Minute

// effort knows how many calls events cost lately and how fast they go, for telling when the backlog will be clear.
type effort struct {
	mu            sync.Mutex
	at, began     time.Time
	calls, events float64 // forgotten bit by bit
}

// add notes calls that were made and events that were settled.
func (e *effort) add(calls, events int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fade(time.Now())
	e.calls += float64(calls)
	e.events += float64(events)
}

func (e *effort) fade(now time.Time) {
	if e.began.IsZero() {
		e.began, e.at = now, now
	}
	keep := math.Exp2(-now.Sub(e.at).Seconds() / effortHalfLife.Seconds())
	e.calls, e.events, e.at = e.calls*keep, e.events*keep, now
}

// perEvent is how many calls an event costs: one, until something was observed.
func (e *effort) perEvent() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.events < 1 {
		return 1
	}
	return e.calls / e.events
}

// perSecond is how many events are settled in a second, 0 if none were lately.
func (e *effort) perSecond() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	e.fade(now)
	// What the sum over a constant rate converges to, and has come to by now.
	memory := effortHalfLife.Seconds() / math.Ln2
	memory *= 1 - math.Exp2(-now.Sub(e.began).Seconds()/effortHalfLife.Seconds())
	if memory <= 0 || e.events < 1 {
		return 0
	}
	return e.events / memory
}

// Never is the answer of BacklogClear while nothing is sent for as long as somebody has to mend something.
const Never = time.Duration(math.MaxInt64)

// BacklogClear estimates how long it takes until so many events are delivered: by the calls that events cost lately and
// those that the quota gives, or, without a quota, by how fast events were settled lately. It returns Never while
// sending is held for a reason whose end nobody knows.
func (p *Pool) BacklogClear(pending int64) time.Duration {
	if pending <= 0 {
		return 0
	}
	wait, known := p.gate.opensIn()
	if !known || p.mode.Name != ModeLive { // what waits for another mode waits for somebody
		return Never
	}
	calls := float64(pending) * p.effort.perEvent()
	seconds := 0.0
	if p.cfg.Quota.off() {
		rate := p.effort.perSecond()
		if rate == 0 {
			return Never
		}
		seconds = float64(pending) / rate
	}
	for _, w := range p.gate.quota.windows() {
		length := time.Hour
		if w.Window == WindowMinute {
			length = time.Minute
		}
		if over := calls - float64(w.Left); over > 0 {
			seconds = max(seconds, over/float64(w.Allowed)*length.Seconds())
		}
	}
	if seconds >= Never.Seconds()/2 {
		return Never
	}
	return wait + time.Duration(seconds*float64(time.Second))
}

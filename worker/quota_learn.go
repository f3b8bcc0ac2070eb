package worker

import (
	"slices"
	"time"
)

// Windows of the quota.
const (
	WindowHour   = "hour"
	WindowMinute = "minute"
)

const (
	// recovery is how long it takes until a limit that a 429 taught is forgotten: it rises bit by bit.
	recoveryHour   = 6 * time.Hour
	recoveryMinute = time.Hour
	// capWait is how long a word of the API about what is left is believed if it does not say when it ends. Each time that
	// nothing is left it is believed for twice as long, up to capWaitMax: whoever asks uses up what is left for people.
	capWait    = time.Minute
	capWaitMax = 8 * time.Minute
)

// learnt is a limit below the configured one: the account answered 429 when we had spent so much. Somebody else uses
// more than the reserve, or the plan is smaller than it was said to be.
type learnt struct {
	Window string `json:"window"`
	Calls  int    `json:"calls"`
	At     int64  `json:"at"` // Unix ms by the broker's clock
	// Until is when the answer lets calls be made again, for processes that have not had one; 0 if it did not say.
	Until int64 `json:"until,omitempty"`
}

func (l learnt) recovery() time.Duration {
	if l.Window == WindowMinute {
		return recoveryMinute
	}
	return recoveryHour
}

func (l learnt) over(now time.Time) bool { return now.Sub(time.UnixMilli(l.At)) >= l.recovery() }

// barred is how long a 429 that any process got forbids calls.
func (s *spending) barred(now time.Time) (wait time.Duration) {
	for _, l := range s.Learn {
		wait = max(wait, time.UnixMilli(l.Until).Sub(now))
	}
	return wait
}

// rise is the limit as it is now: it goes back to the configured one in a straight line.
func (l learnt) rise(limit int, now time.Time) int {
	part := float64(max(now.Sub(time.UnixMilli(l.At)), 0)) / float64(l.recovery())
	return min(limit, l.Calls+int(part*float64(limit-l.Calls)))
}

// limits are what the windows allow us now.
func (s *spending) limits(cfg Quota, now time.Time) budget {
	allowed := cfg.allowed()
	for _, l := range s.Learn {
		switch {
		case l.over(now):
		case l.Window == WindowHour && cfg.PerHour > 0:
			allowed.hour = l.rise(allowed.hour, now)
		case l.Window == WindowMinute && cfg.PerMinute > 0:
			allowed.minute = l.rise(allowed.minute, now)
		}
	}
	return allowed
}

// throttled learns from a 429. Which window it was about the API does not say: a wait of more than a minute is about the
// hour, otherwise it is the window of which more was used.
func (q *quota) throttled(retryAfter time.Duration) {
	if q.cfg.off() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now, s := q.brokerTime(time.Now()), q.estimate()
	full, limits := q.cfg.allowed(), s.limits(q.cfg, now)
	used := budget{hour: s.used(now, time.Hour), minute: s.used(now, time.Minute)}
	l := learnt{Window: WindowMinute, At: now.UnixMilli(), Calls: floorOf(used.minute, full.minute)}
	hourly := float64(used.hour)/float64(full.hour) >= float64(used.minute)/float64(full.minute)
	if q.cfg.PerMinute == 0 || retryAfter > time.Minute || hourly && q.cfg.PerHour > 0 {
		l = learnt{Window: WindowHour, At: now.UnixMilli(), Calls: floorOf(used.hour, full.hour)}
		l.Calls = min(l.Calls, limits.hour)
	} else {
		l.Calls = min(l.Calls, limits.minute)
	}
	if retryAfter > 0 {
		l.Until = now.Add(retryAfter).UnixMilli()
	}
	q.lower = append(q.lower, l)
	q.apply(&q.seen, now)
	signal(q.wake) // for others to be told
}

// floorOf keeps a tenth off what was used when the account said no. A tenth of the limit always stays, or it would never
// be found out that the trouble is over.
func floorOf(used, limit int) int { return max(MinCalls, limit/10, used*9/10) }

// apply puts what was learnt here into what is shared, and says how many limits that were.
func (q *quota) apply(s *spending, now time.Time) (told int) {
	for _, l := range q.lower {
		s.Learn = slices.DeleteFunc(s.Learn, func(o learnt) bool {
			return o.Window == l.Window && (o.over(now) || o.At <= l.At)
		})
		s.Learn = append(s.Learn, l)
	}
	return len(q.lower)
}

// seenCap is what an answer's headers say is left of the account's quota. It only ever takes away.
type seenCap struct {
	left  int
	until time.Time
	pause time.Duration // how long that is, if no answer says so
	asked bool          // nothing was left, and the next calls are to tell how things are
}

// now forgets what was said when its time is over. If nothing was left, only the next calls go, and tell how things are.
func (c *seenCap) now(at time.Time, calls int) *seenCap {
	switch {
	case c == nil || at.Before(c.until):
		return c
	case c.left > 0:
		return nil
	}
	return &seenCap{left: calls, until: at.Add(c.pause), pause: c.pause, asked: true}
}

func (c *seenCap) lets(calls int) bool { return c == nil || c.left >= calls }

func (c *seenCap) spend(calls int) {
	if c != nil {
		c.left -= calls
	}
}

// observe takes in what an answer says is left. total and remaining are −1, and reset 0, if it says nothing about them.
func (q *quota) observe(total, remaining int, reset time.Duration) {
	if q.cfg.off() || remaining < 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if total < 0 { // of which window nobody knows
		total = remaining
	}
	// Calls that were granted and are not answered may not be in the figure yet.
	before, left := q.cap, remaining-q.cfg.reserved(total)-q.outstanding()
	pause := capWait
	if before != nil && left <= 0 {
		if pause = before.pause; before.asked && reset == 0 {
			pause = min(2*pause, capWaitMax)
		}
	}
	until := time.Now().Add(pause)
	if reset > 0 {
		until = time.Now().Add(min(reset, time.Hour)) // no window is longer: it is no time of one
	}
	q.cap = &seenCap{left: left, until: until, pause: pause}
	if before != nil && before.left < q.cap.left {
		signal(q.wake)
	}
}

func (q *quota) outstanding() int {
	n := 0
	for _, b := range append([]*block{q.block}, q.retired...) {
		if b != nil {
			n += b.flying + max(0, b.granted-b.made)
		}
	}
	return n
}

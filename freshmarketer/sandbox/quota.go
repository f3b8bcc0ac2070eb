package sandbox

import (
	"net/http"
	"strconv"
	"time"
)

// Throttle is the way in which an account says that its quota is used up. All three are seen in client code.
type Throttle string

// The ways.
const (
	// ThrottlePlain is 429 with {"error_code":429} and Retry-After.
	ThrottlePlain Throttle = "plain"
	// ThrottleText is 429 with "Too many requests" and nothing else, not even Retry-After.
	ThrottleText Throttle = "text"
	// ThrottleHidden is 400 with the 429 inside a message, without Retry-After.
	ThrottleHidden Throttle = "hidden"
)

// quota counts the calls of the last hour and of the last minute. It belongs to the whole account: all keys and all
// integrations use it up together. Source: Freshworks support, "API rate limits".
type quota struct {
	perHour, perMinute int
	calls              []time.Time // of the last hour, oldest first
}

// take counts a call, or says how long until there is room again. Refused calls are not counted (inferred: the
// account would otherwise never recover from an impatient client).
func (q *quota) take(now time.Time) (wait time.Duration, ok bool) {
	if q.perHour == 0 && q.perMinute == 0 {
		return 0, true
	}
	for len(q.calls) > 0 && !q.calls[0].After(now.Add(-time.Hour)) {
		q.calls = q.calls[1:]
	}
	for _, window := range []struct {
		limit int
		long  time.Duration
	}{{q.perHour, time.Hour}, {q.perMinute, time.Minute}} {
		if n := len(q.calls); window.limit > 0 && n >= window.limit {
			// The call that has to leave the window before there is room.
			if until := q.calls[n-window.limit].Add(window.long); until.After(now) {
				wait = max(wait, until.Sub(now))
			}
		}
	}
	if wait > 0 {
		return wait, false
	}
	q.calls = append(q.calls, now)
	return 0, true
}

// left is what remains of the tighter window.
func (q *quota) left(now time.Time) int {
	left := 0
	if q.perHour > 0 {
		left = q.perHour - len(q.calls)
	}
	if q.perMinute > 0 {
		recent := 0
		for i := len(q.calls) - 1; i >= 0 && q.calls[i].After(now.Add(-time.Minute)); i-- {
			recent++
		}
		if perMinute := q.perMinute - recent; q.perHour == 0 || perMinute < left {
			left = perMinute
		}
	}
	return left
}

// throttled is the answer to a call beyond the quota.
func (s *Sandbox) throttled(wait time.Duration) answer {
	s.throttledCalls++
	switch s.opt.Throttle {
	case ThrottleHidden:
		return s.refuse(http.StatusBadRequest, "UCR contact fetch failure :: response_code :: 429 :: response :: Too many requests")
	case ThrottleText:
		return answer{status: http.StatusTooManyRequests, text: "Too many requests"}
	default:
		seconds := int((wait + time.Second - 1) / time.Second)
		return answer{
			status: http.StatusTooManyRequests, body: map[string]any{"error_code": 429},
			header: http.Header{"Retry-After": {strconv.Itoa(seconds)}},
		}
	}
}

// limitHeaders are those of a sibling product; whether this API sends any is not documented.
func (s *Sandbox) limitHeaders(now time.Time) http.Header {
	total := s.quota.perHour
	if total == 0 {
		total = s.quota.perMinute
	}
	return http.Header{
		"X-Ratelimit-Total":     {strconv.Itoa(total)},
		"X-Ratelimit-Remaining": {strconv.Itoa(max(s.quota.left(now), 0))},
	}
}

// Spend uses up calls of the account's quota, as people and other integrations do.
func (s *Sandbox) Spend(calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range calls {
		s.quota.take(s.opt.Now())
	}
}

// Throttled is how many calls were refused because of the quota.
func (s *Sandbox) Throttled() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.throttledCalls
}

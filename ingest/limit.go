package ingest

import (
	"math"
	"sync/atomic"
	"time"
)

// longestRetryAfter bounds what a rate limit asks of a sender; the clients wait no longer whatever they are told (seen in
// client code).
const longestRetryAfter = 5 * time.Minute

// burst is how many events may come at once under a rate.
func burst(perSecond float64) int {
	return int(math.Ceil(min(perSecond, math.MaxInt32)))
}

// crowded says whether the source is over its rate already, so that its next request need not even be read.
func (s *source) crowded() *refusal {
	if s.limit == nil {
		return nil
	}
	if missing := 1 - s.limit.Tokens(); missing > 0 {
		return rateLimited(s, missing)
	}
	return nil
}

// admit charges the source for the events of a request. As long as one event may come the whole request may: a batch
// that is larger than the burst could otherwise never be sent. What it takes too much, later requests wait for.
func (s *source) admit(events int) *refusal {
	if s.limit == nil || events == 0 {
		return nil
	}
	now := time.Now()
	first := s.limit.ReserveN(now, 1)
	if wait := first.DelayFrom(now); wait > 0 {
		first.CancelAt(now)
		return rateLimited(s, wait.Seconds()*float64(s.limit.Limit()))
	}
	for rest := events - 1; rest > 0; rest -= s.limit.Burst() {
		s.limit.ReserveN(now, min(rest, s.limit.Burst()))
	}
	return nil
}

// retryIn is the whole number of seconds after which missing events have been earned.
func (s *source) retryIn(missing float64) time.Duration {
	seconds := math.Ceil(missing / float64(s.limit.Limit()))
	return time.Duration(min(max(seconds, 1), longestRetryAfter.Seconds())) * time.Second
}

// memory bounds what all requests hold together.
type memory struct {
	limit int64
	used  atomic.Int64
}

// share is what one request holds. It belongs to the request's goroutine.
type share struct {
	of   *memory
	held int64
}

// take adds n bytes. It returns false, and adds nothing, if that would be too much.
func (s *share) take(n int) bool {
	if s.of.used.Add(int64(n)) > s.of.limit {
		s.of.used.Add(int64(-n))
		return false
	}
	s.held += int64(n)
	return true
}

// give returns n of the bytes taken.
func (s *share) give(n int) {
	s.of.used.Add(int64(-n))
	s.held -= int64(n)
}

// close returns everything.
func (s *share) close() { s.give(int(s.held)) }

package worker

import "time"

// stoppage adds up the time in which nothing could be sent, however many reasons there were at once.
type stoppage struct {
	reasons int
	since   time.Time
	total   time.Duration
}

func (s *stoppage) begin() {
	if s.reasons++; s.reasons == 1 {
		s.since = time.Now()
	}
}

func (s *stoppage) end() {
	if s.reasons--; s.reasons == 0 {
		s.total += time.Since(s.since)
	}
}

func (s *stoppage) sum() time.Duration {
	if s.reasons == 0 {
		return s.total
	}
	return s.total + time.Since(s.since)
}

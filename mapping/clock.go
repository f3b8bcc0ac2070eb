package mapping

import "time"

// Clock orders the calls of a user: by when they happened, then by where they stand in the log. The zero Clock is
// before every call.
type Clock struct {
	Time int64  `json:"t,omitempty"` // unix nanoseconds of the event's clock
	Pos  uint64 `json:"p,omitempty"` // log position of the original call
}

// Before reports whether c is older than o.
func (c Clock) Before(o Clock) bool {
	if c.Time != o.Time {
		return c.Time < o.Time
	}
	return c.Pos < o.Pos
}

func (c Call) clock() Clock {
	return Clock{Time: nanos(c.Event.Clock()), Pos: c.Pos}
}

// nanos gives unix nanoseconds. Times that do not fit, or are before 1970, become the first nanosecond: they are older
// than all others, but not as old as never.
func nanos(t time.Time) int64 {
	if t.Unix() < 0 {
		return 1
	}
	if t.Year() >= 2262 {
		return 1<<63 - 1
	}
	return max(t.UnixNano(), 1)
}

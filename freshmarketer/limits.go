package freshmarketer

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Limits is what an answer, also a successful one, says about the account's quota. -1 and 0 mean that it says nothing.
//
// Source: Retry-After is seen in client code. The X-RateLimit headers are documented for Freshdesk, a sibling product,
// and looked for by clients of this API; an account may send none of them.
type Limits struct {
	Total      int           // calls per window: X-RateLimit-Total or -Limit
	Remaining  int           // calls left: X-RateLimit-Remaining
	Reset      time.Duration // until the window starts anew: X-RateLimit-Reset, in seconds or as a Unix time
	RetryAfter time.Duration // as in Error
}

// readLimits reports false if no header says anything.
func readLimits(h http.Header, now time.Time) (Limits, bool) {
	l := Limits{Total: headerInt(h, "X-RateLimit-Total"), Remaining: headerInt(h, "X-RateLimit-Remaining"), RetryAfter: retryAfter(h, now)}
	if l.Total < 0 {
		l.Total = headerInt(h, "X-RateLimit-Limit")
	}
	if reset := headerInt(h, "X-RateLimit-Reset"); reset > 0 {
		l.Reset = untilReset(int64(reset), h, now)
	}
	return l, l.Total >= 0 || l.Remaining >= 0 || l.Reset > 0 || l.RetryAfter > 0
}

// untilReset takes small numbers for seconds and large ones for a Unix time, in seconds or milliseconds, of the server's clock if
// it gives one.
func untilReset(reset int64, h http.Header, now time.Time) time.Duration {
	const smallestUnixTime = 1_000_000_000 // the year 2001
	if reset >= smallestUnixTime*1000 {
		reset /= 1000
	}
	if reset >= smallestUnixTime {
		if served, err := http.ParseTime(h.Get("Date")); err == nil {
			now = served
		}
		reset = max(reset-now.Unix(), 0)
	}
	return time.Duration(min(reset, int64(maxRetryAfter/time.Second))) * time.Second
}

// headerInt reads a number that is not negative, -1 if there is none.
func headerInt(h http.Header, name string) int {
	n, err := strconv.Atoi(strings.TrimSpace(h.Get(name)))
	if err != nil || n < 0 {
		return -1
	}
	return n
}

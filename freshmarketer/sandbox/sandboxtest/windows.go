package sandboxtest

import (
	"net/http"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// MostIn is the most calls of any window of that length. The calls are in order of time, as the sandbox remembers them.
func MostIn(calls []sandbox.Call, window time.Duration) (most int) {
	first := 0
	for i, c := range calls {
		for calls[first].Time.Add(window).Before(c.Time) {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// Throttled counts the calls that were answered 429.
func Throttled(calls []sandbox.Call) (n int) {
	for _, c := range calls {
		if c.Status == http.StatusTooManyRequests {
			n++
		}
	}
	return n
}

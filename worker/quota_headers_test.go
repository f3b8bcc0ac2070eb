package worker_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/worker"
)

// The account has a smaller plan than is configured, and others use it too. What its answers say of that is enough: it never
// has to answer 429, what is kept for people stays but for a few calls, and the rest is used.
func TestTheLimitHeadersOfAnswersAreObeyed(t *testing.T) {
	bubble(t, sandbox.Options{PerHour: 200, LimitHeaders: true}, func(t *testing.T, r *rig) {
		r.quota = worker.Quota{PerHour: 5000, PerMinute: 400, Reserve: 0.1}
		r.restart()
		r.box.Spend(50)
		r.unknown(250, 1)
		began := time.Now()
		if l := r.drain(24 * time.Hour); l.Delivered != 250 || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		t.Logf("%v, %d throttled, calls %v", time.Since(began), r.box.Throttled(), r.calls(0))
		if n := r.box.Throttled(); n > 0 {
			t.Errorf("%d calls were answered 429", n)
		}
		first := 0 // of the others' hour
		for _, c := range r.box.Calls() {
			if c.Time.Sub(began) < 59*time.Minute {
				first++
			}
		}
		// What is kept for people is 20. To ask whether there is more again takes a few of them: the account does not say when.
		const asks = 10
		if first > 200-20-50+asks || first < 200-20-50 {
			t.Errorf("%d calls in the hour in which others made 50 of 200", first)
		}
	})
}

package worker_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/worker"
)

// The account has a smaller plan than is configured, and others use it too. What its answers say of that is enough: it never
// has to answer 429.
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
	})
}

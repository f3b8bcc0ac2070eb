package worker_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/worker"
)

// To find a contact takes calls that nobody foresees, and blocks of a small plan hold but a few. A change that is under way gets them
// before those that wait, or begins anew with plenty: otherwise it would make the same calls again and again.
func TestFindingContactsCostsNoMoreOnASmallPlan(t *testing.T) {
	for name, q := range map[string]worker.Quota{
		"calls are there":  worker.DefaultQuota(),
		"calls are scarce": {PerHour: 150, PerMinute: 100, Reserve: 0.1},
	} {
		bubbleNamed(t, name, sandbox.Options{CallLog: 1 << 16}, func(t *testing.T, r *rig) {
			const n = 60
			r.quota = q
			r.restart()
			r.existing(n)
			before := r.box.CallCount()
			r.unknown(n, 1)
			if l := r.drain(12 * time.Hour); l.Delivered != n || l.Dead != 0 {
				t.Errorf("ledger %+v", l)
			}
			// Half of them have their userId, which takes 3 calls, the others 4; and a few are to learn how the account does things.
			if calls := r.box.CallCount() - before; calls > n*7/2+20 {
				t.Errorf("%d calls: %v", calls, r.calls(before))
			}
			r.fault(sandbox.Fault{Percent: 100, Status: 400, MatchBody: "Refuse me"})
			before = r.box.CallCount()
			r.publish(r.identify("u1", map[string]any{
				"seq": 1, "plan": "growth", "industry": "Music", "job title": "Refuse me", "city": "Ulm", "first name": "Ann", "last name": "Lee",
			}))
			r.drain(12 * time.Hour)
			if calls := r.box.CallCount() - before; calls > 12 {
				t.Errorf("%d calls to leave out one field: %v", calls, r.calls(before))
			}
		})
	}
}

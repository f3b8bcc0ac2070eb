package replay_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/replay"
)

// While expired letters wait to be given up, behind calls that wait for the account, no sweep begins another job for them:
// the jobs of people would find no place any more.
func TestSweepsDoNotPileUp(t *testing.T) {
	bubble(t, sandbox.Options{}, time.Hour, func(t *testing.T, r *rig) {
		r.letters(4, 4)
		if err := r.box.AddFault(sandbox.Fault{Percent: 100, Status: 401}); err != nil {
			t.Fatal(err)
		}
		for _, user := range []string{"u0", "u1", "u2", "u3"} {
			r.publish(r.call(user, map[string]any{"seq": 2}))
		}
		time.Sleep(3*time.Hour + 30*time.Minute)
		reports, err := r.runner.Reports(t.Context())
		if err != nil || len(reports) != 1 || reports[0].State != replay.StateRunning {
			t.Errorf("%d jobs, %v: %+v", len(reports), err, reports)
		}
		r.box.ClearFaults()
		if l := r.drain(time.Hour); l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
	})
}

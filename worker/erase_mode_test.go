package worker_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// TestForgetOutlivesObserving: a delete call that waits for another mode is not given up with the calls. Once it has waited for
// observe_for everything here is erased; the contact goes when the mode is live.
func TestForgetOutlivesObserving(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		const user = "zq-somebody-zq"
		r.fault(sandbox.Fault{Operation: sandbox.OpCreateActivity, Percent: 100, Status: 400})
		r.publish(r.identify(user, nil), r.track(user, "Order Completed", nil), r.identify("other", nil))
		r.drain(time.Hour)
		r.fault(sandbox.Fault{Percent: 100, Status: 400, MatchBody: "Refuse me"})
		r.publish(r.identify(user, map[string]any{"plan": "Refuse me"}))
		if l := r.drain(time.Hour); l.Dead != 2 {
			t.Fatalf("%+v", l.Counts)
		}
		r.box.ClearFaults()
		before := r.writes()
		r.inMode(worker.Mode{Name: worker.ModeObserve, ObserveFor: time.Hour})
		r.publish(r.identify(user, map[string]any{"plan": "waits"}), r.forget(user, false), worker.DeleteActivities(user, "x", time.Now()), r.identify(user, nil))
		time.Sleep(50 * time.Minute)
		r.restart()
		r.pending(4)
		time.Sleep(15 * time.Minute)
		l := r.drain(time.Hour)
		if r.writes() != before || count(l, "delete", queue.Dead, worker.ReasonNotLive) != 1 || count(l, "delete", queue.Delivered, "") != 1 || l.Dead != 1 ||
			count(l, "identify", queue.Discarded, worker.ReasonNotLive)+count(l, "identify", queue.Discarded, "suppressed") != 2 {
			t.Errorf("%+v", l.Counts)
		}
		r.publish(r.forget("other", false), r.forget("other", true)) // and lets somebody come again who waits to be erased
		time.Sleep(65 * time.Minute)

		r.inMode(worker.Mode{Name: worker.ModeLive})
		time.Sleep(20 * time.Minute) // the letters come again by themselves
		l = r.drain(time.Hour)
		if l.Dead != 0 || len(r.letters()) != 0 || count(l, "delete", queue.Delivered, "") != 3 || count(l, "delete", queue.Discarded, "stale") != 1 {
			t.Errorf("%+v", l.Counts)
		}
		if left := r.box.Contacts(); len(left) != 1 || left[0].ExternalID != "other" {
			t.Errorf("%+v", left)
		}
		time.Sleep(65 * time.Minute)
		if files := r.found(user); len(files) > 0 {
			t.Error("still in", files)
		}
		r.publish(r.identify(user, nil), r.identify("other", nil))
		if l = r.drain(time.Minute); count(l, "identify", queue.Discarded, "suppressed") < 1 || len(r.box.Contacts()) != 1 {
			t.Errorf("%+v", l.Counts)
		}
	})
}

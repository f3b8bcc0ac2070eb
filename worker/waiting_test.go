package worker_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/worker"
)

// waits is what is known of the calls of a user that wait.
func (r *rig) waits(user string) []worker.Waiting {
	r.t.Helper()
	synctest.Wait()
	found, whole, err := r.pool.Waiting(r.t.Context(), worker.WaitingQuery{User: r.store.User(user), Limit: 10})
	if err != nil || !whole {
		r.t.Fatalf("%v, whole: %v", err, whole)
	}
	return found
}

func (r *rig) wantWhy(w worker.Waiting, want ...string) {
	r.t.Helper()
	if !slices.Equal(w.Why, want) {
		r.t.Errorf("%s waits because of %v, want %v", w.MessageID, w.Why, want)
	}
}

// A call that waits is found by its user and by its message id, with its place and the reason.
func TestWhyCallsWait(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("done", nil))
		r.drain(time.Minute)
		if got := r.waits("done"); len(got) != 0 {
			t.Errorf("%+v waits", got)
		}
		r.fault(sandbox.Fault{Percent: 100, MatchBody: `"ann@`, Status: 500})
		r.publish(r.identify("ann", nil))
		time.Sleep(time.Second)
		r.publish(r.identify("ann", nil), r.identify("bob", nil))
		time.Sleep(500 * time.Millisecond)
		got := r.waits("ann")
		if len(got) != 2 || got[0].MessageID != "m2" || got[0].Type != "identify" || got[0].Source != "website" || got[0].Received.IsZero() ||
			got[1].Ahead != 1 || got[1].OfUser != 1 {
			t.Fatalf("%+v", got)
		}
		r.wantWhy(got[0], worker.WaitsForRetry)
		if got[0].Tries == 0 || !got[0].Next.After(time.Now()) {
			t.Errorf("%+v", got[0])
		}
		byID, _, err := r.pool.Waiting(t.Context(), worker.WaitingQuery{MessageID: "m3", Limit: 10})
		if err != nil || len(byID) != 1 || byID[0].Position != got[1].Position {
			t.Errorf("%+v, %v", byID, err)
		}
		r.box.ClearFaults()
		r.drain(time.Hour)

		if err := r.pool.Pause(t.Context(), "", ""); err != nil {
			t.Fatal(err)
		}
		r.publish(r.identify("ann", nil))
		got = r.waits("ann")
		r.wantWhy(got[0], "operator")
		if err := r.pool.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.drain(time.Hour)

		r.fault(sandbox.Fault{Percent: 100, Delay: 5 * time.Second})
		r.publish(r.identify("ann", map[string]any{"plan": "growth"}))
		time.Sleep(time.Second)
		got = r.waits("ann")
		r.wantWhy(got[0], worker.WaitsForReply)
		r.box.ClearFaults()
		r.drain(time.Hour)
	})
	bubbleNamed(t, "mode and quota", sandbox.Options{}, func(t *testing.T, r *rig) {
		r.inMode(worker.Mode{Name: worker.ModeObserve, ObserveFor: 24 * time.Hour})
		r.publish(r.identify("ann", nil))
		time.Sleep(time.Second)
		r.wantWhy(r.waits("ann")[0], "observe")
		r.quota = worker.Quota{PerHour: 30, PerMinute: 10}
		r.inMode(worker.Mode{})
		for range 60 {
			r.publish(r.identify("u", map[string]any{"seq": r.n}))
			time.Sleep(time.Second)
		}
		last := r.waits("u")
		r.wantWhy(last[0], worker.WaitsForQuota)
		r.quota = plenty()
		r.restart()
		r.drain(24 * time.Hour)
	})
}

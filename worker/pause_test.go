package worker_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/worker"
)

// An operator's pause stops every call, outlives a restart, and costs no event anything.
func TestAPauseStopsEveryCallUntilResume(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		for range 2 { // it may be repeated
			if err := r.pool.Pause(t.Context(), "", ""); err != nil {
				t.Fatal(err)
			}
		}
		since := r.box.CallCount()
		r.publish(r.identify("ann", map[string]any{"seq": 1}))
		time.Sleep(3 * time.Hour) // the fields would be read again in it
		r.restart()
		r.publish(r.identify("bob", map[string]any{"seq": 1}))
		time.Sleep(time.Hour)
		if n := r.box.CallCount() - since; n != 0 {
			t.Errorf("%d calls during a pause: %v", n, r.calls(since))
		}
		if p := r.pool.Status().Pauses; len(p) != 1 || p[0].Reason != worker.HoldOperator || p[0].Since.IsZero() {
			t.Errorf("pauses %+v", p)
		}
		if estimate := r.pool.BacklogClear(2); estimate != worker.Never {
			t.Errorf("the backlog is clear in %v", estimate)
		}
		if err := r.pool.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		if l := r.drain(time.Minute); l.Delivered != 3 {
			t.Errorf("ledger %+v", l)
		}
		r.restart()
		if p := r.pool.Status().Pauses; len(p) != 0 {
			t.Errorf("pauses %+v", p)
		}
	})
}

// A pause in the middle of an outage: no probes; and resume does not end the outage.
func TestAPauseStandsBesideOtherHolds(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.fault(sandbox.Fault{Percent: 100, Status: 401})
		r.publish(r.identify("ann", map[string]any{"seq": 1}))
		time.Sleep(10 * time.Minute)
		if err := r.pool.Pause(t.Context(), "", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		since := r.box.CallCount()
		time.Sleep(10 * time.Hour)
		if n := r.box.CallCount() - since; n != 0 {
			t.Errorf("%d calls during a pause: %v", n, r.calls(since))
		}
		if err := r.pool.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if p := r.pool.Status().Pauses; len(p) != 1 || p[0].Reason != worker.HoldKeyRefused {
			t.Errorf("pauses %+v", p)
		}
		r.box.ClearFaults()
		if l := r.drain(time.Hour); l.Delivered != 2 || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
	})
}

// Another process of the store follows what was said to this one.
func TestOtherProcessesFollow(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		other, err := worker.New(r.config())
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Pause(t.Context(), "", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second)
		if p := r.pool.Status().Pauses; len(p) != 1 || p[0].Reason != worker.HoldOperator {
			t.Errorf("pauses %+v", p)
		}
	})
}

// What was spent before a restart is known after it, though nothing is sent that would ask for calls.
func TestTheQuotaIsKnownFromTheStartThoughNothingIsSent(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		for _, user := range []string{"ann", "bob", "cem"} {
			r.known(user)
		}
		if err := r.pool.Pause(t.Context(), "", ""); err != nil {
			t.Fatal(err)
		}
		r.restart()
		time.Sleep(time.Second) // less than until processes look at each other's spending
		before := r.pool.Status().Quota
		r.restart()
		time.Sleep(time.Second)
		if made := int(r.box.CallCount()); before[0].Used != made || made < 3 {
			t.Errorf("%d calls are known, and %d were made", before[0].Used, made)
		}
		if after := r.pool.Status().Quota; after[0] != before[0] {
			t.Errorf("after a start the hour stands at %+v, before at %+v", after[0], before[0])
		}
	})
}

// Who paused sending, and why, is known to every process and after a restart; a later note takes the place of the first, and the
// pause is as old as it was.
func TestAPauseSaysWhoAndWhy(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		pause := func(by, note string) {
			if err := r.pool.Pause(t.Context(), by, note); err != nil {
				t.Fatal(err)
			}
		}
		pause("ada", "the import of Tuesday")
		since := r.pool.Status().Pauses[0].Since
		time.Sleep(time.Minute)
		pause("bob", "")
		r.restart()
		time.Sleep(time.Second)
		want := worker.Pause{Reason: worker.HoldOperator, Since: since, By: "ada", Note: "the import of Tuesday"}
		if got := r.pool.Status().Pauses; len(got) != 1 || got[0] != want {
			t.Errorf("pauses %+v, want %+v", got, want)
		}
		pause("bob", "and of Wednesday")
		want.By, want.Note = "bob", "and of Wednesday"
		if got := r.pool.Status().Pauses; len(got) != 1 || got[0] != want {
			t.Errorf("pauses %+v, want %+v", got, want)
		}
		if err := r.pool.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		pause("cem", "")
		if got := r.pool.Status().Pauses; len(got) != 1 || got[0].By != "cem" || got[0].Note != "" || !got[0].Since.After(since) {
			t.Errorf("a new pause: %+v", got)
		}
	})
}

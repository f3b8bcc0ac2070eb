package worker_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/worker"
)

// An activity that the account answers with 500 whenever it is made, and never records, is set aside like any other trouble: it is not
// made, looked for and made again for ever, with the user's other activities behind it. It comes again by itself.
func TestAnActivityThatAlwaysFailsIsSetAside(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.fault(sandbox.Fault{Next: 1000, Status: 500, Operation: sandbox.OpCreateActivity})
		before := r.box.CallCount()
		r.publish(r.track("ann", "Poison", nil))
		time.Sleep(time.Hour)
		if letters := r.letters(); len(letters) != 1 || letters[0].Reason != worker.ReasonExhausted || letters[0].Attempts < 3 {
			t.Errorf("letters %+v", letters)
		}
		if n := r.box.CallCount() - before; n > 60 {
			t.Errorf("%d calls: %v", n, r.calls(before))
		}
		r.box.ClearFaults()
		r.noLetters(26 * time.Hour)
		if l := r.drain(time.Hour); l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		if r.titles() != "Poison" {
			t.Errorf("made %q", r.titles())
		}
	})
}

package worker_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// TestAliasWaitsEnd: whoever once was a previousId, in vain, does not wait for ever for the first half of an alias call of its own.
func TestAliasWaitsEnd(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("old", nil), r.identify("new", nil))
		r.drain(time.Minute)
		r.publish(r.alias("old", "new")...) // two contacts: old stays whose it is
		r.drain(time.Minute)
		r.publish(r.alias("other", "old")[1:]...) // of which the first half never comes
		r.publish(r.identify("old", map[string]any{"plan": "on"}))
		l := r.drain(time.Hour)
		if count(l, "alias", queue.Dead, worker.ReasonExhausted) != 1 || r.contact("old").Custom["cf_plan"] != "on" {
			t.Errorf("%+v %+v", l.Counts, r.box.Contacts())
		}
	})
}

// TestAliasBehindACallInTrouble: an identify of the previousId, whose contact is known, is set aside. The alias call behind it does
// not go with it: it has nothing to send there.
func TestAliasBehindACallInTrouble(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("old", nil))
		r.drain(time.Minute)
		r.fault(sandbox.Fault{Next: 1000, Operation: sandbox.OpUpdateContact, MatchBody: "Gold", Status: 500})
		r.publish(append([]queue.Entry{r.identify("old", map[string]any{"plan": "Gold"})}, r.alias("old", "new")...)...)
		r.drain(time.Hour)
		r.box.ClearFaults()
		time.Sleep(2 * time.Hour) // letters come again
		l := r.drain(time.Hour)
		if r.contact("new"); count(l, "alias", queue.Delivered, "") != 1 || count(l, "alias_previous", queue.Delivered, "") != 1 {
			t.Errorf("%+v", l.Counts)
		}
	})
}

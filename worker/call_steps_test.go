package worker_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
)

// eachFailure runs body with every failure at each of the steps; without is one that these calls believe.
func eachFailure(t *testing.T, operations []string, without string, body func(t *testing.T, s *steps)) {
	t.Helper()
	for _, step := range operations {
		for name, f := range failures {
			if name == without {
				continue
			}
			t.Run(step+"/"+name, func(t *testing.T) {
				aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
					r.rewire()
					r.restart()
					f.Operation = step
					r.publish(r.identify("u1", map[string]any{"plan": "Gold"}), r.identify("u2", nil))
					r.drain(time.Minute)
					r.add(map[string]any{"email": "u3@example.test", "external_id": "u3"}) // of whom nothing is known
					time.Sleep(time.Minute)
					r.fault(f.Fault)
					body(t, &steps{rig: r, crash: f.crash})
				})
			})
		}
	}
}

// A delete call looks for the contact, sees whose it is, and deletes it. Whichever of them fails, and however: that contact is
// gone, no other is, and later calls are discarded. (A 404 is believed: the contact is gone.)
func TestEachStepOfADeleteCallMayFail(t *testing.T) {
	operations := []string{sandbox.OpLookupContacts, sandbox.OpGetContact, sandbox.OpForgetContact}
	eachFailure(t, operations, "404", func(t *testing.T, s *steps) {
		s.make(s.forget("u3", false), s.identify("u3", map[string]any{"plan": "Late"}))
		s.make(s.forget("u1", false), s.identify("u1", map[string]any{"plan": "Late"}))
		l := s.deliver()
		if left := s.box.Contacts(); len(left) != 1 || left[0].ExternalID != "u2" {
			t.Errorf("contacts %+v", left)
		}
		if count(l, "delete", queue.Delivered, "") != 2 || count(l, "identify", queue.Discarded, "suppressed") != 2 || l.Dead != 0 {
			t.Errorf("%+v", l.Counts)
		}
	})
}

// An alias call gives the contact its new userId. However that fails: there is one contact, it has the new userId, and what was
// remembered of it goes along. (A 404 is believed: the contact is gone, and made anew.)
func TestEachStepOfAnAliasCallMayFail(t *testing.T) {
	eachFailure(t, []string{sandbox.OpGetContact, sandbox.OpUpdateContact}, "404", func(t *testing.T, s *steps) {
		id := s.contact("u1").ID
		s.make(append(s.alias("u1", "new"), s.identify("new", map[string]any{"email": "u1@example.test", "seq": 1}))...)
		l := s.deliver()
		c := s.contact("new")
		if c.ID != id || c.Custom["cf_seq"] != json.Number("1") || c.Custom["cf_plan"] != nil || len(s.box.Contacts()) != 3 {
			t.Errorf("%+v of %d", c, len(s.box.Contacts()))
		}
		if l.Dead != 0 || l.Delivered != 5 {
			t.Errorf("%+v %s", l, fmt.Sprint(s.letters()))
		}
	})
}

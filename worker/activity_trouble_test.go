package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// Each failure at each step: never two activities, never none without a letter or a count that says so.
func TestAnActivityInTroubleIsMadeOnce(t *testing.T) {
	create := sandbox.OpCreateActivity
	for name, c := range map[string]struct {
		faults  []sandbox.Fault
		restart time.Duration // after the call; 0: none
		made    int
		want    map[string]int64
	}{
		"no trouble, a restart":               {restart: time.Second, made: 1, want: map[string]int64{"delivered": 1}},
		"the answer is lost":                  {faults: []sandbox.Fault{{Next: 1, DropAnswer: true, Operation: create}}, made: 1, want: map[string]int64{"delivered": 1}},
		"the answer is lost, then a restart":  {faults: []sandbox.Fault{{Next: 1, DropAnswer: true, Operation: create}}, restart: 10 * time.Second, made: 1, want: map[string]int64{"delivered": 1}},
		"it never arrives":                    {faults: []sandbox.Fault{{Next: 1, Cut: true, Operation: create}}, made: 1, want: map[string]int64{"delivered": 1}},
		"it never arrives, then a restart":    {faults: []sandbox.Fault{{Next: 1, Cut: true, Operation: create}}, restart: 10 * time.Second, made: 1, want: map[string]int64{"delivered": 1}},
		"it lands late":                       {faults: []sandbox.Fault{{Next: 1, Delay: 50 * time.Second, Operation: create}}, made: 1, want: map[string]int64{"delivered": 1}},
		"500 without effect":                  {faults: []sandbox.Fault{{Next: 1, Status: 500, Operation: create}}, made: 1, want: map[string]int64{"delivered": 1}},
		"500 three times":                     {faults: []sandbox.Fault{{Next: 3, Status: 500, Operation: create}}, made: 1, want: map[string]int64{"delivered": 1}},
		"429":                                 {faults: []sandbox.Fault{{Next: 2, Status: 429, Headers: map[string]string{"Retry-After": "8"}, Operation: create}}, made: 1, want: map[string]int64{"delivered": 1}},
		"the key is refused for a while":      {faults: []sandbox.Fault{{Percent: 100, Status: 401, For: time.Hour}}, made: 1, want: map[string]int64{"delivered": 1}},
		"refused":                             {faults: []sandbox.Fault{{Next: 1, Status: 400, Operation: create}}, want: map[string]int64{"dead:invalid": 1}},
		"the look-up fails for a while":       {faults: []sandbox.Fault{{Next: 1, DropAnswer: true, Operation: create}, {Next: 3, Status: 500, Operation: sandbox.OpListActivities}}, made: 1, want: map[string]int64{"delivered": 1}},
		"the look-up never works":             {faults: []sandbox.Fault{{Next: 1, DropAnswer: true, Operation: create}, {Percent: 100, Status: 500, Operation: sandbox.OpListActivities}}, made: 1, want: map[string]int64{"dead:unknown_outcome": 1}},
		"the lists of types fail for a while": {faults: []sandbox.Fault{{Next: 3, Status: 500, Operation: "selector"}}, made: 1, want: map[string]int64{"delivered": 1}},
		"the lists of types are not there":    {faults: []sandbox.Fault{{Percent: 100, Status: 404, Operation: "selector", For: 2 * time.Hour}}, made: 1, want: map[string]int64{"delivered": 1}},
		"forbidden for this call for ever":    {faults: []sandbox.Fault{{Percent: 100, Status: 403, Operation: create}}, want: map[string]int64{"dead:exhausted": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
				r.known("ann")
				for _, f := range c.faults {
					r.fault(f)
				}
				r.publish(r.track("ann", "A", nil))
				if c.restart > 0 {
					time.Sleep(c.restart)
					r.restart()
				}
				l := r.drain(3 * time.Hour)
				r.wantOutcomes(l, c.want)
				if made := len(r.box.Activities()); made != c.made {
					t.Errorf("%d activities, want %d; calls %v", made, c.made, r.calls(0))
				}
			})
		})
	}
}

// A letter about an unknown outcome stays until somebody has looked; both answers work.
func TestAnUnknownOutcomeIsForTheOperator(t *testing.T) {
	for name, order := range map[string]queue.Order{"replay": {}, "discard": {Discard: worker.ReasonByOperator}} {
		t.Run(name, func(t *testing.T) {
			performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
				r.known("ann")
				r.fault(sandbox.Fault{Next: 1, Cut: true, Operation: sandbox.OpCreateActivity})
				r.fault(sandbox.Fault{Percent: 100, Status: 500, Operation: sandbox.OpListActivities, For: time.Hour})
				r.publish(r.track("ann", "A", nil))
				r.drain(3 * time.Hour)
				letters := r.letters()
				if len(letters) != 1 || letters[0].Reason != worker.ReasonUnknownOutcome || letters[0].Error == "" {
					t.Fatalf("letters %+v", letters)
				}
				r.publish(r.track("ann", "B", nil))
				r.drain(time.Minute)     // it holds nobody
				if order.Discard == "" { // one of the two is enough: three days are long for a computer, too
					time.Sleep(72 * time.Hour)
				}
				if r.titles() != "B" || len(r.letters()) != 1 {
					t.Errorf("made %q, letters %+v: it is sent again by itself", r.titles(), r.letters())
				}
				if err := r.store.Command(t.Context(), []string{letters[0].ID}, order); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				l := r.drain(time.Minute)
				want := map[string]int64{"delivered": 2}
				if order.Discard != "" {
					want = map[string]int64{"delivered": 1, "discarded:by_operator": 1}
				}
				r.wantOutcomes(l, want)
				if len(r.letters()) != 0 {
					t.Errorf("letters %+v", r.letters())
				}
			})
		})
	}
}

// Users of whom the API fails cost the others nothing, and nothing is made twice, over restarts.
func TestActivitiesOfManyUsersInTroubleAreMadeOnce(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		const users, each = 20, 5
		for i := range users {
			r.publish(r.identify(fmt.Sprint("user", i), nil))
		}
		r.drain(time.Minute)
		r.fault(sandbox.Fault{Percent: 10, Seed: 1, DropAnswer: true, Operation: sandbox.OpCreateActivity})
		r.fault(sandbox.Fault{Percent: 10, Seed: 2, Cut: true, Operation: sandbox.OpCreateActivity})
		r.fault(sandbox.Fault{Percent: 10, Seed: 3, Status: 503, Operation: sandbox.OpCreateActivity})
		for n := range each {
			for i := range users {
				r.publish(r.track(fmt.Sprint("user", i), fmt.Sprint("A", n), nil))
			}
			r.restart()
		}
		l := r.drain(24 * time.Hour)
		made := map[string]int{}
		last := map[int64]string{}
		for _, a := range r.box.Activities() {
			title := fmt.Sprint(a.Fields["title"])
			made[fmt.Sprint(a.ContactID, title)]++
			if title < last[a.ContactID] {
				t.Errorf("contact %d got %s after %s", a.ContactID, title, last[a.ContactID])
			}
			last[a.ContactID] = title
		}
		for what, n := range made {
			if n != 1 {
				t.Errorf("%s was made %d times", what, n)
			}
		}
		if len(made) != users*each || outcomes(l)["delivered"] != users*each {
			t.Errorf("%d made, %v", len(made), outcomes(l))
		}
	})
}

// Lists that cannot be read are everybody's trouble: they cost no call any attempt, and are not asked for by each call.
func TestUnreadableListsCostLittle(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Percent: 100, Status: 403, Operation: "selector", For: time.Hour})
		for i := range 20 {
			user := fmt.Sprint("user", i)
			r.publish(r.identify(user, nil), r.track(user, "A", nil))
		}
		time.Sleep(30 * time.Minute)
		r.pending(20)
		if n := r.calls(0)["selector"]; n > 70 {
			t.Errorf("the lists were asked for %d times in half an hour", n)
		}
		r.wantOutcomes(r.drain(2*time.Hour), map[string]int64{"delivered": 20})
		if len(r.letters()) != 0 {
			t.Errorf("letters %+v", r.letters())
		}
	})
}

func TestAGoneContactsActivityIsDiscarded(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		if err := r.client().DeleteContact(t.Context(), fmtID(r.contact("ann").ID)); err != nil {
			t.Fatal(err)
		}
		r.publish(r.track("ann", "A", nil))
		r.wantOutcomes(r.drain(time.Hour), map[string]int64{"discarded:contact_gone": 1})
	})
}

// asEvents is bubble with a pool that sends events.
func asEvents(t *testing.T, opt sandbox.Options, body func(t *testing.T, r *rig)) {
	t.Helper()
	bubble(t, opt, func(t *testing.T, r *rig) {
		r.activities = mapping.Activities{As: mapping.AsEvent}
		r.restart()
		r.known("ann")
		body(t, r)
	})
}

func TestATrackBecomesAnEvent(t *testing.T) {
	asEvents(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.track("ann", "Order Completed", map[string]any{"total": 9.5, "address": map[string]any{"city": "Bonn"}}))
		r.publish(r.track("ann", "Order Completed", map[string]any{"total": "many", "tags": []string{"a"}}))
		r.publish(r.track("ann", "Page_View", nil), r.track("ann", "An event whose name is much longer than what the account takes", nil))
		l := r.drain(time.Minute)
		r.wantOutcomes(l, map[string]int64{"delivered": 2, "discarded:reserved_name": 1, "discarded:name_too_long": 1})
		got := r.box.Events()
		if len(got) != 2 || got[0].Email != "ann@example.test" || fmt.Sprint(got[0].Properties["total"]) != "9.5" || got[0].Properties["address_city"] != "Bonn" {
			t.Fatalf("events %+v", got)
		}
		if len(got[1].Properties) != 0 || len(got[1].Dropped) != 0 {
			t.Errorf("what the account would not have recorded was sent: %+v", got[1])
		}
		if n := r.calls(0)[sandbox.OpGetContact]; n > 1 {
			t.Errorf("the contact was read %d times for its address", n)
		}
		lines := r.lines(fmt.Sprint("m", r.n-2))
		if len(lines) != 1 || len(lines[0].LeftOut) != 2 {
			t.Errorf("journal %+v", lines)
		}
	})
}

// Nothing tells whether an event was recorded, so what is unclear is set aside at once; a clear no is tried again.
func TestAnEventIsNeverSentOnAGuess(t *testing.T) {
	for name, c := range map[string]struct {
		fault sandbox.Fault
		sent  int
		want  map[string]int64
	}{
		"the answer is lost": {sandbox.Fault{Next: 1, DropAnswer: true, Operation: sandbox.OpSendEvent}, 1, map[string]int64{"dead:unknown_outcome": 1}},
		"it never arrives":   {sandbox.Fault{Next: 1, Cut: true, Operation: sandbox.OpSendEvent}, 0, map[string]int64{"dead:unknown_outcome": 1}},
		"429":                {sandbox.Fault{Next: 1, Status: 429, Operation: sandbox.OpSendEvent}, 1, map[string]int64{"delivered": 1}},
		"refused":            {sandbox.Fault{Next: 1, Status: 400, Operation: sandbox.OpSendEvent}, 0, map[string]int64{"dead:invalid": 1}},
		"the address fails":  {sandbox.Fault{Next: 2, Status: 500, Operation: sandbox.OpGetContact}, 1, map[string]int64{"delivered": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			asEvents(t, sandbox.Options{}, func(t *testing.T, r *rig) {
				r.fault(c.fault)
				r.publish(r.track("ann", "A", nil))
				r.wantOutcomes(r.drain(time.Hour), c.want)
				if sent := len(r.box.Events()); sent != c.sent {
					t.Errorf("%d events, want %d", sent, c.sent)
				}
				for _, l := range r.letters() {
					if !strings.Contains(l.Error, sandbox.OpSendEvent) {
						t.Errorf("the letter tells of another call: %s", l.Error)
					}
				}
			})
		})
	}
}

// An account without events is asked for half an hour before it is believed, and then once a day. It says so, and gets its contacts.
func TestAnAccountWithoutEvents(t *testing.T) {
	asEvents(t, sandbox.Options{NoEvents: true}, func(t *testing.T, r *rig) {
		for i := range 10 {
			r.publish(r.track("ann", fmt.Sprint("A", i), nil))
		}
		r.publish(r.identify("bob", nil))
		time.Sleep(29 * time.Minute)
		if p := r.pool.Status().Pauses; len(p) != 1 || p[0].Reason != worker.HoldActivities || !strings.Contains(p[0].Detail, "calls wait") {
			t.Errorf("pauses %+v", p)
		}
		if l, err := r.store.Ledger(t.Context()); err != nil || l.Discarded != 0 || l.Dead != 0 {
			t.Errorf("ledger %+v, %v", l, err)
		}
		r.contact("bob")
		r.wantOutcomes(r.drain(time.Hour), map[string]int64{"discarded:no_events": 10})
		if n := r.calls(0)[sandbox.OpSendEvent]; n != 4 {
			t.Errorf("asked %d times", n)
		}
		if p := r.pool.Status().Pauses; len(p) != 1 || p[0].Reason != worker.HoldActivities || !strings.Contains(p[0].Detail, "are discarded") {
			t.Errorf("pauses %+v", p)
		}
		time.Sleep(25 * time.Hour)
		r.publish(r.track("ann", "B", nil))
		r.drain(time.Hour)
		if n := r.calls(0)[sandbox.OpSendEvent]; n != 5 {
			t.Errorf("asked %d times after a day", n)
		}
	})
}

// A 404 of the events' address that does not last costs no event, not even with a restart meanwhile.
func TestAStray404DiscardsNoEvents(t *testing.T) {
	for name, restart := range map[string]bool{"one run": false, "a restart meanwhile": true} {
		t.Run(name, func(t *testing.T) {
			asEvents(t, sandbox.Options{}, func(t *testing.T, r *rig) {
				r.fault(sandbox.Fault{Next: 2, Status: 404, Operation: sandbox.OpSendEvent})
				for i := range 10 {
					r.publish(r.track("ann", fmt.Sprint("A", i), nil))
				}
				if time.Sleep(time.Minute); restart {
					r.restart()
				}
				r.wantOutcomes(r.drain(time.Hour), map[string]int64{"delivered": 10})
				if n := len(r.box.Events()); n != 10 {
					t.Errorf("%d events", n)
				}
				if p := r.pool.Status().Pauses; len(p) != 0 {
					t.Errorf("pauses %+v", p)
				}
			})
		})
	}
}

// An address that answers 404 while nothing else of the account works is no word about events: everything is held.
func TestA404InAnOutageDiscardsNoEvents(t *testing.T) {
	asEvents(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.track("ann", "A0", nil)) // the address is known
		r.drain(time.Minute)
		r.fault(sandbox.Fault{Percent: 100, Status: 404, Operation: sandbox.OpSendEvent + "|contact_filters"})
		for i := range 9 {
			r.publish(r.track("ann", fmt.Sprint("A", i+1), nil))
		}
		time.Sleep(26 * time.Hour)
		if l, err := r.store.Ledger(t.Context()); err != nil || l.Discarded != 0 || l.Dead != 0 {
			t.Errorf("ledger %+v, %v", l, err)
		}
		r.box.ClearFaults()
		r.wantOutcomes(r.drain(time.Hour), map[string]int64{"delivered": 10})
		if n := len(r.box.Events()); n != 10 {
			t.Errorf("%d events", n)
		}
	})
}

// TestAnOldIntentSaysNothingAboutAnotherCall: the intent of a call that was discarded because of the mode stays in the record.
func TestAnOldIntentSaysNothingAboutAnotherCall(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.fault(sandbox.Fault{Next: 1, DropAnswer: true, Operation: sandbox.OpCreateActivity})
		r.publish(r.track("ann", "A", nil))
		time.Sleep(10 * time.Second) // it is there, and nobody knows
		r.inMode(worker.Mode{Name: worker.ModeObserve, ObserveFor: time.Minute})
		r.drain(5 * time.Minute)
		r.inMode(worker.Mode{})
		time.Sleep(5 * time.Minute)
		r.fault(sandbox.Fault{Next: 1, Status: 500, Operation: "selector"})
		r.publish(r.track("ann", "B", nil))
		r.drain(time.Hour)
		if r.titles() != "A B" {
			t.Errorf("made %q", r.titles())
		}
	})
}

// TestALookUpDoesNotTakeOnePageForAll: an account that does not say how many pages there are has been looked through only when a
// page is empty.
func TestALookUpDoesNotTakeOnePageForAll(t *testing.T) {
	for name, c := range map[string]struct {
		pages int // before the empty one; 0: there is none
		made  int
		want  map[string]int64
	}{
		"more than are read": {made: 1, want: map[string]int64{"dead:unknown_outcome": 1}},
		"few":                {pages: 2, made: 2, want: map[string]int64{"delivered": 1}}, // and none of them has it
	} {
		t.Run(name, func(t *testing.T) {
			performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
				r.known("ann")
				r.fault(sandbox.Fault{Next: 1, DropAnswer: true, Operation: sandbox.OpCreateActivity})
				page := sandbox.Fault{Percent: 100, Status: 200, Body: `{"sales_activities":[{"id":1,"title":"x","notes":"of somebody else"}]}`, Operation: sandbox.OpListActivities}
				if c.pages > 0 {
					page.Percent, page.Next = 0, c.pages
				}
				r.fault(page)
				r.fault(sandbox.Fault{Percent: 100, Status: 200, Body: `{"sales_activities":[]}`, Operation: sandbox.OpListActivities})
				r.publish(r.track("ann", "A", nil))
				r.wantOutcomes(r.drain(time.Hour), c.want)
				if made := len(r.box.Activities()); made != c.made {
					t.Errorf("%d activities, want %d; calls %v", made, c.made, r.calls(0))
				}
			})
		})
	}
}

// TestAnEventGoesToTheAddressOfItsMoment: the address that was read for an earlier event may be another contact's by now.
func TestAnEventGoesToTheAddressOfItsMoment(t *testing.T) {
	asEvents(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.track("ann", "A", nil))
		r.drain(time.Minute)
		r.publish(r.identify("ann", map[string]any{"email": "ann.new@example.test"}), r.track("ann", "B", nil))
		r.drain(time.Minute)
		got := r.box.Events()
		if len(got) != 2 || got[0].Email != "ann@example.test" || got[1].Email != "ann.new@example.test" {
			t.Errorf("events %+v", got)
		}
	})
}

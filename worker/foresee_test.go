package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/worker"
)

// What is foreseen is what is done once the mode is live: the same fields, as many contacts, as many calls.
func TestAForecastComesTrue(t *testing.T) {
	bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.known("cat")
		r.inMode(worker.Mode{Name: worker.ModeObserve, ObserveFor: 24 * time.Hour})
		r.publish(r.identify("ann", map[string]any{"seq": 1, "industry": "Music", "colour": "red"}))
		r.publish(r.identify("ann", map[string]any{"seq": 2}), r.identify("ann", map[string]any{"seq": 3, "colour": "blue"}))
		r.publish(r.identify("bob", map[string]any{"seq": 7}), r.identify("nobody", map[string]any{"email": nil}))
		time.Sleep(time.Minute)
		before := len(r.box.Calls())
		f, err := r.pool.Forecast(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.Users != 3 || f.Calls != 5 || f.Create != 1 || f.Update != 1 || f.Nothing != 1 || f.Discarded["missing_email"] != 1 {
			t.Errorf("foreseen: %+v", f)
		}
		fields := map[string]mapping.FieldCount{}
		for _, c := range f.Fields {
			fields[c.Field] = c
		}
		if seq := fields["cf_seq"]; seq.Set != 2 || seq.Emptied != 0 {
			t.Errorf("cf_seq: %+v", seq)
		}
		if len(f.LeftOut) != 1 || f.LeftOut[0] != (mapping.LeftOutCount{Trait: "colour", Reason: "unmapped", Calls: 2}) {
			t.Errorf("left out: %+v", f.LeftOut)
		}
		if len(r.box.Calls()) != before {
			t.Error("the account was called for a forecast")
		}
		ann, err := r.pool.ForecastUser(t.Context(), r.store.User("ann"), true)
		if err != nil {
			t.Fatal(err)
		}
		if calls := r.box.Calls()[before:]; len(calls) != 1 || calls[0].Effect {
			t.Errorf("reading a contact made these calls: %+v", calls)
		}
		if !ann.Read || ann.Calls != 3 || ann.ContactID == "" || len(ann.Fields) == 0 {
			t.Errorf("of ann is foreseen: %+v", ann)
		}
		r.pending(5)
		r.inMode(worker.Mode{})
		before = len(r.box.Calls())
		time.Sleep(time.Hour)
		r.pending(0)
		after := r.contact("ann")
		for _, c := range ann.Fields {
			value, there := after.Custom[c.Field]
			if !there {
				value, there = after.Fields[c.Field]
			}
			if want := strings.Trim(string(c.After), `"`); want != "" && fmt.Sprint(value) != want || want == "" && there {
				t.Errorf("%s is %v, foreseen was %s", c.Field, value, c.After)
			}
		}
		if made := len(r.box.Calls()) - before; made > f.Requests+1 { // the fields are read again after a start
			t.Errorf("%d calls, foreseen were %d", made, f.Requests)
		}
		if f, err := r.pool.Forecast(t.Context()); err != nil || f.Users != 0 {
			t.Errorf("in live something waits for another mode: %+v %v", f, err)
		}
	})
}

// Companies are foreseen too, and not counted as users.
func TestAForecastKnowsCompanies(t *testing.T) {
	groups(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.inMode(worker.Mode{Name: worker.ModeObserve, ObserveFor: 24 * time.Hour})
		r.publish(r.group("ann", "acme", map[string]any{"name": "Acme", "industry": "Music"})...)
		time.Sleep(time.Minute)
		f, err := r.pool.Forecast(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.Companies != 1 || f.Users != 1 || f.Calls != 1 || f.Requests < 2 {
			t.Errorf("foreseen: %+v", f)
		}
		before := r.writes()
		r.inMode(worker.Mode{})
		r.drain(time.Hour)
		if n := r.writes() - before; n > f.Requests {
			t.Errorf("%d writes, foreseen were %d requests", n, f.Requests)
		}
	})
}

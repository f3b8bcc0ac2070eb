package worker_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// entry is the journal's line of the last call that was made.
func (r *rig) entry() queue.JournalEntry {
	r.t.Helper()
	entries, err := r.store.Journal(r.t.Context(), queue.JournalQuery{MessageID: fmt.Sprint("m", r.n)})
	if err != nil || len(entries) != 1 {
		r.t.Fatalf("the journal has %d lines, %v", len(entries), err)
	}
	return entries[0]
}

// leftOut maps fields to the reasons why the last call went without them.
func (r *rig) leftOut() map[string]string {
	r.t.Helper()
	reasons := map[string]string{}
	for _, left := range r.entry().LeftOut {
		reasons[left.Field] = left.Reason
	}
	return reasons
}

// A contact is not lost for one field, whether the API names it or not, and whether the contact is there or not.
func TestARefusedFieldIsLeftOutAndTheRestIsSent(t *testing.T) {
	unnamed := sandbox.Fault{Percent: 100, Status: 400, MatchBody: "Refuse me"}
	named := sandbox.Fault{Percent: 100, Status: 400, MatchBody: "Refuse me", Body: `{"errors":{"code":400,"message":["Job title is not in required length"]}}`}
	for _, c := range []struct {
		name  string
		fault sandbox.Fault
		known bool
		calls int64
	}{
		{"named, known contact", named, true, 5},      // get, put, get, put, and what custom fields do is learnt
		{"unnamed, known contact", unnamed, true, 10}, // and a search by halves among seven fields
		{"named, new contact", named, false, 3},
		{"unnamed, new contact", unnamed, false, 15}, // create, upsert and two lookups, the bare contact, and the search there
	} {
		bubbleNamed(t, c.name, sandbox.Options{}, func(t *testing.T, r *rig) {
			r.known("other")
			want := map[string]any{"cf_seq": json.Number("1"), "cf_plan": "growth", "cf_industry": "Music"}
			if c.known {
				r.publish(r.identify("ann", map[string]any{"job title": "Cook"}))
				r.drain(time.Minute)
			}
			r.fault(c.fault)
			before := r.box.CallCount()
			r.publish(r.identify("ann", map[string]any{
				"seq": 1, "plan": "growth", "industry": "Music", "job title": "Refuse me", "city": "Ulm", "first name": "Ann", "last name": "Lee",
			}))
			if l := r.drain(time.Minute); l.Dead != 0 {
				t.Errorf("ledger %+v", l)
			}
			if n := r.box.CallCount() - before; n > c.calls {
				t.Errorf("%d calls, want at most %d: %v", n, c.calls, r.calls(before))
			}
			got := r.contact("ann")
			if diff := cmp.Diff(want, got.Custom); diff != "" || got.Fields["city"] != "Ulm" || got.Fields["last_name"] != "Lee" {
				t.Errorf("%+v %s", got.Fields, diff)
			}
			if title := got.Fields["job_title"]; c.known && title != "Cook" || !c.known && title != nil {
				t.Errorf("the refused field is %v", title)
			}
			if diff := cmp.Diff(map[string]string{"job_title": "refused"}, r.leftOut()); diff != "" {
				t.Error(diff)
			}
			// Nothing of it is remembered as sent: once the account takes the value, the next call brings it.
			r.box.ClearFaults()
			r.publish(r.identify("ann", map[string]any{"seq": 1, "plan": "growth", "industry": "Music", "job title": "Refuse me", "city": "Ulm", "first name": "Ann", "last name": "Lee"}))
			r.drain(time.Minute)
			if title := r.contact("ann").Fields["job_title"]; title != "Refuse me" {
				t.Errorf("the title is %v: it was taken for sent", title)
			}
		})
	}
}

// A field that is to be emptied and may not be is left out the same way.
func TestAFieldThatMayNotBeEmptiedKeepsItsValue(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("ann", map[string]any{"job title": "Cook", "city": "Ulm"}))
		r.drain(time.Minute)
		r.fault(sandbox.Fault{Percent: 100, Status: 400, MatchBody: `"job_title":null`, Body: `{"errors":{"code":400,"message":["Need to fill this Job title to submit the form."]}}`})
		r.publish(r.identify("ann", map[string]any{"city": "Bonn"}))
		r.drain(time.Minute)
		if c := r.contact("ann"); c.Fields["job_title"] != "Cook" || c.Fields["city"] != "Bonn" {
			t.Errorf("%+v", c.Fields)
		}
		if diff := cmp.Diff(map[string]string{"job_title": "refused"}, r.leftOut()); diff != "" {
			t.Error(diff)
		}
	})
}

// Of many waiting calls only those lose a field whose value the API refuses: the newest good one counts.
func TestOfManyCallsTheNewestGoodValueIsSent(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.fault(sandbox.Fault{Percent: 100, Status: 400, MatchBody: "Refuse me"})
		var entries []queue.Entry
		for i := 1; i <= 20; i++ {
			plan := fmt.Sprint("p", i)
			if i > 18 {
				plan = "Refuse me"
			}
			entries = append(entries, r.identify("ann", map[string]any{"seq": i, "plan": plan}))
		}
		r.publish(entries...)
		if l := r.drain(time.Minute); l.Dead != 0 || l.Delivered != 21 {
			t.Errorf("ledger %+v", l)
		}
		if c := r.contact("ann"); c.Custom["cf_plan"] != "p18" || c.Custom["cf_seq"] != json.Number("20") {
			t.Errorf("%+v", c.Custom)
		}
	})
}

// However many values are refused, the calls that they cost have an end.
func TestRefusedValuesCostABoundedNumberOfCalls(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.fault(sandbox.Fault{Percent: 100, Status: 400, MatchBody: "Refuse me"})
		before := r.box.CallCount()
		var entries []queue.Entry
		for i := 1; i <= 200; i++ {
			entries = append(entries, r.identify("ann", map[string]any{"seq": i, "plan": fmt.Sprint("Refuse me ", i), "industry": fmt.Sprint("Refuse me ", i)}))
		}
		r.publish(entries...)
		l := r.drain(time.Hour)
		if n := r.box.CallCount() - before; n > 60 {
			t.Errorf("%d calls: %v", n, r.calls(before))
		}
		if l.Delivered+l.Dead != 201 {
			t.Errorf("ledger %+v", l)
		}
	})
}

// A search for refused fields fits into what the quota gives at once, however little that is: otherwise it would begin anew for ever.
func TestASearchFitsIntoASmallQuota(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.quota = worker.Quota{PerHour: 10_000, PerMinute: 12, Reserve: 0.1}
		r.restart()
		r.fault(sandbox.Fault{Percent: 100, Status: 400, MatchBody: "Refuse me"})
		before := r.box.CallCount()
		r.publish(r.identify("ann", map[string]any{
			"seq": 1, "plan": "Refuse me", "industry": "Music", "job title": "Refuse me", "city": "Ulm", "first name": "Ann", "last name": "Refuse me",
		}))
		if l := r.drain(2 * time.Hour); l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		if n := r.box.CallCount() - before; n > 40 {
			t.Errorf("%d calls: %v", n, r.calls(before))
		}
		left := r.leftOut()
		for _, field := range []string{"cf_plan", "job_title", "last_name"} {
			if left[field] != "refused" {
				t.Errorf("%s is not left out: %v", field, left)
			}
		}
		if len(left) > 5 {
			t.Errorf("nearly nothing was sent: %v", left)
		}
	})
}

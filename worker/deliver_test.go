package worker_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
)

func TestAnIdentifyBecomesAContactAndAnUpdate(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("ann", map[string]any{"name": "Ann Lee", "plan": "growth", "logins": 12}))
		r.drain(time.Minute)
		c := r.contact("ann")
		want := map[string]any{"cf_plan": "growth", "cf_logins": json.Number("12")}
		if diff := cmp.Diff(want, c.Custom); diff != "" || c.Email != "ann@example.test" || c.Fields["last_name"] != "Lee" {
			t.Errorf("%+v %s", c, diff)
		}
		before := r.box.CallCount()
		r.publish(r.identify("ann", map[string]any{"name": "Ann Lind"})) // leaves out plan and logins
		r.drain(time.Minute)
		c = r.contact("ann")
		if len(c.Custom) != 0 || c.Fields["last_name"] != "Lind" {
			t.Errorf("what the call left out is still there: %+v", c)
		}
		if n := r.box.CallCount() - before; n > 2 {
			t.Errorf("an update took %d calls: %v", n, r.calls(before))
		}
		before = r.box.CallCount()
		r.publish(r.identify("ann", map[string]any{"name": "Ann Lind"}))
		if l := r.drain(time.Minute); r.box.CallCount() != before || l.Delivered != 3 {
			t.Errorf("an unchanged contact cost calls: %v, %+v", r.calls(before), l)
		}
	})
}

func TestWhatWaitsForAUserIsOneChange(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("bob", nil)) // the account's fields are read, the contact is made
		r.drain(time.Minute)
		before := r.box.CallCount()
		entries := make([]queue.Entry, 50)
		for i := range entries {
			entries[i] = r.identify("bob", map[string]any{"seq": i})
		}
		r.publish(entries...)
		l := r.drain(time.Minute)
		if n := r.box.CallCount() - before; n > 2 || l.Delivered != 51 {
			t.Errorf("50 calls of one user took %d API calls: %v, %+v", n, r.calls(before), l)
		}
		if got := r.contact("bob").Custom["cf_seq"]; got != json.Number("49") {
			t.Errorf("seq is %v", got)
		}
	})
}

// The account may hold values that are not ours, and may replace custom_field whole.
func TestForeignCustomFieldsSurviveBothModes(t *testing.T) {
	for _, mode := range []sandbox.Mode{sandbox.Merge, sandbox.Replace} {
		t.Run(string(mode), func(t *testing.T) {
			bubble(t, sandbox.Options{CustomFieldMode: mode}, func(t *testing.T, r *rig) {
				foreign := map[string]any{"cf_notes": "written by hand", "cf_industry": "Music"}
				made, err := r.box.Add(map[string]any{"emails": "cat@example.test", "external_id": "cat", "job_title": "Owner", "custom_field": foreign})
				if err != nil {
					t.Fatal(err)
				}
				r.publish(r.identify("cat", map[string]any{"plan": "free", "seq": 1}))
				r.drain(time.Minute)
				r.publish(r.identify("cat", map[string]any{"plan": nil, "seq": 2}))
				r.drain(time.Minute)
				c := r.contact("cat")
				want := map[string]any{"cf_notes": "written by hand", "cf_industry": "Music", "cf_seq": json.Number("2")}
				if diff := cmp.Diff(want, c.Custom); diff != "" || c.ID != made.ID || c.Fields["job_title"] != "Owner" {
					t.Error(diff, c)
				}
			})
		})
	}
}

func TestAValueTheAPIDropsIsNotRememberedAsSent(t *testing.T) {
	// The fields' metadata offers a choice that the account does not take: a mapped value that is silently ignored.
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("dee", map[string]any{"logins": 1}))
		r.drain(time.Minute)
		r.fault(sandbox.Fault{
			Next: 1, Operation: "update_contact", Status: 200,
			Body: fmt.Sprintf(`{"contact":{"id":%d,"external_id":"dee","custom_field":{"cf_logins":1}}}`, r.contact("dee").ID),
		})
		r.publish(r.identify("dee", map[string]any{"logins": 2}))
		r.drain(time.Minute)
		entries, err := r.store.Journal(t.Context(), queue.JournalQuery{MessageID: "m2"})
		if err != nil || len(entries) != 1 || len(entries[0].LeftOut) != 1 || entries[0].LeftOut[0].Reason != "sent_not_stored" {
			t.Errorf("the journal says %+v, %v", entries, err)
		}
		r.publish(r.identify("dee", map[string]any{"logins": 2}))
		r.drain(time.Minute)
		if got := r.contact("dee").Custom["cf_logins"]; got != json.Number("2") {
			t.Errorf("logins is %v: the value was taken for sent", got)
		}
	})
}

func TestDiscardsNeedNoCallAndAreCounted(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		noEmail := r.identify("eve", map[string]any{"email": nil})
		noUser := r.identify("", map[string]any{"email": "x@example.test"})
		twice := r.identify("eve", nil)
		r.publish(noEmail, noUser, twice, twice)
		l := r.drain(time.Minute)
		want := map[queue.Count]int64{
			{Type: "identify", Outcome: queue.Delivered}:                            1,
			{Type: "identify", Outcome: queue.Discarded, Reason: "missing_email"}:   1,
			{Type: "identify", Outcome: queue.Discarded, Reason: "missing_user_id"}: 1,
			{Type: "identify", Outcome: queue.Discarded, Reason: "duplicate"}:       1,
		}
		if diff := cmp.Diff(want, l.Counts); diff != "" {
			t.Error(diff)
		}
		if n := len(r.box.Contacts()); n != 1 {
			t.Errorf("%d contacts", n)
		}
	})
}

// After a start the log is read again; what the records hold is skipped and counted once.
func TestARestartGoesOnWhereItWas(t *testing.T) {
	bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
		for i := range 40 {
			r.publish(r.identify(fmt.Sprint("u", i%10), map[string]any{"seq": i}))
			if i%7 == 0 {
				r.close()
				r.open()
			}
		}
		if l := r.drain(time.Minute); l.Delivered != 40 || l.Accepted != 40 {
			t.Errorf("ledger %+v", l)
		}
		r.neverBackwards("cf_seq")
		for i := range 10 {
			if got := r.contact(fmt.Sprint("u", i)).Custom["cf_seq"]; got != json.Number(fmt.Sprint(30+i)) {
				t.Errorf("u%d ends with %v", i, got)
			}
		}
	})
}

func TestAMapLineWithoutAFieldIsSaid(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.mapping.Traits = map[string]string{"plan": "Plan", "colour": "Favourite colour"}
		r.restart()
		time.Sleep(time.Second)
		lines := r.logs.FilterMessageSnippet("mapping.traits names a field").All()
		if len(lines) != 1 || lines[0].ContextMap()["trait"] != "colour" {
			t.Errorf("logged %v", lines)
		}
	})
}

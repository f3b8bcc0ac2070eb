package worker_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// slowJobs is an account whose bulk jobs take their time.
var slowJobs = sandbox.Options{History: true, BulkWait: 2 * time.Second, BulkDuration: 6 * time.Second}

// many makes n known contacts u0 … with a value in two custom fields.
func (r *rig) many(n int) {
	r.t.Helper()
	entries := make([]queue.Entry, n)
	for u := range entries {
		entries[u] = r.identify(fmt.Sprint("u", u), map[string]any{"seq": 0, "plan": "p0"})
	}
	r.publish(entries...)
	r.drain(time.Hour)
	r.quota = worker.Quota{PerHour: 100_000, PerMinute: 400, Reserve: 0.1}
	r.restart()
	time.Sleep(time.Minute)
}

// round publishes a call of each of n users, all at once.
func (r *rig) round(n, seq int) {
	r.t.Helper()
	entries := make([]queue.Entry, n)
	for u := range entries {
		entries[u] = r.identify(fmt.Sprint("u", u), map[string]any{"seq": seq, "plan": fmt.Sprint("p", seq)})
	}
	r.publish(entries...)
}

// at asserts that the first n users end with this number.
func (r *rig) at(n, seq int) {
	r.t.Helper()
	by := map[string]any{}
	for _, c := range r.box.Contacts() {
		by[c.ExternalID] = c.Custom["cf_seq"]
	}
	for u := range n {
		if got := by[fmt.Sprint("u", u)]; got != json.Number(fmt.Sprint(seq)) {
			r.t.Errorf("u%d ends with %v, want %d", u, got, seq)
		}
	}
}

func TestABacklogGoesInBulks(t *testing.T) {
	bubble(t, slowJobs, func(t *testing.T, r *rig) {
		r.many(1000)
		before := r.box.CallCount()
		for seq := 1; seq <= 3; seq++ {
			r.round(1000, seq)
			time.Sleep(500 * time.Millisecond)
		}
		l := r.drain(time.Hour)
		if l.Delivered != 4000 || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		if n := r.calls(before); n["bulk_upsert"] < 9 || n["update_contact"] > 130 {
			t.Errorf("calls %v", n)
		}
		r.at(1000, 3)
		r.neverBackwards("cf_seq")
	})
}

// The account's process is killed, so to speak, in the middle of a job: the next one follows the job before it sends.
func TestAJobOutlivesARestart(t *testing.T) {
	for name, fault := range map[string]sandbox.Fault{"answered": {}, "not answered": {Next: 1, Operation: "bulk_upsert", DropAnswer: true}} {
		bubbleNamed(t, name, sandbox.Options{History: true, BulkWait: 5 * time.Second, BulkDuration: 60 * time.Second}, func(t *testing.T, r *rig) {
			r.many(300)
			r.round(300, 1)
			r.drain(time.Hour) // it is known by now what a bulk does
			if fault.Next > 0 {
				r.fault(fault)
			}
			r.round(300, 2)
			time.Sleep(20 * time.Second)
			r.restart() // jobs are at work
			r.round(300, 3)
			if l := r.drain(time.Hour); l.Delivered != 1200 || l.Dead != 0 {
				t.Errorf("ledger %+v", l)
			}
			if r.calls(0)["bulk_upsert"] < 6 {
				t.Errorf("this was to be about bulks: %v", r.calls(0))
			}
			r.at(300, 3)
			r.neverBackwards("cf_seq")
		})
	}
}

// A job takes some and not others. Those go one by one and get their own answer.
func TestWhatAJobDoesNotTakeIsSentAlone(t *testing.T) {
	bubble(t, slowJobs, func(t *testing.T, r *rig) {
		r.many(200)
		r.round(200, 1)
		r.drain(time.Hour)
		gone := r.contact("u7")
		if err := r.client().DeleteContact(t.Context(), fmtID(gone.ID)); err != nil {
			t.Fatal(err)
		}
		entries := make([]queue.Entry, 200)
		for u := range entries {
			traits := map[string]any{"seq": 2, "plan": "p2"}
			if u == 11 {
				traits["first name"] = strings.Repeat("x", 255) // the account takes 100
			}
			entries[u] = r.identify(fmt.Sprint("u", u), traits)
		}
		r.fault(sandbox.Fault{Percent: 100, Operation: "update_contact", MatchBody: "xxxxx", Status: 400, Body: `{"errors":{"code":400,"message":["First name is not in required length"]}}`})
		before := r.box.CallCount()
		r.publish(entries...)
		if l := r.drain(time.Hour); l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		if n := r.calls(before)["bulk_upsert"]; n == 0 {
			t.Errorf("this was to be about bulks: %v", r.calls(before))
		}
		r.at(200, 2)
		if again := r.contact("u7"); again.ID == gone.ID {
			t.Error("a contact that is gone was not made anew")
		}
	})
}

// An account that replaces custom fields whole never gets them in a bulk, and loses none.
func TestNoCustomFieldsInABulkThatReplacesThem(t *testing.T) {
	bubble(t, sandbox.Options{History: true, BulkCustomFieldMode: sandbox.Replace, BulkWait: time.Second}, func(t *testing.T, r *rig) {
		r.many(100)
		for _, c := range r.box.Contacts() {
			if _, err := r.box.Edit(c.ID, map[string]any{"custom_field": map[string]any{"cf_notes": "by hand"}}); err != nil {
				t.Fatal(err)
			}
		}
		before := r.box.CallCount()
		r.round(100, 1)
		r.drain(time.Hour)
		if n := r.calls(before)["bulk_upsert"]; n != 1 {
			t.Errorf("%d bulks, want the one from which it is learnt", n)
		}
		r.at(100, 1)
		// What has no custom fields goes in bulks all the same.
		entries := make([]queue.Entry, 100)
		for u := range entries {
			entries[u] = r.identify(fmt.Sprint("u", u), map[string]any{"seq": 1, "plan": "p1", "job title": "Cook"})
		}
		before = r.box.CallCount()
		r.publish(entries...)
		r.drain(time.Hour)
		if n := r.calls(before); n["bulk_upsert"] == 0 || n["update_contact"] > 50 {
			t.Errorf("calls %v", n)
		}
		for _, c := range r.box.Contacts() {
			if c.Custom["cf_notes"] != "by hand" || c.Fields["job_title"] != "Cook" || c.Custom["cf_plan"] != "p1" {
				t.Errorf("%+v", c)
			}
		}
	})
}

// Everything that can happen to a bulk's calls, over and over. Nobody ends stale, nothing is dead, nothing goes backwards.
func TestBulksInTrouble(t *testing.T) {
	for name, f := range map[string]sandbox.Fault{
		"answers 500":       {Percent: 30, Seed: 3, Status: 500},
		"5 % answer 500":    {Percent: 5, Seed: 3, Status: 500},
		"answers are lost":  {Percent: 30, Seed: 4, DropAnswer: true, Operation: "bulk_upsert|job_status|update_contact"},
		"too many jobs":     {Percent: 50, Seed: 5, Status: 405, Operation: "bulk_upsert"},
		"throttled":         {Percent: 20, Seed: 6, Status: 429, Headers: map[string]string{"Retry-After": "8"}},
		"refused whole":     {Percent: 50, Seed: 7, Status: 400, Operation: "bulk_upsert"},
		"jobs are unknown":  {Percent: 50, Seed: 8, Status: 404, Body: `{"errors":{"code":404,"message":["not in the CRM"]}}`, Operation: "job_status"},
		"jobs fail":         {Percent: 50, Seed: 9, Status: 200, Body: `{"status":"FAILED"}`, Operation: "job_status"},
		"jobs tell nothing": {Percent: 50, Seed: 9, Status: 200, Body: `{"status":"SUCCESS","data":"{\"record_status\":{\"succeeded\":1,\"failed\":1}}"}`, Operation: "job_status"},
	} {
		bubbleNamed(t, name, slowJobs, func(t *testing.T, r *rig) {
			r.many(200)
			r.fault(f)
			for seq := 1; seq <= 10; seq++ {
				r.round(200, seq)
				time.Sleep(time.Second)
			}
			if l := r.drain(6 * time.Hour); l.Delivered != 2200 || l.Dead != 0 {
				t.Errorf("ledger %+v", l)
			}
			if r.calls(0)["bulk_upsert"] == 0 {
				t.Error("this was to be about bulks")
			}
			r.at(200, 10)
			r.neverBackwards("cf_seq")
		})
	}
}

// A large backlog takes few calls: 60 contacts or more in each, the questions about jobs included. FRESHRELAY_LONG=1 takes
// one of 100,000 contacts, and there all calls count; among fewer those before the first bulk and after the last weigh more, so
// the 60 are about the bulks' own calls there (55 at least: the first ones are small), and half of that about all.
func TestCallsPerContactInALargeBacklog(t *testing.T) {
	n, long := 6000, os.Getenv("FRESHRELAY_LONG") != ""
	perMinute := 12 // so that the backlog outlasts its first jobs
	if long {
		n, perMinute = 100_000, 100
	}
	bubble(t, sandbox.Options{BulkWait: 2 * time.Second, BulkDuration: 6 * time.Second, CallLog: 1 << 20}, func(t *testing.T, r *rig) {
		r.maxBytes = 4 << 30
		r.restart()
		r.many(n)
		r.quota = worker.Quota{PerHour: 6000, PerMinute: perMinute, Reserve: 0.1}
		r.restart()
		time.Sleep(time.Hour)
		before := r.box.CallCount()
		r.round(n, 1)
		if l := r.drain(48 * time.Hour); l.Delivered != int64(2*n) || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		calls := r.calls(before)
		all, bulks := int(r.box.CallCount()-before), calls["bulk_upsert"]+calls["job_status"]
		t.Logf("%d contacts: %d calls in all, %v", n, all, calls)
		if together := n - calls["update_contact"]; long && n/all < 60 || n/all < 30 || together/bulks < 55 {
			t.Errorf("%d contacts took %d calls: %v", n, all, calls)
		}
		r.at(n, 1)
	})
}

// A job that does not take a contact ends the trust in others that are not asked for.
func TestJobsAreAskedForAgainOnceOneFails(t *testing.T) {
	bubble(t, slowJobs, func(t *testing.T, r *rig) {
		r.many(2000)
		for _, u := range []int{1500, 1700, 1900} {
			if err := r.client().DeleteContact(t.Context(), fmtID(r.contact(fmt.Sprint("u", u)).ID)); err != nil {
				t.Fatal(err)
			}
		}
		r.round(2000, 1)
		r.drain(12 * time.Hour)
		r.at(2000, 1)
		r.neverBackwards("cf_seq")
	})
}

// Bulks alone run into an outage: that is asked at once, not after minutes. Single calls, which would tell, are no part of it.
func TestAFailedBulkFindsOutWhetherItIsAnOutage(t *testing.T) {
	bubble(t, slowJobs, func(t *testing.T, r *rig) {
		r.many(300)
		r.round(300, 1)
		r.drain(time.Hour)
		r.fault(sandbox.Fault{Percent: 100, Status: 503, Operation: "bulk_upsert|contact_filters"})
		before := r.box.CallCount()
		r.round(300, 2)
		time.Sleep(5 * time.Second)
		if pauses := r.pool.Status().Pauses; len(pauses) != 1 || pauses[0].Reason != worker.HoldOutage {
			t.Errorf("paused: %+v", pauses)
		}
		if n := r.calls(before); n["bulk_upsert"] == 0 || n["update_contact"] > 30 {
			t.Errorf("this was to be about bulks: %v", n)
		}
		time.Sleep(time.Hour)
		r.box.ClearFaults()
		if l := r.drain(time.Hour); l.Delivered != 900 || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		r.at(300, 2)
		r.neverBackwards("cf_seq")
	})
}

// What bulks do to custom fields is not believed for ever: no answer of theirs would tell that it has changed.
func TestWhatBulksDoIsFoundOutAnewEveryDay(t *testing.T) {
	bubble(t, slowJobs, func(t *testing.T, r *rig) {
		r.many(300)
		learnt := func() int {
			return r.logs.FilterMessage("learnt what the account does to custom fields that a write does not name").FilterField(zap.String("operation", "bulk_upsert")).Len()
		}
		for seq, want := range []int{1, 1, 2, 2} {
			r.round(300, seq+1)
			r.drain(time.Hour)
			if got := learnt(); got != want {
				t.Errorf("round %d: found out %d times, want %d", seq+1, got, want)
			}
			if seq == 1 {
				time.Sleep(24 * time.Hour)
			}
		}
		r.at(300, 4)
	})
}

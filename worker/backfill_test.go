package worker_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// existing fills the account with n contacts; those of odd users have no userId yet.
func (r *rig) existing(n int) {
	r.t.Helper()
	for u := range n {
		fields := map[string]any{"emails": fmt.Sprintf("u%d@example.test", u), "job_title": "by hand"}
		if u%2 == 0 {
			fields["external_id"] = fmt.Sprint("u", u)
		}
		if _, err := r.box.Add(fields); err != nil {
			r.t.Fatal(err)
		}
		if u%10 == 0 {
			time.Sleep(time.Second) // people were at it for a while
		}
	}
	time.Sleep(time.Minute) // lookups and views show it
}

// unknown publishes a call of each of n users, in packs.
func (r *rig) unknown(n, seq int) {
	r.t.Helper()
	for from := 0; from < n; from += 400 {
		var entries []queue.Entry
		for u := from; u < min(n, from+400); u++ {
			entries = append(entries, r.identify(fmt.Sprint("u", u), map[string]any{"seq": seq, "plan": fmt.Sprint("p", seq)}))
		}
		r.publish(entries...)
	}
}

// smallPlan restarts with the quota of the smallest plan, a minute's part of it included.
func (r *rig) smallPlan() {
	r.quota = worker.DefaultQuota()
	r.restart()
}

// Very many unknown users wait, and all of them have a contact. FRESHRELAY_LONG=1 takes 50,000 of each: 3,000 calls in all.
func TestABackfillFindsVeryManyContactsWithFewCalls(t *testing.T) {
	n, most := 2000, 420
	if os.Getenv("FRESHRELAY_LONG") != "" {
		n, most = 50_000, 3000
	}
	bubble(t, sandbox.Options{BulkWait: 2 * time.Second, BulkDuration: 6 * time.Second, CallLog: 1 << 20}, func(t *testing.T, r *rig) {
		r.maxBytes = 4 << 30
		r.smallPlan()
		r.existing(n)
		r.unknown(n, 1)
		l := r.drain(48 * time.Hour)
		if l.Delivered != int64(n) || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		all := int(r.box.CallCount())
		t.Logf("%d users: %d calls in all, %v", n, all, r.calls(0))
		if all > most {
			t.Errorf("%d calls in all, want at most %d", all, most)
		}
		if got := len(r.box.Contacts()); got != n {
			t.Errorf("%d contacts, want the %d that were there", got, n)
		}
		for _, c := range r.box.Contacts() {
			if c.ExternalID+"@example.test" != c.Email || c.Custom["cf_seq"] != json.Number("1") || c.Fields["job_title"] != "by hand" {
				t.Fatalf("%+v", c)
			}
		}
	})
}

// untilCalled waits until the account has been called so often with the operation.
func (r *rig) untilCalled(operation string, times int) {
	r.t.Helper()
	for range 100_000 {
		if r.calls(0)[operation] >= times {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.t.Fatalf("%s was not called %d times: %v", operation, times, r.calls(0))
}

// What people do to contacts after they were read, and before they are written: give one to another user, remove one,
// change an address, make one. Nobody's contact is taken over, nobody is lost, and no contact is made twice.
func TestAnOldIndexDoesNoHarm(t *testing.T) {
	bubble(t, sandbox.Options{BulkWait: 2 * time.Second, BulkDuration: 6 * time.Second, IndexLag: 15 * time.Second, CallLog: 1 << 20}, func(t *testing.T, r *rig) {
		const n = 1200
		r.quota = worker.Quota{PerHour: 20_000, PerMinute: 200, Reserve: 0.1}
		r.restart()
		r.existing(n)
		r.unknown(n, 1)
		r.untilCalled("bulk_upsert", 4)
		if err := r.pool.Pause(t.Context(), "", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute) // what is under way ends
		taken, gone, moved := map[int64]string{}, 0, 0
		for i, c := range r.box.Contacts() {
			if _, written := c.Custom["cf_seq"]; written {
				continue
			}
			switch i % 8 {
			case 0, 1: // one that has a userId, and one that has none
				taken[c.ID] = fmt.Sprint("stranger", i)
				r.handEdit(c.ID, map[string]any{"external_id": taken[c.ID]})
			case 2, 3:
				gone++
				if err := r.box.Remove(c.ID); err != nil {
					t.Fatal(err)
				}
			case 4, 5:
				moved++
				r.handEdit(c.ID, map[string]any{"email": fmt.Sprintf("moved%d@example.test", i)})
			}
		}
		if len(taken) < 50 || gone < 50 || moved < 50 {
			t.Fatalf("too late: %d, %d and %d contacts", len(taken), gone, moved)
		}
		time.Sleep(time.Minute)
		if err := r.pool.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		l := r.drain(48 * time.Hour)
		if r.calls(0)["bulk_upsert"] < 8 {
			t.Errorf("this was to be about bulks: %v", r.calls(0))
		}
		owners := map[string]int{}
		for _, c := range r.box.Contacts() {
			if owner := taken[c.ID]; owner != "" && (c.ExternalID != owner || c.Custom["cf_seq"] != nil) {
				t.Errorf("the contact of %s was written, or is %q's now", owner, c.ExternalID)
			}
			if !c.Deleted {
				owners[c.ExternalID]++
			}
		}
		for _, letter := range r.letters() {
			if letter.Reason != worker.ReasonEmailConflict { // a stranger has the address now
				t.Errorf("%+v", letter)
			}
		}
		if int(l.Dead) != len(taken) || int(l.Delivered) != n-len(taken) {
			t.Errorf("ledger %+v, %d contacts were taken", l, len(taken))
		}
		for owner, contacts := range owners {
			if contacts > 1 && owner != "" {
				t.Errorf("%s has %d contacts", owner, contacts)
			}
		}
	})
}

func (r *rig) handEdit(id int64, fields map[string]any) {
	r.t.Helper()
	if _, err := r.box.Edit(id, fields); err != nil {
		r.t.Fatal(err)
	}
}

// A process that dies while it reads the pages costs no more than the few that it had in hand.
func TestABackfillGoesOnAfterARestart(t *testing.T) {
	bubble(t, sandbox.Options{BulkWait: time.Second, BulkDuration: time.Second, CallLog: 1 << 20}, func(t *testing.T, r *rig) {
		const n, pages = 3000, 30
		r.quota = worker.Quota{PerHour: 2000, PerMinute: 14, Reserve: 0.1} // the pages take their time
		r.restart()
		r.existing(n)
		r.unknown(n, 1)
		for reading := 5; ; reading += 10 {
			for s := r.pool.Status().Backfill; s == nil || s.Pages < reading; s = r.pool.Status().Backfill {
				time.Sleep(time.Second)
			}
			if reading > 20 {
				break
			}
			if s := r.pool.Status().Backfill; !s.Reading || s.Of != pages || s.Waiting == 0 || s.Left <= 0 || s.Contacts < reading*100 {
				t.Errorf("status %+v", s)
			}
			r.restart()
		}
		before := r.calls(0)["contact_view"]
		if before > pages+10 {
			t.Errorf("%d calls for %d pages", before, pages)
		}
		if l := r.drain(48 * time.Hour); l.Delivered != n || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		if all := int(r.box.CallCount()); all > n/4 {
			t.Errorf("%d calls in all: %v", all, r.calls(0))
		}
		time.Sleep(3 * time.Hour)
		if s := r.pool.Status().Backfill; s != nil {
			t.Errorf("an index that nobody needs is still there: %+v", s)
		}
		if keys, err := r.store.StateKeys(t.Context(), "backfill"); err != nil || len(keys) > 0 {
			t.Errorf("left behind: %v, %v", keys, err)
		}
	})
}

// An account that does not let its contacts be listed, or not in a way that can be kept up with, or fails: everybody is
// delivered all the same.
func TestABackfillThatCannotBeIsNotWaitedFor(t *testing.T) {
	for name, f := range map[string]sandbox.Fault{
		"no view":          {Percent: 100, Operation: "contact_view", Status: 403},
		"fails":            {Percent: 100, Operation: "contact_view", Status: 500},
		"fails at times":   {Percent: 30, Seed: 5, Operation: "contact_view", Status: 500},
		"fails after some": {Percent: 100, Skip: 9, Operation: "contact_view", Status: 500},
		"refused later":    {Percent: 100, Skip: 11, Operation: "contact_view", Status: 403},
		"tells no times":   {Percent: 100, Operation: "contact_view", Status: 200, Body: `{"contacts":[{"id":1}],"meta":{"total_pages":4,"total":400}}`},
		"is not sorted": {
			Percent: 100, Operation: "contact_view", Skip: 5, Status: 200,
			Body: `{"contacts":[{"id":1,"updated_at":"2000-01-01T00:00:00Z"},{"id":2,"updated_at":"2001-01-01T00:00:00Z"}],"meta":{"total_pages":4,"total":400}}`,
		},
	} {
		bubbleNamed(t, name, sandbox.Options{BulkWait: time.Second, CallLog: 1 << 20}, func(t *testing.T, r *rig) {
			const n = 500
			r.quota = worker.Quota{PerHour: 50_000, PerMinute: 300, Reserve: 0.1}
			r.restart()
			r.existing(n)
			r.fault(f)
			r.unknown(n, 1)
			if l := r.drain(24 * time.Hour); l.Delivered != n || l.Dead != 0 {
				t.Errorf("ledger %+v", l)
			}
			if r.calls(0)["contact_view"] == 0 {
				t.Error("this was to be about a backfill")
			}
			r.at(n, 1)
		})
	}
}

// Users without contacts, however many, are no reason to read the account's.
func TestNewUsersAreNoReasonForABackfill(t *testing.T) {
	bubble(t, sandbox.Options{BulkWait: time.Second, CallLog: 1 << 20}, func(t *testing.T, r *rig) {
		r.quota = worker.Quota{PerHour: 20_000, PerMinute: 100, Reserve: 0.1}
		r.restart()
		r.unknown(500, 1)
		if l := r.drain(24 * time.Hour); l.Delivered != 500 || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		if n := r.calls(0); n["contact_view"] > 0 || n["create_contact"] != 500 {
			t.Errorf("calls %v", n)
		}
	})
}

package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/worker"
)

const allWrites = "create_contact|update_contact|upsert_contact|bulk_upsert|upsert_account|update_account"

// All writes fail for a day, while everything can be read and probes work: that is an outage like any other. It sets nothing aside,
// costs few calls, and ends with the first write that works.
func TestAnOutageOfWritesCostsNothingButTime(t *testing.T) {
	for name, f := range map[string]sandbox.Fault{
		"500":       {Percent: 100, Status: 500, Operation: allWrites},
		"cuts":      {Percent: 100, Cut: true, Operation: allWrites},
		"forbidden": {Percent: 100, Status: 403, Operation: allWrites},
	} {
		for _, users := range []int{3, 30} {
			bubbleNamed(t, fmt.Sprint(name, " ", users), sandbox.Options{CustomFieldMode: sandbox.Replace}, func(t *testing.T, r *rig) {
				r.load(users, 1)
				r.drain(time.Hour)
				r.fault(f)
				before := r.box.CallCount()
				r.round(users, 1) // of an account that replaces custom fields: each contact is read before it is written
				time.Sleep(24 * time.Hour)
				if p := r.pool.Status().Pauses; len(p) != 1 || p[0].Reason != worker.HoldOutage && p[0].Reason != worker.HoldMisconfigured {
					t.Errorf("paused: %+v", p)
				}
				if letters := r.letters(); len(letters) > 0 {
					t.Errorf("%d letters: %+v", len(letters), letters[0])
				}
				if n := r.box.CallCount() - before; n > 24*30*4+200 {
					t.Errorf("%d calls meanwhile: %v", n, r.calls(before))
				}
				r.box.ClearFaults()
				before = r.box.CallCount()
				if l := r.drain(time.Hour); l.Dead != 0 || l.Pending != 0 {
					t.Errorf("ledger %+v", l)
				}
				t.Logf("%d calls for %d users afterwards: %v", r.box.CallCount()-before, users, r.calls(before))
				if p := r.pool.Status().Pauses; len(p) > 0 {
					t.Errorf("paused: %+v", p)
				}
				r.at(users, 1)
			})
		}
	}
}

// So is one in which bulks are sent: their changes go in bulks again once it has ended.
func TestAnOutageOfWritesDoesNotCostBulks(t *testing.T) {
	bubble(t, slowJobs, func(t *testing.T, r *rig) {
		const n = 600
		r.many(n)
		r.round(n, 1)
		r.drain(time.Hour) // it is known by now what a bulk does
		r.fault(sandbox.Fault{Percent: 100, Status: 500, Operation: allWrites})
		before := r.box.CallCount()
		r.round(n, 2)
		time.Sleep(12 * time.Hour)
		if p := r.pool.Status().Pauses; len(p) != 1 || p[0].Reason != worker.HoldOutage || len(r.letters()) > 0 {
			t.Errorf("paused: %+v, %d letters", p, len(r.letters()))
		}
		if n := r.calls(before); n["bulk_upsert"] == 0 || r.box.CallCount()-before > 12*30*4+200 {
			t.Errorf("calls meanwhile: %v", n)
		}
		r.box.ClearFaults()
		before = r.box.CallCount()
		if l := r.drain(time.Hour); l.Delivered != 3*n || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		if n := r.calls(before); n["update_contact"] > 150 {
			t.Errorf("calls afterwards: %v", n)
		}
		r.at(n, 2)
		r.neverBackwards("cf_seq")
	})
}

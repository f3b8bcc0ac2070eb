package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// What is wrong with bulks for ever costs time, and holds nobody for ever: the changes go one by one in the end.
func TestNobodyIsHeldByBulksThatNeverWork(t *testing.T) {
	for name, f := range map[string]sandbox.Fault{
		"always busy":          {Percent: 100, Status: 405, Operation: "bulk_upsert"},
		"always fails":         {Percent: 100, Status: 500, Operation: "bulk_upsert"},
		"jobs are forbidden":   {Percent: 100, Status: 403, Body: `{"message":"Access denied"}`, Operation: "job_status"},
		"jobs are refused":     {Percent: 100, Status: 400, Body: `{"errors":{"code":400,"message":["no"]}}`, Operation: "job_status"},
		"jobs cannot be asked": {Percent: 100, Status: 500, Operation: "job_status"},
		"jobs never end":       {Percent: 100, Status: 200, Body: `{"status":"IN_PROGRESS"}`, Operation: "job_status"},
	} {
		bubbleNamed(t, name, slowJobs, func(t *testing.T, r *rig) {
			r.many(300)
			r.round(300, 1)
			r.drain(time.Hour) // it is known by now what a bulk does
			before := r.box.CallCount()
			r.fault(f)
			r.round(300, 2)
			if l := r.drain(2 * time.Hour); l.Delivered != 900 || l.Dead != 0 {
				t.Errorf("ledger %+v", l)
			}
			if n := r.calls(before)["bulk_upsert"]; n == 0 || n > 20 {
				t.Errorf("%d bulks", n)
			}
			r.at(300, 2)
			r.neverBackwards("cf_seq")
		})
	}
}

// Jobs that hang hold those who are in them, and nobody else: the others go one by one. Once jobs end again there are bulks again.
func TestHangingJobsHoldThoseAloneWhoAreInThem(t *testing.T) {
	bubble(t, slowJobs, func(t *testing.T, r *rig) {
		const n = 1200
		r.many(n)
		r.round(n, 1)
		r.drain(time.Hour)
		r.fault(sandbox.Fault{Percent: 100, Status: 200, Body: `{"status":"IN_PROGRESS"}`, Operation: "job_status"})
		before := r.box.CallCount()
		r.round(n, 2)
		time.Sleep(30 * time.Minute)
		l, err := r.store.Ledger(t.Context())
		if got := r.calls(before); err != nil || got["bulk_upsert"] < 3 || l.Pending == 0 || l.Pending > 300 {
			t.Errorf("%d calls wait for three jobs that hang: %v, %v", l.Pending, got, err)
		}
		r.box.ClearFaults()
		r.drain(time.Hour)
		r.at(n, 2)
		before = r.box.CallCount()
		r.round(n, 3)
		r.drain(time.Hour)
		if got := r.calls(before); got["bulk_upsert"] < 10 {
			t.Errorf("there are no bulks any more: %v", got)
		}
		r.at(n, 3)
		r.neverBackwards("cf_seq")
	})
}

// The next process does not wait for ever either.
func TestAStartDoesNotWaitForeverForAJobThatNeverEnds(t *testing.T) {
	bubble(t, slowJobs, func(t *testing.T, r *rig) {
		r.many(300)
		r.round(300, 1)
		r.drain(time.Hour)
		r.fault(sandbox.Fault{Percent: 100, Status: 200, Body: `{"status":"IN_PROGRESS"}`, Operation: "job_status"})
		before := r.box.CallCount()
		r.round(300, 2)
		time.Sleep(20 * time.Second)
		if r.calls(before)["bulk_upsert"] == 0 {
			t.Error("this was to be about bulks")
		}
		r.restart()
		r.drain(4 * time.Hour)
		r.at(300, 2)
		r.neverBackwards("cf_seq")
	})
}

// Who tries to find out about bulks and cannot, because its contact does not lend itself to it, goes on with what it has read.
func TestWhoCannotFindOutAboutBulksReadsItsContactOnce(t *testing.T) {
	bubble(t, slowJobs, func(t *testing.T, r *rig) {
		r.quota = worker.Quota{PerHour: 100_000, PerMinute: 400, Reserve: 0.1}
		r.restart()
		for seq := range 2 { // first the contacts, without custom fields; then one field, in which none has a value
			entries := make([]queue.Entry, 300)
			for u := range entries {
				traits := map[string]any{}
				if seq > 0 {
					traits["seq"] = seq
				}
				entries[u] = r.identify(fmt.Sprint("u", u), traits)
			}
			before := r.box.CallCount()
			r.publish(entries...)
			r.drain(time.Hour)
			if n := r.calls(before); n["get_contact"] != n["update_contact"] {
				t.Errorf("calls %v", n)
			}
			time.Sleep(time.Minute)
		}
		r.at(300, 1)
	})
}

// A runner that waits for room in a bulk leaves its place to others.
func TestWhoWaitsForABulkTakesNoPlace(t *testing.T) {
	bubble(t, slowJobs, func(t *testing.T, r *rig) {
		r.many(1000)
		r.round(1000, 1)
		r.drain(time.Hour)
		r.fault(sandbox.Fault{Percent: 100, Operation: "bulk_upsert", DropAnswer: true})
		r.round(1000, 2)
		time.Sleep(time.Minute) // all bulks that may be under way are, and nobody knows for two minutes what became of them
		if d := r.pool.Depth(); d.Lanes < 900 || d.InFlight != 0 {
			t.Errorf("%+v", d)
		}
		r.box.ClearFaults()
		r.drain(time.Hour)
		r.at(1000, 2)
	})
}

package worker_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// What answers for a job for a while is a page of somebody else's, or trouble: the job is asked for again, and its changes are not
// sent one by one.
func TestAPassingPageDoesNotCostABulk(t *testing.T) {
	page := map[string]string{"Content-Type": "text/html"}
	for name, f := range map[string]sandbox.Fault{
		"503":          {Next: 9, Status: 503, Operation: "job_status"},
		"503 page":     {Next: 9, Status: 503, Headers: page, Body: "<html>Maintenance</html>", Operation: "job_status"},
		"200 page":     {Next: 9, Status: 200, Headers: page, Body: "<html>Maintenance</html>", Operation: "job_status"},
		"404 page":     {Next: 9, Status: 404, Headers: page, Body: "<html>Maintenance</html>", Operation: "job_status"},
		"sent to page": {Next: 9, Status: 302, Operation: "job_status"},
	} {
		bubbleNamed(t, name, slowJobs, func(t *testing.T, r *rig) {
			r.many(300)
			r.round(300, 1)
			r.drain(time.Hour) // it is known by now what a bulk does
			before := r.box.CallCount()
			r.fault(f)
			r.round(300, 2)
			if l := r.drain(time.Hour); l.Delivered != 900 || l.Dead != 0 {
				t.Errorf("ledger %+v", l)
			}
			if n := r.calls(before); n["bulk_upsert"] == 0 || n["update_contact"] > 60 { // those that went before it was a backlog
				t.Errorf("calls %v", n)
			}
			r.at(300, 2)
		})
	}
}

// While one change finds out what a bulk does to custom fields, and its job hangs, the others do not wait for it for longer than for
// any other job.
func TestAHangingExperimentHoldsNobodyForLong(t *testing.T) {
	bubble(t, slowJobs, func(t *testing.T, r *rig) {
		const n = 300
		r.many(n)
		r.fault(sandbox.Fault{Percent: 100, Status: 200, Body: `{"status":"IN_PROGRESS"}`, Operation: "job_status"})
		before := r.box.CallCount()
		r.round(n, 1)
		time.Sleep(5 * time.Minute)
		if n := r.calls(before); n["bulk_upsert"] != 1 || n["update_contact"] > 60 {
			t.Errorf("this was to be about who waits: %v", n)
		}
		time.Sleep(15 * time.Minute)
		if l, err := r.store.Ledger(t.Context()); err != nil || l.Pending > 1 {
			t.Errorf("%d calls wait for one change: %v", l.Pending, err)
		}
		r.box.ClearFaults()
		r.drain(2 * time.Hour)
		r.at(n, 1)
		before = r.box.CallCount()
		r.round(n, 2)
		r.drain(time.Hour)
		if n := r.calls(before); n["bulk_upsert"] < 2 {
			t.Errorf("it is not found out any more: %v", n)
		}
		r.at(n, 2)
	})
}

package worker_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/worker"
)

// What is wrong with the account says nothing about its lists of contacts: a backfill waits for the end of it like everything else,
// and is not given up, whichever of its calls it meets.
func TestABackfillOutlivesTheAccountsTrouble(t *testing.T) {
	began := func(*worker.Backfill) bool { return true }
	reads := func(b *worker.Backfill) bool { return b != nil && b.Pages >= 2 }
	done := func(b *worker.Backfill) bool { return b != nil && !b.Reading }
	html := sandbox.Fault{Status: 200, Headers: map[string]string{"Content-Type": "text/html"}, Body: `<html>We are back soon</html>`}
	for name, trouble := range map[string]struct {
		fault sandbox.Fault
		when  func(*worker.Backfill) bool
	}{
		"a page at first":        {html, began},
		"a page while reading":   {html, reads},
		"redirect while reading": {sandbox.Fault{Status: 302, Headers: map[string]string{"Location": "/sorry"}}, reads},
		"no rights at first":     {sandbox.Fault{Status: 403}, began},
		"no rights afterwards":   {sandbox.Fault{Status: 403}, done},
		"outage at first":        {sandbox.Fault{Status: 503}, began},
		"outage while reading":   {sandbox.Fault{Status: 503}, reads},
		"throttled at first":     {sandbox.Fault{Status: 429}, began},
		"throttled afterwards":   {sandbox.Fault{Status: 429}, done},
	} {
		bubbleNamed(t, name, sandbox.Options{BulkWait: time.Second, CallLog: 1 << 20}, func(t *testing.T, r *rig) {
			const n, pages = 600, 6
			r.quota = worker.Quota{PerHour: 5000, PerMinute: 30, Reserve: 0.1} // the pages take their time
			r.restart()
			r.existing(n)
			r.unknown(n, 1)
			for !trouble.when(r.pool.Status().Backfill) {
				time.Sleep(time.Second)
			}
			f := trouble.fault
			f.Percent, f.For = 100, 40*time.Minute
			r.fault(f)
			time.Sleep(f.For)
			before := r.box.CallCount()
			if l := r.drain(48 * time.Hour); l.Delivered != n || l.Dead != 0 {
				t.Errorf("ledger %+v", l)
			}
			calls := r.calls(before)
			if calls["lookup_contacts"] > n/8 || calls["contact_view"] > 5*pages {
				t.Errorf("contacts were looked for one by one, or read again and again: %v", calls)
			}
		})
	}
}

package worker_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// The whole pool on the smallest plan, with three times the calls wanted, restarted every hour: no window is exceeded,
// nothing of the budget is left over as long as somebody waits, and waiting costs no event anything.
func TestThePoolKeepsToTheQuota(t *testing.T) {
	bubble(t, sandbox.Options{CallLog: 80_000}, func(t *testing.T, r *rig) {
		hours := 3
		if os.Getenv("FRESHRELAY_LONG") != "" {
			hours, r.maxBytes = 24, 1<<30
		}
		r.quota = worker.DefaultQuota()
		r.restart()
		began, n := time.Now(), 0
		for minute := range hours * 60 {
			entries := make([]queue.Entry, 45)
			for i := range entries {
				entries[i] = r.identify(fmt.Sprint("u", n), map[string]any{"city": fmt.Sprint("c", n)})
				n++
			}
			r.publish(entries...)
			if minute%60 == 59 {
				r.restart()
			}
			time.Sleep(time.Until(began.Add(time.Duration(minute+1) * time.Minute)))
		}
		calls := r.box.Calls()
		if hour, minute := sandboxtest.MostIn(calls, time.Hour), sandboxtest.MostIn(calls, time.Minute); hour > 900 || minute > 360 || sandboxtest.Throttled(calls) > 0 {
			t.Errorf("up to %d calls in an hour and %d in a minute, %d of them refused", hour, minute, sandboxtest.Throttled(calls))
		}
		l, err := r.store.Ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d calls, %+v", len(calls), l)
		if l.Dead > 0 || l.Discarded > 0 || l.Pending > 0 && len(calls) < 900*hours*98/100 {
			t.Errorf("%d calls in %d hours, and %+v", len(calls), hours, l)
		}
		if estimate := r.pool.BacklogClear(l.Pending); l.Pending > 0 && (estimate < time.Duration(l.Pending)*time.Hour/1080 || estimate > time.Duration(l.Pending)*time.Hour/770) {
			t.Errorf("%d events are to be clear in %v", l.Pending, estimate)
		}
		time.Sleep(time.Duration(hours) * 3 * time.Hour)
		l = r.drain(time.Hour)
		if l.Delivered != int64(n) {
			t.Errorf("ledger %+v", l)
		}
	})
}

// A day of the whole pool with three times the calls wanted, activities among them, and a crash every hour: at another moment of
// each, with calls under way whose answers nobody gets, and with nothing but what was on disk. No window is exceeded, what
// crashes cost is a block each, activities get nothing while contacts wait, and in the end everything is delivered.
func TestThePoolKeepsToTheQuotaThroughCrashes(t *testing.T) {
	const users = 20
	bubble(t, sandbox.Options{CallLog: 80_000, PerHour: 900, PerMinute: 360}, func(t *testing.T, r *rig) {
		hours := 2
		if os.Getenv("FRESHRELAY_LONG") != "" {
			hours, r.maxBytes = 24, 1<<30
		}
		r.quota, r.activities = worker.DefaultQuota(), asActivities(t)
		r.close()
		r.rewire()
		r.open()
		r.fault(sandbox.Fault{Percent: 100, Delay: 200 * time.Millisecond}) // so that there is always something under way
		r.load(users, 1)
		r.drain(time.Minute)
		began, n, tracks, lost := time.Now(), 0, 0, 0
		for minute := range hours * 60 {
			var entries []queue.Entry
			for range 45 {
				entries = append(entries, r.identify(fmt.Sprint("n", n), map[string]any{"city": fmt.Sprint("c", n)}))
				n++
			}
			for range 2 {
				entries = append(entries, r.track(fmt.Sprint("u", tracks%users), "Order Completed", nil))
				tracks++
			}
			r.publish(entries...)
			if hour := minute / 60; minute%60 == hour*7%60 {
				time.Sleep(time.Duration(hour*379%1000) * time.Millisecond)
				lost += r.untilUnderWay()
				r.crash()
			}
			time.Sleep(time.Until(began.Add(time.Duration(minute+1) * time.Minute)))
		}
		calls := r.box.Calls()
		if hour, minute := sandboxtest.MostIn(calls, time.Hour), sandboxtest.MostIn(calls, time.Minute); hour > 900 || minute > 360 || sandboxtest.Throttled(calls) > 0 {
			t.Errorf("up to %d calls in an hour and %d in a minute, %d of them refused", hour, minute, sandboxtest.Throttled(calls))
		}
		activities, short := 0, began.Add(time.Hour) // from then on contacts wait at every moment
		for _, c := range calls {
			if c.Operation == sandbox.OpCreateActivity && c.Time.After(short) {
				activities++
			}
		}
		l, err := r.store.Ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d calls, %d answers lost, %d activities while contacts waited, %+v", len(calls), lost, activities, l)
		if lost < hours/2 {
			t.Errorf("%d calls were under way: this was to be about crashes", lost)
		}
		if len(calls) < 900*hours*98/100 || activities > 0 || l.Dead > 0 || l.Pending == 0 {
			t.Errorf("%d calls in %d hours, %d of them for activities while contacts waited, and %+v", len(calls), hours, activities, l)
		}
		r.box.ClearFaults()
		time.Sleep(time.Duration(hours) * 3 * time.Hour)
		if l = r.drain(time.Hour); l.Delivered != int64(users+n+tracks) || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		if made := len(r.box.Activities()); made != tracks {
			t.Errorf("%d activities of %d track calls", made, tracks)
		}
		if contacts := len(r.box.Contacts()); contacts != users+n {
			t.Errorf("%d contacts of %d users", contacts, users+n)
		}
	})
}

// Changes of several calls get them together: many lanes that share few calls do not take them from one another and have
// to begin anew.
func TestScarceCallsAreNotWastedOnHalfChanges(t *testing.T) {
	bubble(t, sandbox.Options{CustomFieldMode: sandbox.Replace}, func(t *testing.T, r *rig) {
		r.load(40, 1)
		r.drain(time.Minute)
		r.quota = worker.Quota{PerMinute: 12}
		r.restart()
		r.drain(time.Minute)
		time.Sleep(2 * time.Minute)
		since := r.box.CallCount()
		for u := range 40 {
			r.publish(r.identify(fmt.Sprint("u", u), map[string]any{"seq": 1}))
		}
		r.drain(time.Hour)
		if n := r.box.CallCount() - since; n > 40*2+8 { // some more find out what bulks do to custom fields
			t.Errorf("%d calls for 40 changes: %v", n, r.calls(since))
		}
		r.upToDate(40, 2)
	})
}

// A user whose change fails does not grow old while all wait for calls: it has its attempts all the same.
func TestWaitingForCallsDoesNotAgeAUsersTrouble(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.quota = worker.Quota{PerHour: 30}
		r.restart()
		r.fault(sandbox.Fault{Next: 2, Operation: "update_contact", Match: fmt.Sprint("/", r.contact("ann").ID), Status: 500})
		r.publish(r.identify("ann", map[string]any{"seq": 1}))
		time.Sleep(time.Second)
		for u := range 100 { // more than three hours' calls
			r.publish(r.identify(fmt.Sprint("u", u), map[string]any{"city": "Porto"}))
		}
		time.Sleep(4 * time.Hour)
		if l := r.drain(time.Hour); l.Dead != 0 || l.Delivered != 102 {
			t.Errorf("ledger %+v", l)
		}
		r.upTo("ann", 1)
	})
}

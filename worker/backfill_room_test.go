package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/worker"
)

// crowd fills STATE until no more than left bytes may be taken by what can be done without.
func (r *rig) crowd(left int64) {
	r.t.Helper()
	for n := 0; ; n++ {
		room, err := r.store.StateRoom(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		if room <= left {
			return
		}
		filler := make([]byte, min(100<<10, max(1, room-left)))
		if _, err := r.store.PutState(r.t.Context(), fmt.Sprint("filler.", time.Now().UnixNano(), "-", n), filler, 0); err != nil {
			r.t.Fatal(err)
		}
	}
}

// nothingLeft asserts that no part of an index is in STATE, and that nobody reads.
func (r *rig) nothingLeft() {
	r.t.Helper()
	keys, err := r.store.StateKeys(r.t.Context(), "backfill")
	if err != nil || len(keys) > 0 || r.pool.Status().Backfill != nil {
		r.t.Errorf("left behind: %v, %v, %+v", keys, err, r.pool.Status().Backfill)
	}
}

// The index may be done without, so it leaves the last fifth of STATE to the records of users, and no page is paid for that it
// would have no room for.
func TestABackfillWithoutRoomIsNotBegun(t *testing.T) {
	bubble(t, sandbox.Options{BulkWait: time.Second, BulkDuration: time.Second, CallLog: 1 << 20}, func(t *testing.T, r *rig) {
		const n = 1200
		r.quota = worker.Quota{PerHour: 20_000, PerMinute: 200, Reserve: 0.1}
		r.restart()
		r.existing(n)
		if err := r.pool.Pause(t.Context(), "", ""); err != nil {
			t.Fatal(err)
		}
		r.unknown(n, 1)
		r.crowd(n*40 - 1)
		if err := r.pool.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		for r.logs.FilterMessage("a backfill has ended").Len() == 0 {
			time.Sleep(time.Minute)
		}
		r.nothingLeft()
		time.Sleep(time.Hour)
		l := r.drain(48 * time.Hour)
		if l.Delivered != n || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		ended := r.logs.FilterMessage("a backfill has ended")
		if views := r.calls(0)["contact_view"]; views != ended.Len() || views > 10 || ended.All()[0].ContextMap()["reason"] != "STATE has no room for it" {
			t.Errorf("%d pages read, %d runs: %v", views, ended.Len(), ended.All())
		}
		r.at(n, 1)
	})
}

// STATE fills up while the pages are read: they go, and everybody is delivered.
func TestABackfillGivesItsRoomBack(t *testing.T) {
	bubble(t, sandbox.Options{BulkWait: time.Second, BulkDuration: time.Second, CallLog: 1 << 20}, func(t *testing.T, r *rig) {
		const n = 1500
		r.quota = worker.Quota{PerHour: 2000, PerMinute: 14, Reserve: 0.1} // the pages take their time
		r.restart()
		r.existing(n)
		r.unknown(n, 1)
		for s := r.pool.Status().Backfill; s == nil || s.Pages < 10; s = r.pool.Status().Backfill {
			time.Sleep(time.Second)
		}
		r.crowd(10_000)
		for r.logs.FilterMessage("a backfill has ended").Len() == 0 {
			time.Sleep(time.Second)
		}
		r.nothingLeft()
		if room, err := r.store.StateRoom(t.Context()); err != nil || room < 40_000 {
			t.Errorf("%d bytes of room: the parts are still there, or %v", room, err)
		}
		r.quota = plenty()
		r.restart()
		if l := r.drain(48 * time.Hour); l.Delivered != n || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		r.at(n, 1)
	})
}

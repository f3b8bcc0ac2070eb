package worker_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// However much waits in the log, no more than the bound and one pack of it is in memory; and when the API is back
// everything comes.
func TestABacklogDoesNotGrowInMemory(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		const bound, pack, users, each = 100_000, 512 << 10, 100, 60
		r.close()
		r.readAhead = bound
		r.open()
		r.fault(sandbox.Fault{Percent: 100, Status: http.StatusServiceUnavailable})
		size := 0
		for seq := range each {
			var entries []queue.Entry
			for u := range users {
				e := r.identify(fmt.Sprint("u", u), map[string]any{"email": fmt.Sprintf("u%d@x.test", u), "seq": seq, "note": strings.Repeat("x", 600)})
				entries, size = append(entries, e), size+len(e.Data)
			}
			r.publish(entries...)
		}
		time.Sleep(time.Hour)
		d := r.pool.Depth()
		if d.ReadAhead == 0 || d.ReadAhead > bound+pack || size < 5*(bound+pack) || d.Lanes == 0 || d.Lanes > users || d.InFlight > 8 {
			t.Errorf("of %d bytes in the log %+v is in memory, the bound is %d and a pack", size, d, bound)
		}
		r.box.ClearFaults()
		if l := r.drain(6 * time.Hour); l.Delivered != users*each {
			t.Errorf("ledger %+v", l)
		}
		if d := r.pool.Depth(); d != (worker.Depth{Places: 8, ActivityPlaces: 4}) {
			t.Errorf("when all is delivered %+v is left", d)
		}
	})
}

// What is remembered of a user grows with the fields that are spoken of. Beyond what a commit takes the event is set aside:
// tried again it would fail for ever, and hold its user.
func TestARecordThatOutgrowsACommitSetsItsEventAside(t *testing.T) {
	fields := make([]sandbox.Field, 3000)
	for i := range fields {
		name := fmt.Sprintf("f%04d%s", i, strings.Repeat("x", 200))
		fields[i] = sandbox.Field{Name: "cf_" + name, Label: name, Type: sandbox.TypeText}
	}
	bubble(t, sandbox.Options{CustomFields: fields}, func(t *testing.T, r *rig) {
		r.close()
		r.mapping.MissingTraits = mapping.Keep
		r.open()
		for from := 0; from < len(fields); from += 250 {
			traits := map[string]any{"email": "ann@x.test"}
			for _, f := range fields[from : from+250] {
				traits[f.Label] = "v"
			}
			r.publish(r.identify("ann", traits))
			r.drain(time.Hour)
		}
		letters := r.letters()
		if len(letters) == 0 || letters[0].Reason != worker.ReasonRecordTooLarge {
			t.Fatalf("%d letters, %+v", len(letters), letters)
		}
		r.publish(r.identify("ann", map[string]any{"email": "ann@x.test", fields[0].Label: "w"}))
		l := r.drain(time.Hour)
		if got := r.contact("ann").Custom[fields[0].Name]; got != "w" || l.Difference() != 0 {
			t.Errorf("her next call gave %v, ledger %+v", got, l)
		}
	})
}

// While the API is slow every place is taken, of contacts and of activities each as many as there are, and what is left waits.
func TestTheDepthTellsHowManyPlacesAreTaken(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		const users = 20
		for u := range users {
			r.publish(r.identify(fmt.Sprint("u", u), map[string]any{"email": fmt.Sprintf("u%d@x.test", u)}))
		}
		r.drain(time.Hour)
		r.fault(sandbox.Fault{Percent: 100, Delay: 5 * time.Second})
		most := worker.Depth{}
		for u := range users {
			user := fmt.Sprint("u", u)
			r.publish(r.identify(user, map[string]any{"email": user + "@x.test", "firstName": "New"}), r.track(user, "Order Completed", nil))
		}
		for range 3000 {
			time.Sleep(100 * time.Millisecond)
			d := r.pool.Depth()
			most.InFlight, most.Activities = max(most.InFlight, d.InFlight), max(most.Activities, d.Activities)
			if d.Places != 8 || d.ActivityPlaces != 4 || d.InFlight > d.Places || d.Activities > d.ActivityPlaces {
				t.Fatalf("%+v", d)
			}
		}
		if most.InFlight != 8 || most.Activities != 4 {
			t.Errorf("%+v at most were taken", most)
		}
	})
}

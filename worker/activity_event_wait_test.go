package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// A 404 of the events' address before an outage and another one after it are no half hour of them: nobody could ask in between.
func TestA404OnEitherSideOfAnOutageDiscardsNoEvents(t *testing.T) {
	asEvents(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.track("ann", "A0", nil)) // the address is known
		r.drain(time.Minute)
		for u := range 5 {
			r.known(fmt.Sprint("user", u))
		}
		r.fault(sandbox.Fault{Next: 1, Status: 404, Operation: sandbox.OpSendEvent})
		for i := range 9 {
			r.publish(r.track("ann", fmt.Sprint("A", i+1), nil))
		}
		time.Sleep(time.Minute)
		r.fault(sandbox.Fault{Percent: 100, Status: 503, For: time.Hour})
		for u := range 5 {
			r.publish(r.identify(fmt.Sprint("user", u), map[string]any{"seq": 1}))
		}
		time.Sleep(59 * time.Minute)
		r.fault(sandbox.Fault{Next: 1, Status: 404, Operation: sandbox.OpSendEvent})
		r.wantOutcomes(r.drain(3*time.Hour), map[string]int64{"delivered": 10})
		if n := len(r.box.Events()); n != 10 {
			t.Errorf("%d events", n)
		}
	})
}

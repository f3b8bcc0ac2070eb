package worker_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/worker"
)

// An event waits for the quota, and meanwhile what it was about to be sent to is another's, or nobody's. Contacts go first.
func TestAnEventThatWaitedIsSentToTheContactAsItIsThen(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(r *rig)
		sentTo    string
		outcome   string
	}{
		"nothing":            {func(*rig) {}, "ann@example.test", "delivered"},
		"the user is erased": {func(r *rig) { r.publish(r.forget("ann", false)) }, "", "discarded:suppressed"},
		"another address now, and nobody said that it was taken": {func(r *rig) {
			r.fault(sandbox.Fault{Next: 1, Operation: sandbox.OpUpdateContact, MatchBody: "new@", Status: 502, Done: true})
			r.fault(sandbox.Fault{Percent: 100, For: 5 * time.Minute, Operation: sandbox.OpUpdateContact, MatchBody: "new@", Status: 502})
			r.publish(r.identify("ann", map[string]any{"email": "new@example.test"}))
		}, "new@example.test", "delivered"},
		"another address now": {func(r *rig) { r.publish(r.identify("ann", map[string]any{"email": "new@example.test"})) }, "new@example.test", "delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			asEvents(t, sandbox.Options{}, func(t *testing.T, r *rig) {
				r.quota = worker.Quota{PerHour: 10_000, PerMinute: 20, Reserve: 0.1}
				r.restart()
				r.publish(r.track("ann", "A", nil)) // the address is read for it
				r.drain(time.Minute)
				before := len(r.box.Events())
				for range 60 { // more than the minute has
					r.publish(r.identify("bob", map[string]any{"plan": r.n}))
					time.Sleep(50 * time.Millisecond)
				}
				r.publish(r.track("ann", "B", nil))
				time.Sleep(time.Second)
				if n := len(r.box.Events()); n != before {
					t.Fatal("it does not wait")
				}
				c.meanwhile(r)
				l := r.drain(time.Hour)
				sentTo := ""
				for _, e := range r.box.Events()[before:] {
					sentTo += e.Email
				}
				if sentTo != c.sentTo {
					t.Errorf("sent to %q, want %q", sentTo, c.sentTo)
				}
				want := map[string]int64{"delivered": int64(before)}
				want[c.outcome]++
				r.wantOutcomes(l, want)
			})
		})
	}
}

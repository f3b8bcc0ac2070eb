package worker_test

import (
	"slices"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// TestWhatWaitsTogetherIsForetold: calls that depend on each other, of which none was delivered when the last was observed. The newest
// line about each says what is done with it.
func TestWhatWaitsTogetherIsForetold(t *testing.T) {
	for name, calls := range map[string]func(r *rig) [][]queue.Entry{
		"a contact, its new userId, and calls of both": func(r *rig) [][]queue.Entry {
			return [][]queue.Entry{
				one(r.identify("old", nil)), r.alias("old", "new"), one(r.identify("old", map[string]any{"city": "Ulm"})),
				one(r.identify("new", map[string]any{"city": "Bonn"})), one(r.track("new", "A", nil)),
			}
		},
		"an erasure takes back what waits before it": func(r *rig) [][]queue.Entry {
			return [][]queue.Entry{one(r.identify("ann", nil)), one(r.webhookDelete("ann")), one(r.identify("ann", nil)), one(r.track("ann", "A", nil))}
		},
		"a company, and two users of it": func(r *rig) [][]queue.Entry {
			return [][]queue.Entry{
				one(r.identify("ann", nil)), r.group("ann", "g1", map[string]any{"name": "Acme"}), r.group("bob", "g1", map[string]any{"name": "Acme"}),
			}
		},
	} {
		bubbleNamed(t, name, sandbox.Options{}, func(t *testing.T, r *rig) {
			r.mapping.Accounts, r.mapping.Aliases, r.deletion.Webhooks = true, true, true
			r.activities = asActivities(t)
			r.inMode(worker.Mode{Name: worker.ModeObserve, ObserveFor: 24 * time.Hour})
			var all []queue.Entry
			for _, entries := range calls(r) {
				r.publish(entries...)
				time.Sleep(time.Minute)
				all = append(all, entries...)
			}
			if _, err := r.pool.Forecast(t.Context()); err != nil {
				t.Fatal(err)
			}
			told := map[string]string{} // reasons
			for _, call := range r.received(all) {
				for _, e := range r.lines(call.MessageID) {
					told[e.MessageID+e.Type] = e.Reason
				}
			}
			r.inMode(worker.Mode{})
			r.drain(time.Hour)
			for _, call := range r.received(all) {
				lines := r.lines(call.MessageID)
				lines = slices.DeleteFunc(lines, func(e queue.JournalEntry) bool { return e.Type != string(call.Type) })
				if last := lines[len(lines)-1]; last.Outcome == "observed" || last.Reason != told[last.MessageID+last.Type] {
					t.Errorf("%s %s: foretold %q, it is %s %q", call.Type, call.MessageID, told[last.MessageID+last.Type], last.Outcome, last.Reason)
				}
			}
		})
	}
}

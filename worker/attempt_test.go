package worker_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// TestOneLinePerAttempt: the keys are the same whatever came of it, so that a search finds all of one kind.
func TestOneLinePerAttempt(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("ann", nil))
		r.drain(time.Minute)
		r.fault(sandbox.Fault{Operation: "update_contact", Next: 2, Status: 500})
		r.publish(r.identify("ann", map[string]any{"plan": "growth"}), r.identify("ann", map[string]any{"plan": "pro"}))
		r.drain(time.Hour)
		r.publish(r.identify("ann", map[string]any{"plan": "pro"})) // no change, no attempt
		r.drain(time.Minute)
		type attempt struct {
			Outcome, Reason string
			Attempt         int64
			Events          int64
		}
		var got []attempt
		for _, line := range r.logs.All() {
			if line.LoggerName != "worker.attempt" {
				continue
			}
			m := line.ContextMap()
			want := []string{"attempt", "event_id", "events", "lane", "operation", "outcome", "reason", "status", "wait", "way"}
			if diff := cmp.Diff(want, slices.Sorted(maps.Keys(m))); diff != "" {
				t.Errorf("%s has other keys: %s", line.Message, diff)
			}
			if m["event_id"] == "" || m["lane"] == "" || (m["wait"].(time.Duration) > 0) != (m["outcome"] == "retry") {
				t.Errorf("%s: %v", line.Message, m)
			}
			got = append(got, attempt{m["outcome"].(string), m["reason"].(string), m["attempt"].(int64), m["events"].(int64)})
		}
		want := []attempt{{"done", "", 1, 1}, {"retry", "temporary", 1, 2}, {"retry", "temporary", 2, 2}, {"done", "", 3, 2}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

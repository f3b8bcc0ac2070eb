package worker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
)

// What a dry run shows is what a replay would send, after a resync too.
func TestAPreviewKnowsOfAResync(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.send("ann", map[string]any{"plan": "growth"})
		r.fault(sandbox.Fault{Percent: 100, Operation: "update_contact", Status: 400})
		r.publish(r.identify("ann", map[string]any{"plan": "growth", "seq": 2}))
		r.drain(time.Hour)
		time.Sleep(2 * time.Second) // a resync is about what was sent in seconds before it
		for _, resynced := range []bool{false, true} {
			if resynced {
				if err := r.pool.Resync(t.Context(), ""); err != nil {
					t.Fatal(err)
				}
			}
			letter, err := r.store.Letter(t.Context(), r.letters()[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			list, err := r.pool.Preview(t.Context(), []queue.Letter{letter}, nil)
			if err != nil || len(list) != 1 || len(list[0].Requests) != 1 {
				t.Fatalf("%+v, %v", list, err)
			}
			body := string(list[0].Requests[0].Body)
			if !strings.Contains(body, "cf_seq") || strings.Contains(body, "cf_plan") != resynced {
				t.Errorf("resynced %v: %s", resynced, body)
			}
		}
	})
}

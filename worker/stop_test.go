package worker_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// A creation is two calls of eight seconds each, so it is cut off. A pool that waits for anything else ends at once.
func TestStoppingTakesNoLongerThanItMay(t *testing.T) {
	for name, c := range map[string]struct {
		fault sandbox.Fault
		limit time.Duration
	}{
		"in calls":         {sandbox.Fault{Percent: 100, Delay: 8 * time.Second}, worker.StopTimeout},
		"in a hold":        {sandbox.Fault{Percent: 100, Status: 429, Headers: map[string]string{"Retry-After": "3600"}}, 0},
		"in a user's wait": {sandbox.Fault{Percent: 100, Status: 503, Headers: map[string]string{"Retry-After": "3600"}, Operation: "create_contact"}, 0},
		"without fields":   {sandbox.Fault{Percent: 100, Status: 500, Operation: "contact_fields"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
				if name != "without fields" {
					r.known("bob")
				}
				r.fault(c.fault)
				r.publish(r.identify("ann", map[string]any{"seq": 1}))
				time.Sleep(time.Second)
				began := time.Now()
				r.close()
				if took := time.Since(began); took > c.limit+time.Second {
					t.Errorf("stopping took %v", took)
				}
				r.box.ClearFaults()
				r.open()
				r.drain(time.Hour)
				r.upTo("ann", 1)
			})
		})
	}
}

// Whoever answers with a time gets that time, also when it is one user's trouble or the fields cannot be read.
func TestTheTimeAnAnswerNamesIsKept(t *testing.T) {
	for _, op := range []string{"contact_fields", "create_contact", "update_contact"} {
		t.Run(op, func(t *testing.T) {
			bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
				time.Sleep(time.Second) // the first reading of the fields is not the one meant
				if op == "update_contact" {
					r.known("ann")
				}
				r.fault(sandbox.Fault{Next: 1, Operation: op, Status: 503, Headers: map[string]string{"Retry-After": "300"}})
				r.restart() // reads the fields again
				r.publish(r.identify("ann", map[string]any{"seq": 1}))
				r.drain(time.Hour)
				var asked time.Time
				for _, c := range r.box.Calls() {
					switch {
					case c.Operation != op:
					case c.Status == 503:
						asked = c.Time
					case !asked.IsZero() && c.Time.Sub(asked) < 300*time.Second:
						t.Errorf("called again after %v", c.Time.Sub(asked))
					}
				}
				if asked.IsZero() {
					t.Error("nothing asked for time")
				}
			})
		})
	}
}

// A crash can leave letters that do not count: one whose settlement was not committed, and one whose replay was.
func TestLettersThatDoNotCountAreRemovedAtTheStart(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Percent: 100, Status: 400, Operation: "create_contact"})
		r.publish(r.identify("ann", map[string]any{"seq": 1}))
		r.drain(time.Hour)
		r.box.ClearFaults()
		replayed, err := r.store.Letter(t.Context(), r.letters()[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.store.Replay(t.Context(), []string{replayed.ID}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		uncommitted := replayed
		uncommitted.Position *= 1000
		for _, l := range []queue.Letter{replayed, uncommitted} {
			if err := r.store.Partition().PutLetter(t.Context(), l, false); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(r.letters()); n != 2 {
			t.Fatalf("%d letters", n)
		}
		r.restart()
		time.Sleep(time.Second)
		if l := r.drain(time.Minute); l.Dead != 0 || l.Delivered != 1 {
			t.Errorf("ledger %+v", l)
		}
	})
}

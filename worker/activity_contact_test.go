package worker_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// An identify that is set aside takes its user's activities along, and both come again by themselves.
func TestAnActivityGoesTheWayOfItsIdentify(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Percent: 100, Status: 403, MatchBody: "ann@", For: 25 * time.Minute})
		r.publish(r.identify("ann", nil), r.track("ann", "A", nil), r.track("bob", "B", nil))
		l := r.drain(time.Hour)
		r.wantOutcomes(l, map[string]int64{"dead:unknown_contact": 1, "discarded:unknown_contact": 1})
		if letters := r.letters(); len(letters) != 2 || letters[1].Reason != worker.ReasonUnknownContact || letters[1].Error == "" {
			t.Errorf("letters %+v", letters)
		}
		r.restart()
		time.Sleep(2 * time.Hour)
		l = r.drain(time.Minute)
		r.wantOutcomes(l, map[string]int64{"delivered": 1, "discarded:unknown_contact": 1})
		if r.titles() != "A" || len(r.letters()) != 0 {
			t.Errorf("made %q, letters %+v", r.titles(), r.letters())
		}
	})
}

// An identify that is refused is for people. Its user's activities wait for what they say, and are replayed with it in one go.
func TestAnActivityWaitsForWhatBecomesOfTheIdentify(t *testing.T) {
	for name, discard := range map[string]bool{"replayed": false, "given up": true} {
		t.Run(name, func(t *testing.T) {
			performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
				r.fault(sandbox.Fault{Percent: 100, Status: 400, MatchBody: "ann@"})
				r.publish(r.identify("ann", nil), r.track("ann", "A", nil))
				r.drain(time.Hour)
				if !discard { // one of the two is enough
					time.Sleep(26 * time.Hour)
				}
				l := r.drain(time.Hour)
				r.wantOutcomes(l, map[string]int64{"dead:unknown_contact": 1})
				letters := r.letters()
				if len(letters) != 2 {
					t.Fatalf("letters %+v", letters)
				}
				r.box.ClearFaults()
				want := map[string]int64{"delivered": 1}
				ids := []string{letters[1].ID, letters[0].ID} // whichever comes first
				order := queue.Order{}
				if discard {
					order.Discard, ids, want = worker.ReasonByOperator, nil, map[string]int64{"discarded:unknown_contact": 1}
					for _, letter := range letters {
						if letter.Type == "identify" {
							ids = append(ids, letter.ID)
						}
					}
				}
				if err := r.store.Command(t.Context(), ids, order); err != nil {
					t.Fatal(err)
				}
				if discard {
					r.noLetters(25 * time.Hour) // the other one's next try
				}
				time.Sleep(2 * time.Minute)
				l = r.drain(time.Hour)
				r.wantOutcomes(l, want)
				if len(r.letters()) != 0 {
					t.Errorf("letters %+v", r.letters())
				}
			})
		})
	}
}

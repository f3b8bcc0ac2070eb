package worker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
	"github.com/freshrelay/freshrelay/worker"
)

// TestForgetErasesFormerCopies: a letter that was set aside several times, with edits too, was stored as often. None of its copies
// may outlive its user in the broker's files.
func TestForgetErasesFormerCopies(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		const user, edited = "zq-somebody-zq", "zq-edited-zq"
		for _, id := range []string{user, "other"} { // of whom something stays in the file
			r.fault(sandbox.Fault{Percent: 100, Status: 400, MatchBody: id})
		}
		r.publish(r.identify(user, map[string]any{"plan": "Refuse me"}), r.identify("other", nil))
		r.drain(time.Minute)
		id := letterOf(r, user)
		for _, o := range []queue.Order{{}, {Edits: []queue.Edit{{Path: "traits.city", Value: json.RawMessage(`"` + edited + `"`)}}}, {}} {
			r.command(o, id)
		}
		if l, err := r.store.Letter(t.Context(), id); err != nil || l.Attempts < 4 || len(l.Edits) != 1 {
			t.Fatalf("it was not set aside again: %+v, %v", l, err)
		}
		r.publish(r.forget(user, false))
		if l := r.drain(time.Hour); l.Dead != 1 {
			t.Errorf("%+v", l.Counts)
		}
		time.Sleep(3 * time.Minute)
		if files := r.found(user, edited); len(files) > 0 {
			t.Error("still in", files)
		}
	})
}

// TestALetterThatFailsAgainNeedsNoRoom: where DEAD has no room for a second copy, the letter stays as it was, and its user goes on.
func TestALetterThatFailsAgainNeedsNoRoom(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		queuetest.Close(t, r.store)
		r.maxBytes = queue.MinMaxBytes
		r.open()
		r.fault(sandbox.Fault{Percent: 100, Status: 400, MatchBody: "refuse"})
		sizes, err := r.store.Sizes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const size = 400_000
		for n := range sizes["DEAD"].Limit / (size + 1000) {
			r.publish(r.identify(fmt.Sprint("refuse-", n), map[string]any{"blob": strings.Repeat("x", size)}))
			r.drain(time.Hour)
		}
		id := letterOf(r, "refuse-7")
		l := r.command(queue.Order{Job: 7}, id)
		if got := queue.JobResults(l.Counts, 7); got["dead:invalid"] != 1 || len(got) != 1 {
			t.Errorf("%+v", got)
		}
		if letter, err := r.store.Letter(t.Context(), id); err != nil || letter.Attempts != 1 {
			t.Errorf("%+v, %v", letter, err)
		}
		r.box.ClearFaults()
		r.publish(r.identify("refuse-7", nil))
		r.drain(time.Minute)
		if l = r.command(queue.Order{}, id); l.Dead != int64(len(r.letters())) || r.contact("refuse-7").ID == 0 {
			t.Errorf("%+v", l.Counts)
		}
		if _, err := r.store.Letter(t.Context(), id); !errors.Is(err, queue.ErrNoLetter) {
			t.Error(err)
		}
	})
}

// TestForgetErasesAHistory: fifty records that were replaced, journal lines, links, activities and their intents, tracks that wait, in all
// files of the directory.
func TestForgetErasesAHistory(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		const user, value = "zq-somebody-zq", "zq-value-"
		all := []string{user, value}
		for n := range 50 {
			r.publish(r.identify(user, map[string]any{"city": fmt.Sprint(value, n), "nowhere": value, "first name": fmt.Sprint(value, "name")}))
			if n%10 == 0 {
				r.publish(r.track(user, "Order Completed", map[string]any{"order": fmt.Sprint(value, n)}))
				r.publish(r.identify(user, map[string]any{"email": fmt.Sprint(value, n, "@example.test")}))
			}
			r.drain(time.Hour)
		}
		r.fault(sandbox.Fault{Operation: sandbox.OpCreateActivity, Next: 2, Status: 500})
		r.publish(r.track(user, "Order Completed", map[string]any{"order": value + "waits"}))
		time.Sleep(time.Second)
		if l, err := r.store.Ledger(t.Context()); err != nil || l.Pending == 0 || l.Delivered < 60 {
			t.Fatalf("%+v, %v", l, err)
		}
		r.publish(r.forget(user, false), worker.DeleteActivities(user, "x", time.Now()))
		r.drain(time.Hour)
		time.Sleep(5 * time.Minute)
		if files := r.found(all...); len(files) > 0 {
			t.Error("still in", files)
		}
	})
}

// letterOf is the id of the user's one letter.
func letterOf(r *rig, user string) string {
	r.t.Helper()
	page, err := r.store.Letters(r.t.Context(), queue.LetterQuery{LetterFilter: queue.LetterFilter{User: r.store.User(user)}})
	if err != nil || len(page.Letters) != 1 {
		r.t.Fatalf("%+v, %v", page, err)
	}
	return page.Letters[0].ID
}

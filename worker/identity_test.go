package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

func (r *rig) add(fields map[string]any) sandbox.Contact {
	r.t.Helper()
	c, err := r.box.Add(fields)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func TestAContactWithoutAUserIDIsAdopted(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		made := r.add(map[string]any{"emails": "ann@example.test", "job_title": "Owner", "custom_field": map[string]any{"cf_notes": "by hand"}})
		r.publish(r.identify("ann", map[string]any{"plan": "growth"}))
		r.drain(time.Minute)
		c := r.contact("ann")
		if c.ID != made.ID || c.Fields["job_title"] != "Owner" || c.Custom["cf_notes"] != "by hand" || c.Custom["cf_plan"] != "growth" {
			t.Errorf("%+v", c)
		}
	})
}

func TestAnotherUsersContactIsNeverTakenOver(t *testing.T) {
	for _, lang := range []sandbox.Language{"", "nl"} {
		bubbleNamed(t, string(lang), sandbox.Options{Language: lang}, func(t *testing.T, r *rig) {
			r.add(map[string]any{"emails": "shared@example.test", "external_id": "owner", "job_title": "Owner"})
			r.publish(r.identify("ann", map[string]any{"email": "shared@example.test"}))
			r.drain(time.Hour)
			letters := r.letters()
			if len(letters) != 1 || letters[0].Reason != worker.ReasonEmailConflict {
				t.Errorf("letters %+v", letters)
			}
			// A known contact gets everything but the address.
			r.publish(r.identify("bob", map[string]any{"plan": "free"}))
			r.drain(time.Minute)
			r.publish(r.identify("bob", map[string]any{"email": "shared@example.test", "plan": "growth"}))
			r.drain(time.Minute)
			entries, err := r.store.Journal(t.Context(), queue.JournalQuery{MessageID: fmt.Sprint("m", r.n)})
			if err != nil || len(entries) != 1 || len(entries[0].LeftOut) != 1 || entries[0].LeftOut[0].Reason != worker.ReasonEmailConflict {
				t.Errorf("the journal says %+v, %v", entries, err)
			}
			bob, owner := r.contact("bob"), r.contact("owner")
			if bob.Custom["cf_plan"] != "growth" || bob.Email != "bob@example.test" || owner.Email != "shared@example.test" || owner.Fields["job_title"] != "Owner" {
				t.Errorf("bob %+v, owner %+v", bob, owner)
			}
		})
	}
}

func TestAContactThatIsGoneIsMadeAnew(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("ann", map[string]any{"plan": "free"}))
		r.drain(time.Minute)
		first := r.contact("ann")
		client := r.client()
		if err := client.DeleteContact(t.Context(), fmtID(first.ID)); err != nil {
			t.Fatal(err)
		}
		r.publish(r.identify("ann", map[string]any{"plan": "growth"}))
		if l := r.drain(time.Minute); l.Delivered != 2 {
			t.Errorf("ledger %+v", l)
		}
		if c := r.contact("ann"); c.ID == first.ID || c.Custom["cf_plan"] != "growth" || c.Email != "ann@example.test" {
			t.Errorf("%+v", c)
		}
	})
}

// Somebody has given our contact another user's id by hand: it is not ours any more.
func TestAContactWithAForeignIDIsLeftAlone(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("ann", map[string]any{"plan": "free"}))
		r.drain(time.Minute)
		was := r.contact("ann")
		if _, err := r.box.Edit(was.ID, map[string]any{"external_id": "other", "email": "other@example.test"}); err != nil {
			t.Fatal(err)
		}
		r.publish(r.identify("ann", map[string]any{"plan": "growth"}))
		r.drain(time.Minute)
		if c := r.contact("ann"); c.ID == was.ID || c.Custom["cf_plan"] != "growth" {
			t.Errorf("%+v", c)
		}
		if c := r.contact("other"); c.Custom["cf_plan"] != "free" {
			t.Errorf("a foreign contact was written: %+v", c)
		}
	})
}

// That an account's upserts know no external_id costs one call, once.
func TestWhetherUpsertsFindByUserIDIsLearntOnce(t *testing.T) {
	bubble(t, sandbox.Options{RefuseExternalIDUpsert: true}, func(t *testing.T, r *rig) {
		r.known("first") // the account's fields are read
		for i, want := range []int64{5, 4, 4} {
			user := fmt.Sprint("u", i)
			r.add(map[string]any{"emails": user + "@example.test", "external_id": user})
			if i == 2 {
				r.restart()
				r.known("second")
			}
			before := r.box.CallCount()
			r.publish(r.identify(user, map[string]any{"seq": 1}))
			r.drain(time.Minute)
			if n := r.box.CallCount() - before; n > want {
				t.Errorf("%s took %d calls, want at most %d: %v", user, n, want, r.calls(before))
			}
			r.upTo(user, 1)
		}
	})
}

package worker_test

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
	"github.com/freshrelay/freshrelay/worker"
)

// TestForgetErasesWhatCannotBeMapped: letters that are imported, and what is no readable call, are personal data like others:
// neither what waits with the delete call, nor what comes after it, becomes a dead letter.
func TestForgetErasesWhatCannotBeMapped(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		id := r.refused("ann")[0]
		exported, err := r.store.Letter(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		r.command(queue.Order{Discard: worker.ReasonByOperator}, id)
		garbage := queue.Entry{UserID: "ann", Data: []byte("ann's data, unreadable")}
		if err := r.stop(); err != nil { // so that all of it is one head
			t.Fatal(err)
		}
		if err := r.store.Import(t.Context(), []queue.Letter{exported}); err != nil {
			t.Fatal(err)
		}
		r.publish(garbage, r.forget("ann", false))
		queuetest.Close(t, r.store)
		r.open()
		if l := r.drain(time.Minute); l.Dead != 0 || len(r.letters()) != 0 {
			t.Errorf("what came before the delete call is kept: %+v", l.Counts)
		}
		if err := r.store.Import(t.Context(), []queue.Letter{exported}); err != nil {
			t.Fatal(err)
		}
		r.publish(garbage)
		if l := r.drain(time.Minute); l.Dead != 0 || len(r.letters()) != 0 {
			t.Errorf("what came after the delete call is kept: %+v", l.Counts)
		}
	})
}

// TestForgetFindsTheContactAnew: when the contact that is remembered is gone, or another user's, the user's is another.
func TestForgetFindsTheContactAnew(t *testing.T) {
	for name, lose := range map[string]func(r *rig, id int64) error{
		"another user's": func(r *rig, id int64) error {
			_, err := r.box.Edit(id, map[string]any{"external_id": "u2"})
			return err
		},
		"gone":               func(r *rig, id int64) error { return r.client().ForgetContact(r.t.Context(), fmtID(id)) },
		"in the recycle bin": func(r *rig, id int64) error { return r.client().DeleteContact(r.t.Context(), fmtID(id)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
				r.publish(r.identify("u1", nil))
				r.drain(time.Minute)
				if err := lose(r, r.contact("u1").ID); err != nil {
					t.Fatal(err)
				}
				if _, err := r.box.Add(map[string]any{"email": "new@x.test", "external_id": "u1"}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				r.publish(r.forget("u1", false))
				r.drain(time.Minute)
				for _, c := range r.box.Contacts() {
					if c.ExternalID == "u1" {
						t.Errorf("still there: %+v", c)
					}
				}
			})
		})
	}
}

// TestForgetAfterAnUnclearCreate: the contact was made, its answer is lost, and no lookup shows it yet.
func TestForgetAfterAnUnclearCreate(t *testing.T) {
	for _, restart := range []bool{false, true} {
		bubbleNamed(t, map[bool]string{false: "goes on", true: "after a restart"}[restart], sandbox.Options{IndexLag: 20 * time.Second}, func(t *testing.T, r *rig) {
			r.fault(sandbox.Fault{Operation: sandbox.OpCreateContact, Next: 1, DropAnswer: true})
			r.publish(r.identify("u1", nil))
			for len(r.box.Contacts()) == 0 {
				time.Sleep(10 * time.Millisecond)
			}
			r.publish(r.forget("u1", false))
			if restart {
				r.restart()
			}
			l := r.drain(time.Hour)
			if left := r.box.Contacts(); len(left) != 0 || count(l, "delete", queue.Delivered, "") != 1 {
				t.Errorf("%+v %+v", left, l.Counts)
			}
		})
	}
}

// TestUndoLetsNothingOldThrough: what was there before the user was erased stays erased, whatever waits for quota meanwhile.
func TestUndoLetsNothingOldThrough(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("u1", nil))
		r.drain(time.Minute)
		r.fault(sandbox.Fault{Operation: sandbox.OpCreateActivity, Next: 3, Status: 500})
		r.publish(r.track("u1", "Order Completed", nil))
		time.Sleep(time.Second)
		r.publish(r.forget("u1", false), r.forget("u1", true), r.identify("u1", nil))
		l := r.drain(time.Hour)
		if count(l, "track", queue.Discarded, "suppressed") != 1 || len(r.box.Contacts()) != 1 {
			t.Errorf("%+v", l.Counts)
		}
		// Letting somebody come who was not erased changes nothing.
		r.fault(sandbox.Fault{Operation: sandbox.OpCreateActivity, Next: 2, Status: 500})
		r.publish(r.track("u1", "Order Completed", nil))
		time.Sleep(time.Second)
		r.publish(r.forget("u1", true))
		if l = r.drain(time.Hour); count(l, "track", queue.Delivered, "") != 1 {
			t.Errorf("%+v", l.Counts)
		}
	})
}

// TestForgetErasesImportedActivities: the log of activities has letters, too, and knows by the contact's record who was erased.
func TestForgetErasesImportedActivities(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Operation: sandbox.OpCreateActivity, Percent: 100, Status: 400})
		r.publish(r.identify("u1", nil), r.track("u1", "Order Completed", nil))
		r.drain(time.Hour)
		exported, err := r.store.Letter(t.Context(), r.letters()[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		r.publish(r.forget("u1", false), worker.DeleteActivities("u1", "x", time.Now()))
		r.drain(time.Hour)
		if err := r.store.Import(t.Context(), []queue.Letter{exported}); err != nil {
			t.Fatal(err)
		}
		if l := r.drain(time.Hour); l.Dead != 0 || len(r.letters()) != 0 || count(l, "track", queue.Discarded, "suppressed") != 1 {
			t.Errorf("%+v", l.Counts)
		}
	})
}

// TestForgetErasesManyLetters: a userId that stands for nobody, like "undefined", can have more dead letters than fit in one commit.
func TestForgetErasesManyLetters(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		exported, err := r.store.Letter(t.Context(), r.refused("ann")[0])
		if err != nil {
			t.Fatal(err)
		}
		exported.Position = 0
		left := 1200
		if n, err := strconv.Atoi(os.Getenv("LETTERS")); err == nil {
			left = n
		}
		all := int64(left) + 1
		for ; left > 0; left -= 400 {
			if err := r.store.Import(t.Context(), slices.Repeat([]queue.Letter{exported}, 400)); err != nil {
				t.Fatal(err)
			}
		}
		if l := r.drain(time.Hour); l.Dead != all {
			t.Fatalf("%+v", l)
		}
		r.publish(r.forget("ann", false))
		l := r.drain(time.Hour)
		if l.Dead != 0 || len(r.letters()) != 0 || count(l, "identify", queue.Discarded, "erased") != all || count(l, "delete", queue.Delivered, "") != 1 {
			t.Errorf("%+v", l)
		}
	})
}

package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
)

// TestForgetErasesPreviousIDs: one call erases what is known under every id of the person, and none of them brings the person back.
func TestForgetErasesPreviousIDs(t *testing.T) {
	for name, between := range map[string]func(r *rig){
		"at once":         func(*rig) {},
		"after a restart": func(r *rig) { r.restart() },
		// The entries for the previous ids are stored, and the process ends before anything of the erasure is committed.
		"a crash between": func(r *rig) {
			r.fault(sandbox.Fault{Operation: sandbox.OpForgetContact, Next: 2, Status: 503})
			r.publish(r.forget("c", false))
			time.Sleep(300 * time.Millisecond)
			r.crash()
		},
	} {
		t.Run(name, func(t *testing.T) {
			aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
				r.rewire()
				r.restart()
				r.publish(r.identify("a", map[string]any{"plan": "first"}))
				for _, way := range [][2]string{{"a", "b"}, {"b", "c"}} { // a chain
					r.publish(r.alias(way[0], way[1])...)
					r.drain(time.Minute)
				}
				between(r)
				r.publish(r.forget("c", false))
				r.drain(time.Hour)
				if len(r.box.Contacts()) != 0 {
					t.Fatalf("the contact is still there: %+v", r.box.Contacts())
				}
				for _, user := range []string{"a", "b", "c"} {
					if rec := r.record(user); rec.Suppressed == 0 || rec.ContactID != "" || len(rec.Fields) != 0 {
						t.Errorf("of %s there is still %+v", user, rec)
					}
					r.publish(r.identify(user, map[string]any{"plan": "late"}))
				}
				l := r.drain(time.Minute)
				if len(r.box.Contacts()) != 0 || count(l, "identify", queue.Discarded, "suppressed") != 3 || l.Dead != 0 {
					t.Errorf("the erased person is back: %+v %+v", r.box.Contacts(), l.Counts)
				}
				r.publish(r.forget("c", true))
				r.drain(time.Minute)
				for _, user := range []string{"a", "b", "c"} {
					if rec := r.record(user); rec.Suppressed != 0 {
						t.Errorf("%s may not come again", user)
					}
				}
				// The ids are still one person's: nothing of the previous ones makes a second contact.
				r.publish(r.identify("a", nil), r.identify("b", nil), r.identify("c", map[string]any{"plan": "again"}))
				if l = r.drain(time.Minute); len(r.box.Contacts()) != 1 || r.contact("c").Custom["cf_plan"] != "again" || count(l, "identify", queue.Discarded, "aliased") != 2 {
					t.Errorf("%+v %+v", r.box.Contacts(), l.Counts)
				}
			})
		})
	}
}

// TestForgetAfterAlias is the shortest way to the fault: the contact is gone, and a late call of the old id must not make it again.
func TestForgetAfterAlias(t *testing.T) {
	for _, gone := range []string{"forgotten", "removed by people"} {
		bubbleNamed(t, gone, sandbox.Options{}, func(t *testing.T, r *rig) {
			r.mapping.Aliases = true
			r.restart()
			r.publish(append([]queue.Entry{r.identify("old", nil)}, r.alias("old", "new")...)...)
			r.drain(time.Minute)
			if gone == "forgotten" {
				r.publish(r.forget("new", false))
			} else if err := r.box.Remove(r.contact("new").ID); err != nil {
				t.Fatal(err)
			}
			r.publish(r.identify("old", map[string]any{"plan": "changed"}))
			if r.drain(time.Minute); len(r.box.Contacts()) != 0 {
				t.Error("a late call of the old id has made a contact:", fmt.Sprintf("%+v", r.box.Contacts()))
			}
		})
	}
}

// TestForgetErasesLettersThatNameTheUser: a dead letter of an alias call is the userId's, and names the previousId.
func TestForgetErasesLettersThatNameTheUser(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		const old = "zq-old-zq"
		r.publish(r.identify(old, nil), r.identify("other", nil), r.identify("new", map[string]any{"plan": "kept"}))
		r.drain(time.Minute)
		r.publish(r.alias(old, "new")...)
		r.publish(r.alias("other", "new")...)
		r.drain(time.Minute)
		if l := r.letters(); len(l) != 2 || len(r.found(old)) == 0 {
			t.Fatalf("%+v", l)
		}
		r.publish(r.forget(old, false), r.identify("new", map[string]any{"plan": "on"}))
		l := r.drain(time.Hour)
		if count(l, "alias", queue.Discarded, "erased") != 1 || len(r.letters()) != 1 || r.contact("new").Custom["cf_plan"] != "on" || r.record("new").Suppressed != 0 {
			t.Errorf("%+v %+v %+v", l.Counts, r.letters(), r.box.Contacts())
		}
		time.Sleep(3 * time.Minute) // the next trim
		if files := r.found(old); len(files) > 0 {
			t.Error("still in", files)
		}
		r.publish(r.forget("new", false), r.forget("other", false))
		if l = r.drain(time.Hour); len(r.letters()) != 0 || len(r.box.Contacts()) != 0 {
			t.Errorf("%+v %+v", l.Counts, r.letters())
		}
	})
}

// An alias call whose previousId had no contact does nothing, also when its second half comes after a later one found a contact there.
// What comes later for the previousId waits until the second half has had its turn.
func TestAliasOfEachCall(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		early, first, again := r.alias("old", "new"), r.alias("old", "new"), r.alias("old", "new")
		r.publish(early[0])
		r.drain(time.Minute)
		r.publish(r.identify("old", nil))
		r.drain(time.Minute)
		r.publish(first[0])
		r.drain(time.Minute)
		r.publish(again[0], early[1])
		time.Sleep(time.Second)
		if l, err := r.store.Ledger(t.Context()); err != nil || count(l, "alias", queue.Discarded, "unknown_previous") != 1 || l.Pending != 1 {
			t.Errorf("%+v %v", l.Counts, err)
		}
		r.contact("old")
		r.publish(first[1])
		r.drain(time.Minute)
		r.contact("new")
		r.publish(again[1])
		if l := r.drain(time.Minute); count(l, "alias", queue.Delivered, "") != 2 || len(r.letters()) != 0 {
			t.Errorf("%+v %+v", l.Counts, r.letters())
		}
	})
}

// TestAliasFromBeforeAnUndo: an alias call that came while its previousId was erased does nothing, also if its second half has its turn
// when that user has come again, and had been said to be the same user before.
func TestAliasFromBeforeAnUndo(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("old", nil), r.identify("new", nil))
		r.drain(time.Minute)
		r.publish(r.alias("old", "new")...)
		r.drain(time.Minute)
		r.publish(r.forget("old", false))
		r.drain(time.Minute)
		call := r.alias("old", "new")
		r.publish(call[0], r.forget("old", true), r.identify("old", nil))
		r.drain(time.Minute)
		r.publish(call[1])
		l := r.drain(time.Minute)
		if count(l, "alias", queue.Discarded, "unknown_previous") != 1 || len(r.letters()) != 0 {
			t.Errorf("%+v %+v", l.Counts, r.letters())
		}
		r.contact("old")
	})
}

package worker_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// TestForgetOfAnAliasedUser: an alias call names two users, in two lanes. Whichever of them is erased, its id is in no file then:
// not in the other's lane, and not in a letter of the other.
func TestForgetOfAnAliasedUser(t *testing.T) {
	const previous, user = "zq-previous-zq", "zq-user-zq"
	for name, c := range map[string]struct {
		both  bool // of them have a contact, so the alias becomes a letter
		erase string
	}{
		"the userId":                 {false, user},
		"the previousId":             {false, previous},
		"the userId of a letter":     {true, user},
		"the previousId of a letter": {true, previous},
	} {
		bubbleNamed(t, name, sandbox.Options{}, func(t *testing.T, r *rig) {
			r.mapping.Aliases = true
			r.restart()
			r.publish(r.identify(previous, map[string]any{"email": "a@example.test"}), r.identify("other", nil))
			if c.both {
				r.publish(r.identify(user, map[string]any{"email": "b@example.test"}))
			}
			r.drain(time.Minute)
			r.publish(r.alias(previous, user)...)
			l := r.drain(time.Hour)
			if dead := count(l, "alias", queue.Dead, worker.ReasonAliasConflict); (dead == 1) != c.both {
				t.Fatalf("%+v", l.Counts)
			}
			r.publish(r.forget(c.erase, false))
			r.drain(time.Hour)
			time.Sleep(10 * time.Minute)
			if l = r.drain(time.Minute); l.Dead != 0 || len(r.letters()) != 0 {
				t.Errorf("%+v", l.Counts)
			}
			if files := r.found(c.erase); len(files) > 0 {
				t.Error("still in", files)
			}
		})
	}
}

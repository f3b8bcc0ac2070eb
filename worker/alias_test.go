package worker_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
	"github.com/freshrelay/freshrelay/worker"
)

// alias makes the entries of an alias call as the door stores them.
func (r *rig) alias(previous, user string) []queue.Entry {
	r.t.Helper()
	r.n++
	body, err := json.Marshal(map[string]any{"type": "alias", "previousId": previous, "userId": user, "messageId": fmt.Sprint("m", r.n)})
	if err != nil {
		r.t.Fatal(err)
	}
	own := segment.Received{
		Source: "website", Surface: segment.SurfaceWebhook, At: time.Now().UTC(), Type: segment.Alias, MessageID: fmt.Sprint("m", r.n), UserID: user, Body: body,
	}
	var entries []queue.Entry
	if half, ok := own.Previous(); ok {
		entries = append(entries, queue.Entry{UserID: half.Lane(), Data: half.Encode()})
	}
	return append(entries, queue.Entry{UserID: user, Data: own.Encode()})
}

func aliasing(t *testing.T, opt sandbox.Options, body func(t *testing.T, r *rig)) {
	t.Helper()
	bubble(t, opt, func(t *testing.T, r *rig) {
		r.mapping.Aliases = true
		r.restart()
		body(t, r)
	})
}

// TestAliasRenamesTheContact: with calls of both users before and after, all waiting together.
func TestAliasRenamesTheContact(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		entries := append([]queue.Entry{r.identify("old", map[string]any{"plan": "Gold", "industry": "Retail"})}, r.alias("old", "new")...)
		entries = append(entries, r.identify("new", map[string]any{"email": "old@example.test", "plan": "Silver"}))
		r.publish(entries...)
		l := r.drain(time.Minute)
		if l.Accepted != 4 || l.Delivered != 4 || len(r.box.Contacts()) != 1 {
			t.Errorf("%+v %+v", l, r.box.Contacts())
		}
		// The record came along: what the old user's calls had set is emptied by an ordinary identify that leaves it out.
		if c := r.contact("new"); c.Custom["cf_plan"] != "Silver" || c.Custom["cf_industry"] != nil {
			t.Errorf("%+v", c)
		}
		n := r.box.Calls()[len(r.box.Calls())-1].N
		r.publish(r.identify("old", map[string]any{"plan": "Late"}))
		l = r.drain(time.Minute)
		if count(l, "identify", queue.Discarded, "aliased") != 1 || r.contact("new").Custom["cf_plan"] != "Silver" || r.calls(n)["update_contact"] != 0 {
			t.Errorf("%+v %v", l.Counts, r.calls(n))
		}
	})
}

// TestAliasOfNobody costs no call.
func TestAliasOfNobody(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("u1", nil))
		r.drain(time.Minute)
		n := r.box.Calls()[len(r.box.Calls())-1].N
		r.publish(r.alias("anonymous", "u1")...)
		r.publish(r.alias("", "u1")...)
		r.publish(r.alias("u1", "u1")...)
		l := r.drain(time.Minute)
		if count(l, "alias", queue.Discarded, "unknown_previous") != 1 || count(l, "alias", queue.Discarded, "missing_previous_id") != 2 || len(r.calls(n)) != 0 {
			t.Errorf("%+v %v", l.Counts, r.calls(n))
		}
	})
}

// TestAliasOfAnErasedUser is one of nobody, and holds nobody.
func TestAliasOfAnErasedUser(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("old", nil), r.identify("new", nil))
		r.publish(r.forget("old", false))
		r.drain(time.Minute)
		r.publish(append(r.alias("old", "new"), r.identify("new", map[string]any{"plan": "on"}))...)
		l := r.drain(time.Minute)
		if count(l, "alias_previous", queue.Discarded, "suppressed") != 1 || count(l, "alias", queue.Discarded, "unknown_previous") != 1 || r.contact("new").Custom["cf_plan"] != "on" {
			t.Errorf("%+v", l.Counts)
		}
	})
}

// TestAliasBack: what one alias call gave away another brings back, and a user whose contact was given away has none.
func TestAliasBack(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("one", map[string]any{"plan": "first"}))
		for _, way := range [][2]string{{"one", "two"}, {"two", "one"}} {
			r.publish(r.alias(way[0], way[1])...)
			r.drain(time.Minute)
			r.publish(r.identify(way[0], map[string]any{"plan": "late"}), r.identify(way[1], map[string]any{"plan": way[1]}))
			r.drain(time.Minute)
			if c := r.contact(way[1]); len(r.box.Contacts()) != 1 || c.Custom["cf_plan"] != way[1] {
				t.Errorf("after %v: %+v", way, r.box.Contacts())
			}
		}
		r.publish(r.identify("three", map[string]any{"plan": "third"}))
		r.publish(r.alias("three", "two")...) // whose contact is one's again
		l := r.drain(time.Minute)
		if len(r.letters()) != 0 || len(r.box.Contacts()) != 2 || r.contact("two").Custom["cf_plan"] != "third" || r.contact("one").Custom["cf_plan"] != "one" {
			t.Errorf("%+v %+v %+v", l.Counts, r.letters(), r.box.Contacts())
		}
		n := r.box.Calls()[len(r.box.Calls())-1].N
		r.publish(r.identify("two", map[string]any{"plan": "mine"}))
		if r.drain(time.Minute); r.contact("two").Custom["cf_plan"] != "mine" {
			t.Errorf("%+v %v", r.box.Contacts(), r.calls(n))
		}
	})
}

// TestAliasOfTwoContacts is for people: both ids are told, and both users go on. Once people have merged them, a replay ends it.
func TestAliasOfTwoContacts(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("old", nil), r.identify("new", nil))
		r.drain(time.Minute)
		r.publish(r.alias("old", "new")...)
		l := r.drain(time.Minute)
		letters := r.letters()
		if len(letters) != 1 || letters[0].Reason != worker.ReasonAliasConflict ||
			!strings.Contains(letters[0].Error, fmtID(r.contact("old").ID)) || !strings.Contains(letters[0].Error, fmtID(r.contact("new").ID)) {
			t.Fatalf("%+v %+v", letters, l)
		}
		r.publish(r.identify("old", map[string]any{"plan": "on"}), r.identify("new", map[string]any{"plan": "on too"}))
		if r.drain(time.Minute); r.contact("old").Custom["cf_plan"] != "on" || r.contact("new").Custom["cf_plan"] != "on too" {
			t.Error(r.box.Contacts())
		}
		if err := r.box.Remove(r.contact("old").ID); err != nil { // merged by people
			t.Fatal(err)
		}
		if err := r.store.Replay(t.Context(), []string{letters[0].ID}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if l = r.drain(time.Hour); len(r.letters()) != 0 || count(l, "alias", queue.Discarded, "unknown_previous") != 1 {
			t.Errorf("%+v %+v", l, r.letters())
		}
	})
}

// TestAliasOfTwoContactsOfWhichOneGoes: people have deleted the userId's own contact, so the other can be renamed.
func TestAliasOfTwoContactsOfWhichOneGoes(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("old", nil), r.identify("new", nil))
		r.drain(time.Minute)
		kept := r.contact("old").ID
		if err := r.box.Remove(r.contact("new").ID); err != nil {
			t.Fatal(err)
		}
		r.publish(r.alias("old", "new")...)
		if l := r.drain(time.Minute); r.contact("new").ID != kept || l.Delivered != 4 {
			t.Errorf("%+v %+v", l, r.box.Contacts())
		}
	})
}

// TestAliasAgainstAnUnknownContact: the userId's contact was never ours; the API refuses, and both ids are told.
func TestAliasAgainstAnUnknownContact(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		other, err := r.box.Add(map[string]any{"email": "new@x.test", "external_id": "new"})
		if err != nil {
			t.Fatal(err)
		}
		r.publish(r.identify("old", nil))
		time.Sleep(time.Minute)
		r.publish(r.alias("old", "new")...)
		r.drain(time.Minute)
		if letters := r.letters(); len(letters) != 1 || letters[0].Reason != worker.ReasonAliasConflict || !strings.Contains(letters[0].Error, fmtID(other.ID)) {
			t.Errorf("%+v", letters)
		}
	})
}

// TestAliasWhenTheAPIFails: at each step, with a restart in between: one contact, renamed once.
func TestAliasWhenTheAPIFails(t *testing.T) {
	for name, f := range map[string]sandbox.Fault{
		"reading fails":      {Operation: sandbox.OpGetContact, Next: 3, Status: 500},
		"renaming fails":     {Operation: sandbox.OpUpdateContact, Next: 3, Status: 503},
		"the answer is lost": {Operation: sandbox.OpUpdateContact, Next: 1, DropAnswer: true},
		"throttled":          {Operation: sandbox.OpUpdateContact, Next: 1, Status: 429},
		"making it is slow":  {Operation: sandbox.OpCreateContact, Next: 3, Status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
				r.fault(f)
				r.publish(r.identify("old", nil))
				r.publish(r.alias("old", "new")...)
				time.Sleep(300 * time.Millisecond)
				r.restart()
				l := r.drain(time.Hour)
				if r.contact("new"); len(r.box.Contacts()) != 1 || l.Delivered != 3 {
					t.Errorf("%+v %+v", l, r.box.Contacts())
				}
			})
		})
	}
}

// record is what is remembered of a user.
func (r *rig) record(user string) mapping.Record {
	r.t.Helper()
	data, _, err := r.store.State(r.t.Context(), "user."+r.store.User(user))
	if err != nil {
		r.t.Fatal(err)
	}
	record, err := mapping.DecodeRecord(data)
	if err != nil {
		r.t.Fatal(err)
	}
	return record
}

// TestAliasOfSomebodyWhoComesLater: that the previousId had no contact when its turn came stays true, however late the userId's turn is.
func TestAliasOfSomebodyWhoComesLater(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Operation: sandbox.OpCreateContact, Next: 2, Status: 503, MatchBody: "new@example.test"})
		r.publish(append([]queue.Entry{r.identify("new", nil)}, append(r.alias("old", "new"), r.identify("old", nil))...)...)
		l := r.drain(time.Hour)
		if r.contact("old").ID == r.contact("new").ID || len(r.letters()) != 0 || count(l, "alias", queue.Discarded, "unknown_previous") != 1 {
			t.Errorf("%+v %+v", l.Counts, r.letters())
		}
	})
}

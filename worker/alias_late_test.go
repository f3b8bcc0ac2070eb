package worker_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
	"github.com/freshrelay/freshrelay/worker"
)

// page makes the stored form of a page call.
func (r *rig) page(user, name string) queue.Entry {
	r.t.Helper()
	r.n++
	id := fmt.Sprint("m", r.n)
	body, err := json.Marshal(map[string]any{"type": "page", "userId": user, "messageId": id, "name": name})
	if err != nil {
		r.t.Fatal(err)
	}
	received := segment.Received{
		Source: "website", Surface: segment.SurfaceWebhook, At: time.Now().UTC(), Type: segment.Page, MessageID: id, UserID: user, Body: body,
	}
	return queue.Entry{UserID: user, Activity: true, Data: received.Encode()}
}

// TestCallsOfAPreviousID: each has one fate, whether it waits together with the alias call, comes when that has taken effect, after a
// restart, or after other calls of the same id.
func TestCallsOfAPreviousID(t *testing.T) {
	calls := map[string]struct {
		make func(r *rig) []queue.Entry
		want queue.Count
	}{
		"identify, changed": {
			func(r *rig) []queue.Entry { return []queue.Entry{r.identify("old", map[string]any{"plan": "late"})} },
			queue.Count{Type: "identify", Outcome: queue.Discarded, Reason: "aliased"},
		},
		"identify, unchanged": {
			func(r *rig) []queue.Entry { return []queue.Entry{r.identify("old", map[string]any{"plan": "early"})} },
			queue.Count{Type: "identify", Outcome: queue.Discarded, Reason: "aliased"},
		},
		"group": {
			func(r *rig) []queue.Entry { return r.group("old", "g1", map[string]any{"name": "Acme"}) },
			queue.Count{Type: "group", Outcome: queue.Discarded, Reason: "aliased"},
		},
		"track": {
			func(r *rig) []queue.Entry { return []queue.Entry{r.track("old", "Order Completed", nil)} },
			queue.Count{Type: "track", Outcome: queue.Delivered},
		},
		"page": {
			func(r *rig) []queue.Entry { return []queue.Entry{r.page("old", "Pricing")} },
			queue.Count{Type: "page", Outcome: queue.Delivered},
		},
		"delete": {
			func(r *rig) []queue.Entry { return []queue.Entry{r.forget("old", false)} },
			queue.Count{Type: "delete", Outcome: queue.Delivered},
		},
	}
	timings := map[string]func(r *rig, alias []queue.Entry, call func() []queue.Entry){
		"together": func(r *rig, alias []queue.Entry, call func() []queue.Entry) {
			r.publish(append(alias, call()...)...)
		},
		"while the alias is in trouble": func(r *rig, alias []queue.Entry, call func() []queue.Entry) {
			r.fault(sandbox.Fault{Operation: sandbox.OpUpdateContact, Next: 2, Status: 503})
			r.publish(append(alias, call()...)...)
		},
		"later": func(r *rig, alias []queue.Entry, call func() []queue.Entry) {
			r.publish(alias...)
			r.drain(time.Hour)
			r.publish(call()...)
		},
		"after a restart": func(r *rig, alias []queue.Entry, call func() []queue.Entry) {
			r.publish(alias...)
			r.drain(time.Hour)
			r.restart()
			r.publish(call()...)
		},
		"after another identify": func(r *rig, alias []queue.Entry, call func() []queue.Entry) {
			r.publish(alias...)
			r.publish(r.identify("old", map[string]any{"city": "Porto"}))
			r.drain(time.Hour)
			r.publish(call()...)
		},
	}
	for name, c := range calls {
		for timing, play := range timings {
			t.Run(name+" "+timing, func(t *testing.T) {
				performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
					r.mapping.Aliases, r.mapping.Accounts = true, true
					r.restart()
					r.publish(r.identify("old", map[string]any{"plan": "early"}))
					before := r.drain(time.Minute)
					contact := r.contact("old").ID
					play(r, r.alias("old", "new"), func() []queue.Entry { return c.make(r) })
					l := r.drain(time.Hour)
					if got := l.Counts[c.want] - before.Counts[c.want]; got < 1 || l.Dead != 0 {
						t.Errorf("it is not %+v: %+v", c.want, l.Counts)
					}
					if left := r.contact("new"); len(r.box.Contacts()) != 1 || left.ID != contact || left.Custom["cf_plan"] != "early" || left.Custom["cf_city"] != nil {
						t.Errorf("%+v", r.box.Contacts())
					}
					if links := r.linked("new"); len(links) != 0 {
						t.Errorf("linked to %v", links)
					}
					for _, a := range r.box.Activities() {
						if a.ContactID != contact {
							t.Errorf("an activity of another contact: %+v", a.Fields)
						}
					}
					if want := c.want.Type == "track" || c.want.Type == "page"; want != (len(r.box.Activities()) == 1) {
						t.Errorf("%d activities", len(r.box.Activities()))
					}
				})
			})
		}
	}
}

// TestExplainALateCall: what a call of a previousId would do is said before any of it has come.
func TestExplainALateCall(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(append([]queue.Entry{r.identify("old", nil)}, r.alias("old", "new")...)...)
		r.drain(time.Minute)
		list, err := r.pool.Explain(t.Context(), "website", [][]byte{[]byte(`{"type":"identify","userId":"old","messageId":"x","traits":{"email":"old@example.test","plan":"late"}}`)})
		if err != nil || len(list) != 1 || list[0].Outcome != queue.Discarded || list[0].Reason != "aliased" {
			t.Errorf("%+v %v", list, err)
		}
	})
}

// TestPreviousIDsAreBounded: beyond two hundred an alias call is set aside before anything is done.
func TestPreviousIDsAreBounded(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		var full mapping.Record
		for i := range mapping.MaxPrevious {
			full.Previous = append(full.Previous, r.store.User(fmt.Sprint("u", i)))
		}
		data, err := full.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.store.PutState(t.Context(), "user."+r.store.User("new"), data, 0); err != nil {
			t.Fatal(err)
		}
		r.publish(append([]queue.Entry{r.identify("old", map[string]any{"plan": "old"})}, r.alias("old", "new")...)...)
		r.drain(time.Minute)
		if letters := r.letters(); len(letters) != 1 || letters[0].Reason != worker.ReasonRecordTooLarge || r.contact("old").Custom["cf_plan"] != "old" {
			t.Errorf("%+v %+v", letters, r.box.Contacts())
		}
		r.publish(r.forget("new", false)) // all of whom are nobody's previous ids any more
		if l := r.drain(time.Hour); count(l, "delete", queue.Delivered, "") != 1 || count(l, "delete", queue.Discarded, "stale") != 2*mapping.MaxPrevious || len(r.box.Contacts()) != 1 {
			t.Errorf("%+v", l.Counts)
		}
	})
}

// TestActivitiesFollowTheAlias: a track call of a previousId is the userId's, along a chain, also when that has got another contact since,
// or was erased and let come again.
func TestActivitiesFollowTheAlias(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.mapping.Aliases = true
		r.restart()
		r.publish(r.identify("a", nil))
		r.publish(r.alias("a", "b")...)
		r.publish(r.alias("b", "c")...)
		r.drain(time.Hour)
		if err := r.box.Remove(r.contact("c").ID); err != nil {
			t.Fatal(err)
		}
		r.publish(r.identify("c", map[string]any{"plan": "anew"}))
		r.drain(time.Hour)
		r.publish(r.track("a", "One", nil))
		r.drain(time.Hour)
		second := r.contact("c").ID
		r.publish(r.forget("c", false), r.forget("c", true), r.identify("c", map[string]any{"plan": "again"}))
		r.drain(time.Hour)
		r.publish(r.track("b", "Two", nil))
		l := r.drain(time.Hour)
		if all := r.box.Activities(); len(all) != 2 || all[0].ContactID != second || all[1].ContactID != r.contact("c").ID || second == r.contact("c").ID {
			t.Errorf("%+v %+v", all, l.Counts)
		}
		r.publish(r.forget("c", false))
		r.drain(time.Hour)
		r.publish(r.track("a", "Three", nil))
		if l = r.drain(time.Hour); len(r.box.Activities()) != 2 || count(l, "track", queue.Discarded, "suppressed") != 1 {
			t.Errorf("%+v", l.Counts)
		}
	})
}

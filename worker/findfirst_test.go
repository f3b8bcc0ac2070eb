package worker_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// with is a bubble whose pool works with these options.
func with(t *testing.T, o mapping.Options, updateOnly bool, body func(t *testing.T, r *rig)) {
	t.Helper()
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.close()
		r.mapping, r.updateOnly = o, updateOnly
		r.open()
		body(t, r)
	})
}

func TestTagsAreAdded(t *testing.T) {
	with(t, mapping.Options{Traits: map[string]string{"tags": "Tags"}}, false, func(t *testing.T, r *rig) {
		r.send("ann", map[string]any{"tags": []string{"vip"}})
		r.edit("ann", map[string]any{"tags": []string{"vip", "by hand"}})
		r.send("ann", map[string]any{"tags": "beta; vip", "plan": "free"}, map[string]any{"plan": "growth"}, map[string]any{"tags": nil})
		if diff := cmp.Diff([]string{"vip", "by hand", "beta"}, r.contact("ann").Fields["tags"]); diff != "" {
			t.Error(diff)
		}
		r.add(map[string]any{"emails": "bob@example.test", "tags": []string{"old"}})
		r.send("bob", map[string]any{"tags": []string{"new"}}) // the contact is adopted
		if diff := cmp.Diff([]string{"old", "new"}, r.contact("bob").Fields["tags"]); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDefaultsAreForNewContactsAlone(t *testing.T) {
	o := mapping.Options{OnCreate: map[string]string{"subscription_status": "Not subscribed", "industry": "None yet", "city": "Nowhere"}}
	with(t, o, false, func(t *testing.T, r *rig) {
		r.send("ann", map[string]any{"city": "Ulm"}, map[string]any{"plan": "free"})
		c := r.contact("ann")
		if c.Fields["subscription_status"] != json.Number("2") || c.Fields["city"] != nil || c.Custom["cf_industry"] != "None yet" {
			t.Errorf("%+v", c)
		}
		r.add(map[string]any{"emails": "bob@example.test"})
		r.add(map[string]any{"emails": "eve@example.test", "external_id": "eve"})
		for _, user := range []string{"bob", "eve"} {
			r.send(user, map[string]any{"plan": "free"})
			if c := r.contact(user); c.Fields["subscription_status"] != json.Number("1") || c.Custom["cf_industry"] != nil || c.Custom["cf_plan"] != "free" {
				t.Errorf("a contact that was there got defaults: %+v", c)
			}
		}
	})
}

func TestNoContactIsCreatedWhereThatIsOff(t *testing.T) {
	with(t, mapping.Options{}, true, func(t *testing.T, r *rig) {
		r.add(map[string]any{"emails": "ann@example.test"})
		r.add(map[string]any{"emails": "other@example.test", "external_id": "bob"})
		for _, user := range []string{"ann", "bob", "eve"} {
			r.publish(r.identify(user, map[string]any{"plan": "free"}))
		}
		l := r.drain(time.Minute)
		if l.Counts[queue.Count{Type: "identify", Outcome: queue.Discarded, Reason: string(mapping.ReasonNoContact)}] != 1 || l.Delivered != 2 || len(r.box.Contacts()) != 2 {
			t.Errorf("%+v, %d contacts", l, len(r.box.Contacts()))
		}
		for _, user := range []string{"ann", "bob"} {
			if r.contact(user).Custom["cf_plan"] != "free" {
				t.Errorf("%+v", r.contact(user))
			}
		}
		r.add(map[string]any{"emails": "eve@example.test"}) // somebody makes it by hand
		r.publish(r.identify("eve", map[string]any{"plan": "growth"}))
		r.drain(time.Minute)
		if r.contact("eve").Custom["cf_plan"] != "growth" {
			t.Errorf("%+v", r.contact("eve"))
		}
	})
}

// TestACallWithoutAUserIDFindsItsContactByTheAddress: it sets what it carries, empties nothing and takes nobody's contact.
func TestACallWithoutAUserIDFindsItsContactByTheAddress(t *testing.T) {
	o := mapping.Options{WithoutUserID: mapping.ByEmail}
	with(t, o, false, func(t *testing.T, r *rig) {
		call := func(email, traits string) queue.Entry {
			r.n++
			received := segment.Received{
				Source: "website", Surface: segment.SurfaceWebhook, At: time.Now().UTC(), Type: segment.Identify, MessageID: fmt.Sprint("m", r.n),
				Body: []byte(`{"type":"identify","traits":{"email":"` + email + `",` + traits + `}}`),
			}
			return queue.Entry{UserID: o.Lane(received), Data: received.Encode()}
		}
		r.send("ann", map[string]any{"plan": "free", "industry": "Music"})
		r.publish(call("ANN@example.test", `"seq":1`), call("new@example.test", `"seq":2`), call("new@example.test", `"plan":"growth"`))
		r.drain(time.Hour)
		r.publish(call("new@example.test", `"industry":"Food"`))
		l := r.drain(time.Hour)
		if l.Delivered != 5 || len(r.box.Contacts()) != 2 {
			t.Errorf("%+v, %d contacts", l, len(r.box.Contacts()))
		}
		want := map[string]any{"cf_plan": "free", "cf_industry": "Music", "cf_seq": json.Number("1")}
		if diff := cmp.Diff(want, r.contact("ann").Custom); diff != "" {
			t.Error(diff)
		}
		want = map[string]any{"cf_plan": "growth", "cf_industry": "Food", "cf_seq": json.Number("2")}
		if diff := cmp.Diff(want, r.contact("").Custom); diff != "" {
			t.Error(diff)
		}
		r.send("user", map[string]any{"email": "new@example.test", "seq": 3}) // who it is becomes known
		if c := r.contact("user"); len(r.box.Contacts()) != 2 || c.Custom["cf_seq"] != json.Number("3") || c.Custom["cf_plan"] != "growth" {
			t.Errorf("%+v", c)
		}
	})
}

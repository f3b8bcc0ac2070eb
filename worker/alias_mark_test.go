package worker_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
)

// TestAliasMarkOfAFormerRecord: records used to say only that there had been an alias call. The second half of such a call still finds its
// first, and the contact is still looked at before it is written.
func TestAliasMarkOfAFormerRecord(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("old", nil))
		r.drain(time.Minute)
		call := r.alias("old", "new")
		r.publish(call[0])
		r.drain(time.Minute)
		r.asFormerly("old")
		r.publish(call[1])
		if l := r.drain(time.Minute); l.Delivered != 3 {
			t.Fatalf("%+v", l.Counts)
		}
		r.contact("new")
	})
}

func TestAliasMarkKeepsTheContactFromBeingWritten(t *testing.T) {
	aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("old", nil))
		r.drain(time.Minute)
		r.handEdit(r.contact("old").ID, map[string]any{"external_id": "new"})
		r.asFormerly("old")
		n := r.box.Calls()[len(r.box.Calls())-1].N
		for range 2 { // once by the contact, and once without a call
			r.publish(r.identify("old", map[string]any{"plan": "Late"}))
			r.drain(time.Minute)
		}
		l := r.drain(time.Minute)
		if calls := r.calls(n); count(l, "identify", queue.Discarded, "aliased") != 2 || calls["get_contact"] != 1 || len(calls) != 1 {
			t.Errorf("%+v %v", l.Counts, calls)
		}
	})
}

// asFormerly stores the user's record with the mark of an alias call alone.
func (r *rig) asFormerly(user string) {
	r.t.Helper()
	key := "user." + r.store.User(user)
	data, rev, err := r.store.State(r.t.Context(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	var record map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err = d.Decode(&record); err != nil {
		r.t.Fatal(err)
	}
	delete(record, "h")
	record["q"] = true
	if data, err = json.Marshal(record); err != nil {
		r.t.Fatal(err)
	}
	if _, err = r.store.PutState(r.t.Context(), key, data, rev); err != nil {
		r.t.Fatal(err)
	}
}

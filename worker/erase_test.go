package worker_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
	"github.com/freshrelay/freshrelay/worker"
)

// forget makes the call of `freshrelay forget`, or with undo that of its --undo.
func (r *rig) forget(user string, undo bool) queue.Entry {
	r.n++
	return worker.DeleteCall(user, fmt.Sprint("m", r.n), undo, time.Now())
}

// deletion makes the delete call of a webhook.
func (r *rig) webhookDelete(user string) queue.Entry {
	r.n++
	id := fmt.Sprint("m", r.n)
	received := segment.Received{
		Source: "website", Surface: segment.SurfaceWebhook, At: time.Now().UTC(), Type: segment.Delete, MessageID: id, UserID: user,
		Body: fmt.Appendf(nil, `{"type":"delete","userId":%q,"messageId":%q}`, user, id),
	}
	return queue.Entry{UserID: user, Data: received.Encode()}
}

// found are the files below the rig's directory that hold any of the texts.
func (r *rig) found(texts ...string) []string {
	r.t.Helper()
	var files []string
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // the broker removes files meanwhile
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // likewise
		}
		for _, text := range texts {
			if bytes.Contains(content, []byte(text)) {
				files = append(files, fmt.Sprintf("%s (%s)", strings.TrimPrefix(path, r.dir), text))
			}
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return files
}

// TestForgetLeavesNothing is the measure: after forget and the next trim nothing in the directory, in plain, tells the
// user's id or address; the contact is gone; later calls are discarded.
func TestForgetLeavesNothing(t *testing.T) {
	groups(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		const user = "zq-somebody-zq"
		r.fault(sandbox.Fault{Percent: 100, Status: 400, MatchBody: "Refuse me"})
		r.publish(r.identify(user, map[string]any{"plan": "Gold"}), r.identify("other", nil))
		r.publish(r.group(user, "g1", map[string]any{"name": "Acme"})...)
		r.drain(time.Minute)
		r.publish(r.identify(user, map[string]any{"plan": "Refuse me"}), r.identify(user, map[string]any{"city": "Porto"}))
		r.drain(time.Hour)
		r.fault(sandbox.Fault{Operation: sandbox.OpUpsertAccount, Percent: 100, Status: 400})
		r.publish(r.group(user, "g2", map[string]any{"name": "Bad"})...)
		if l := r.drain(time.Hour); l.Dead < 2 {
			t.Fatalf("no letters to erase: %+v", l)
		}
		if len(r.found(user)) == 0 {
			t.Fatal("the test looks at the wrong place")
		}
		id := r.contact(user).ID
		r.publish(r.forget(user, false))
		l := r.drain(time.Hour)
		if count(l, "delete", queue.Delivered, "") != 1 || count(l, "identify", queue.Discarded, "erased")+count(l, "group", queue.Discarded, "erased") < 1 {
			t.Errorf("%+v", l.Counts)
		}
		for _, c := range r.box.Contacts() {
			if c.ID == id {
				t.Error("the contact is still there")
			}
		}
		time.Sleep(3 * time.Minute) // the next trim
		if files := r.found(user, user+"@example.test"); len(files) > 0 {
			t.Error("still in", files)
		}
		for _, letter := range r.letters() {
			if whole, err := r.store.Letter(t.Context(), letter.ID); err != nil || bytes.Contains(whole.Event, []byte(user)) {
				t.Errorf("letter %s tells the user (%v)", letter.ID, err)
			}
		}
		lines, err := r.store.Journal(t.Context(), queue.JournalQuery{User: r.store.User(user)})
		if err != nil {
			t.Fatal(err)
		}
		if dump, _ := json.Marshal(lines); bytes.Contains(dump, []byte(user)) || len(lines) != 1 {
			t.Errorf("the journal: %s", dump)
		}
		r.publish(r.identify(user, nil))
		if l = r.drain(time.Minute); count(l, "identify", queue.Discarded, "suppressed") != 1 {
			t.Errorf("%+v", l.Counts)
		}
		r.restart()
		r.publish(r.forget(user, true), r.identify(user, map[string]any{"plan": "Back"}))
		if l = r.drain(time.Minute); count(l, "delete", queue.Delivered, "") != 2 || r.contact(user).Custom["cf_plan"] != "Back" {
			t.Errorf("%+v", l.Counts)
		}
	})
}

// TestDeleteInOrder: a delete takes effect after what came before, which need not be sent, and before what comes after.
func TestDeleteInOrder(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.deletion = worker.Deletion{Webhooks: true, RecycleBin: true}
		r.restart()
		r.publish(r.identify("u1", nil))
		r.drain(time.Minute)
		n := r.box.Calls()[len(r.box.Calls())-1].N
		r.publish(r.identify("u1", map[string]any{"plan": "a"}), r.webhookDelete("u1"), r.identify("u1", map[string]any{"plan": "b"}))
		l := r.drain(time.Minute)
		if made := r.calls(n); made["delete_contact"] != 1 || made["update_contact"]+made["create_contact"] > 1 {
			t.Error(made)
		}
		if count(l, "identify", queue.Discarded, "suppressed") != 1 || len(r.box.Contacts()) != 0 && !r.box.Contacts()[0].Deleted {
			t.Errorf("%+v %+v", l.Counts, r.box.Contacts())
		}
		r.publish(r.webhookDelete("nobody"))
		if l = r.drain(time.Minute); count(l, "delete", queue.Delivered, "") != 2 {
			t.Errorf("%+v", l.Counts)
		}
	})
}

func TestDeleteOfWebhooksIsOff(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("u1", nil), r.webhookDelete("u1"))
		if l := r.drain(time.Minute); count(l, "delete", queue.Discarded, "not_forwarded") != 1 || r.contact("u1").Deleted {
			t.Errorf("%+v", l.Counts)
		}
	})
}

// TestForgetSparesStrangers: a contact that was given to another user meanwhile is not deleted, and one that we never wrote is
// found by the userId.
func TestForgetSparesStrangers(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("u1", nil))
		r.drain(time.Minute)
		taken := r.contact("u1").ID
		if _, err := r.box.Edit(taken, map[string]any{"external_id": "u2"}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.box.Add(map[string]any{"email": "u3@x.test", "external_id": "u3"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		r.publish(r.forget("u1", false), r.forget("u3", false))
		r.drain(time.Minute)
		if left := r.box.Contacts(); len(left) != 1 || left[0].ID != taken {
			t.Errorf("%+v", left)
		}
	})
}

// TestForgetWhenTheAPIFails: at each step of it, and with a restart after each.
func TestForgetWhenTheAPIFails(t *testing.T) {
	for name, f := range map[string]sandbox.Fault{
		"reading fails":       {Operation: sandbox.OpGetContact, Next: 3, Status: 500},
		"deleting fails":      {Operation: sandbox.OpForgetContact, Next: 3, Status: 503},
		"the answer is lost":  {Operation: sandbox.OpForgetContact, Next: 1, DropAnswer: true},
		"an empty answer":     {Operation: sandbox.OpForgetContact, Next: 1, Status: 200, Empty: true},
		"the same, and done":  {Operation: sandbox.OpForgetContact, Next: 1, Status: 200, Empty: true, Done: true},
		"throttled":           {Operation: sandbox.OpForgetContact, Next: 1, Status: 429},
		"not for this key":    {Operation: sandbox.OpForgetContact, Next: 4, Status: 403},
		"it is refused first": {Operation: sandbox.OpForgetContact, Next: 1, Status: 400},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
				r.publish(r.identify("u1", nil), r.identify("u2", nil))
				r.drain(time.Minute)
				r.fault(f)
				r.publish(r.identify("u1", map[string]any{"plan": "late"}), r.forget("u1", false))
				time.Sleep(300 * time.Millisecond)
				r.restart()
				l := r.drain(time.Hour)
				if l.Dead > 0 { // set aside: suppressed all the same, and a replay finishes it
					r.publish(r.identify("u1", nil))
					if l = r.drain(time.Minute); count(l, "identify", queue.Discarded, "suppressed") != 1 {
						t.Errorf("%+v", l.Counts)
					}
					if err := r.store.Replay(t.Context(), []string{r.letters()[0].ID}); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute)
					l = r.drain(time.Hour)
				}
				if left := r.box.Contacts(); len(left) != 1 || left[0].ExternalID != "u2" || l.Dead != 0 || count(l, "delete", queue.Delivered, "") != 1 {
					t.Errorf("%+v %+v", left, l.Counts)
				}
			})
		})
	}
}

// TestForgetBurst: 5,000 at once, within the quota. Of half of them the contact is known: two calls, to see whose it is and to
// delete it. The others' is looked for first.
func TestForgetBurst(t *testing.T) {
	bubble(t, sandbox.Options{PerHour: 3000, PerMinute: 200, CallLog: 20_000}, func(t *testing.T, r *rig) {
		r.quota = worker.Quota{PerHour: 3000, PerMinute: 200, Reserve: 0.1}
		r.restart()
		const users, known = 5000, 2500
		if err := r.box.Preload(users-known, func(i int) map[string]any {
			return map[string]any{"email": fmt.Sprint("u", known+i, "@x.test"), "external_id": fmt.Sprint("u", known+i)}
		}); err != nil {
			t.Fatal(err)
		}
		r.unknown(known, 0)
		r.drain(12 * time.Hour)
		before := r.box.CallCount()
		for from := 0; from < users; from += 100 {
			calls := make([]queue.Entry, 100)
			for i := range calls {
				calls[i] = r.forget(fmt.Sprint("u", from+i), false)
			}
			r.publish(calls...)
		}
		l := r.drain(12 * time.Hour)
		made := r.calls(before)
		if made[sandbox.OpForgetContact] != users || made[sandbox.OpGetContact] != users || made[sandbox.OpLookupContacts] != users-known {
			t.Errorf("%d API calls: %v", r.box.CallCount()-before, made)
		}
		if count(l, "delete", queue.Delivered, "") != users || len(r.box.Contacts()) != 0 || r.box.Throttled() != 0 {
			t.Errorf("%+v, %d contacts, %d times throttled", l.Counts, len(r.box.Contacts()), r.box.Throttled())
		}
	})
}

// TestForgetErasesActivities: letters of track calls go too, and tracks that come later are discarded.
func TestForgetErasesActivities(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Operation: sandbox.OpCreateActivity, Percent: 100, Status: 400})
		r.publish(r.identify("u1", nil))
		r.publish(r.track("u1", "Order Completed", nil))
		if l := r.drain(time.Hour); l.Dead != 1 {
			t.Fatalf("%+v", l)
		}
		r.publish(r.forget("u1", false), worker.DeleteActivities("u1", "x", time.Now()))
		l := r.drain(time.Hour)
		if l.Dead != 0 || len(r.letters()) != 0 || count(l, "track", queue.Discarded, "erased") != 1 || count(l, "delete", queue.Delivered, "") != 2 {
			t.Errorf("%+v", l)
		}
		r.publish(r.track("u1", "Order Completed", nil))
		if l = r.drain(time.Hour); count(l, "track", queue.Discarded, "suppressed") != 1 {
			t.Errorf("%+v", l.Counts)
		}
	})
}

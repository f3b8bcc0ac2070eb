package worker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// previewed are the dead letters and what would become of them.
func (r *rig) previewed() []worker.Preview {
	r.t.Helper()
	letters := r.letters()
	for i := range letters {
		var err error
		if letters[i], err = r.store.Letter(r.t.Context(), letters[i].ID); err != nil {
			r.t.Fatal(err)
		}
	}
	before := len(r.box.Calls())
	previews, err := r.pool.Preview(r.t.Context(), letters, nil)
	if err != nil || len(previews) != len(letters) {
		r.t.Fatal(previews, err)
	}
	if len(r.box.Calls()) != before {
		r.t.Error("a preview calls the account")
	}
	return previews
}

func TestAPreviewSaysWhatBecomesOfAnActivity(t *testing.T) {
	refused := sandbox.Fault{Next: 1, Status: 400, Operation: sandbox.OpCreateActivity}
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.fault(refused)
		r.publish(r.track("ann", "A", map[string]any{"total": 9}))
		r.drain(time.Hour)
		p := r.previewed()
		if len(p) != 1 || p[0].Outcome != queue.Delivered || len(p[0].Requests) != 1 {
			t.Fatalf("previews %+v", p)
		}
		body := string(p[0].Requests[0].Body)
		for _, part := range []string{`"title":"A"`, `total: 9\nfreshrelay-`, `"targetable_id":"` + fmtID(r.contact("ann").ID) + `"`, `"sales_activity_type_id":"`} {
			if !strings.Contains(body, part) {
				t.Errorf("%s is not in %s", part, body)
			}
		}
		if err := r.store.Replay(t.Context(), []string{p[0].Letter.ID}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		made := r.box.Activities()
		if len(made) != 1 || !strings.Contains(body, strings.ReplaceAll(made[0].Fields["notes"].(string), "\n", `\n`)) {
			t.Errorf("said %s, made %+v", body, made)
		}
	})
}

func TestAPreviewSaysWhatBecomesOfAnEvent(t *testing.T) {
	asEvents(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.track("ann", "A", map[string]any{"total": 9}))
		r.drain(time.Hour)
		r.fault(sandbox.Fault{Next: 1, Status: 400, Operation: sandbox.OpSendEvent})
		r.publish(r.track("ann", "A", map[string]any{"total": "many", "city": "Bonn"}))
		r.drain(time.Hour)
		p := r.previewed()
		if len(p) != 1 || p[0].Outcome != queue.Delivered || len(p[0].Requests) != 1 || string(p[0].Requests[0].Body) != `{"city":"Bonn"}` || len(p[0].LeftOut) != 1 {
			t.Fatalf("previews %+v", p)
		}
		if strings.Contains(p[0].Requests[0].Path, "@") {
			t.Error("the address is shown unmasked")
		}
	})
}

func TestAPreviewOfAnActivityWithoutAContact(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(queue.Entry{UserID: "bob", Activity: true, Data: []byte("x")}, r.track("bob", "A", nil))
		l := r.drain(5 * time.Minute)
		r.wantOutcomes(l, map[string]int64{"discarded:unknown_contact": 1})
		track := r.track("bob", "A", nil)
		letters := r.letters()
		letters[0].Event = track.Data
		p, err := r.pool.Preview(t.Context(), letters, nil)
		if err != nil || p[0].Outcome != queue.Discarded || p[0].Reason != string(mapping.ReasonUnknownContact) || len(p[0].Requests) > 0 {
			t.Errorf("%+v, %v", p, err)
		}
		r.publish(r.forget("bob", false))
		r.drain(time.Minute)
		p, err = r.pool.Preview(t.Context(), letters, nil)
		if err != nil || p[0].Outcome != queue.Discarded || p[0].Reason != string(mapping.ReasonSuppressed) {
			t.Errorf("of an erased user: %+v, %v", p, err)
		}
	})
}

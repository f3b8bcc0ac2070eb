package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/segment"
	"github.com/freshrelay/freshrelay/worker"
)

// What is explained is what is made, but for ids and the marker; and what is explained to become nothing becomes nothing.
func TestAnExplainedActivityIsWhatIsMade(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		entry := r.track("ann", "Order Completed", map[string]any{"total": 9.5})
		call, err := segment.Decode(entry.Data)
		if err != nil {
			t.Fatal(err)
		}
		e := worker.Explainer{
			Activities: asActivities(t), Now: time.Now(),
			Forward: func(source string, typ segment.Type, name string) bool {
				return source == "website" && typ == segment.Track && name != "Dull"
			},
			Record: func(_ context.Context, lane string) (mapping.Record, error) {
				if lane == "ann" {
					return mapping.Record{ContactID: fmtID(r.contact("ann").ID)}, nil
				}
				return mapping.Record{}, nil
			},
		}
		list, _, err := e.Explain(t.Context(), "website", [][]byte{
			call.Body, []byte(`{"type":"track","userId":"ann","event":"Dull"}`), []byte(`{"type":"page","userId":"ann","name":"Home"}`),
			[]byte(`{"type":"track","userId":"bob","event":"A"}`), []byte(`{"type":"track","event":"A"}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"delivered ", "dropped not_forwarded", "dropped not_forwarded", "discarded unknown_contact", "discarded missing_user_id"} {
			if got := list[i].Outcome + " " + string(list[i].Reason); got != want || (len(list[i].Requests) == 1) != (i == 0) {
				t.Errorf("call %d: %s with %d requests, want %s", i, got, len(list[i].Requests), want)
			}
		}
		r.publish(entry)
		r.drain(time.Minute)
		explained, err := json.Marshal(list[0].Requests[0].Body)
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			Activity map[string]any `json:"sales_activity"`
		}
		if err := json.Unmarshal(explained, &body); err != nil {
			t.Fatal(err)
		}
		made := r.box.Activities()[0].Fields
		for name, got := range made {
			want := fmt.Sprint(body.Activity[name])
			switch {
			case name == "sales_activity_type_id", name == "owner_id": // by their names
			case name == "notes" && !strings.HasPrefix(fmt.Sprint(got), want+"\nfreshrelay-"), name != "notes" && fmt.Sprint(got) != want:
				t.Errorf("%s: explained %q, made %q", name, want, got)
			}
		}
		if len(body.Activity) != len(made) || list[0].Requests[0].Path != "/sales_activities" {
			t.Errorf("explained %v, made %v", body.Activity, made)
		}
	})
}

// A service whose sources forward nothing explains what the door does.
func TestExplainingWithoutForwarding(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		list, err := r.pool.Explain(t.Context(), "website", [][]byte{[]byte(`{"type":"track","userId":"ann","event":"A"}`)})
		if err != nil || len(list) != 1 || list[0].Outcome != metrics.OutcomeDropped || list[0].Reason != mapping.ReasonNotForwarded {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

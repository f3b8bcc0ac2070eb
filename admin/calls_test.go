package admin

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

// What came is that of all doors of the store, once each, beside what happens to it; what is no type of call is shown too.
func TestStatusCountsTheCallsOfAllDoors(t *testing.T) {
	t.Parallel()
	identify := CallFate{Type: "identify", Fate: "is delivered", Switch: "always on"}
	track := CallFate{Type: "track", Fate: "is dropped", Switch: "off"}
	s := newService(t, func(c *Config) {
		c.Calls = []CallFate{identify, track, {Type: "identify", Which: "without userId", Fate: "is discarded"}}
		c.Door = func() []metrics.Came {
			return []metrics.Came{{Type: "identify", Received: 3}, {Type: "track", Received: 2, Dropped: map[string]int{"not_forwarded": 1}}}
		}
	})
	says := func(door ...metrics.Came) json.RawMessage {
		text, err := json.Marshal(door)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	early := time.Unix(5, 0).UTC()
	s.store.sharing = queue.Sharing{Processes: []queue.Process{
		{ID: "a", Self: true, Says: says(metrics.Came{Type: "identify", Received: 2})}, // what it said a while ago
		{ID: "b", Started: early, Says: says(
			metrics.Came{Type: "track", Received: 10, Dropped: map[string]int{"not_forwarded": 4, "repeated": 1}},
			metrics.Came{Type: "other", Received: 1, Dropped: map[string]int{"invalid_type": 1}})},
		{ID: "of an older version", Started: time.Unix(1, 0)},
	}}
	got := read[Status](t, s, "GET", "/api/status", "", 200)
	want := []Call{
		{CallFate: identify, Received: 3, Dropped: map[string]int{}},
		{CallFate: track, Received: 12, Dropped: map[string]int{"not_forwarded": 5, "repeated": 1}},
	}
	if len(got.Calls) != 3 {
		t.Fatalf("%+v", got.Calls)
	}
	if diff := cmp.Diff(want, got.Calls[:2]); diff != "" {
		t.Error(diff)
	}
	if other := got.Calls[2]; other.Type != "other" || other.Received != 1 || other.Dropped["invalid_type"] != 1 || other.Fate == "" || other.Switch == "" {
		t.Errorf("%+v", other)
	}
	if !got.CallsSince.Equal(early) {
		t.Errorf("counted since %v", got.CallsSince)
	}
	s.store.sharing.Processes[1].Says = json.RawMessage(`"of a newer version"`)
	if got := read[Status](t, s, "GET", "/api/status", "", 200); len(got.Calls) != 2 || got.Calls[0].Received != 3 || got.Calls[1].Received != 2 {
		t.Errorf("what one process says unreadably hides the rest: %+v", got.Calls)
	}
}

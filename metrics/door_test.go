package metrics

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What people are told of the door is what Prometheus is told: over all sources, without what did not come, and without what
// became of calls later.
func TestTheDoorInWordsIsThatOfTheMetrics(t *testing.T) {
	t.Parallel()
	m := New()
	m.Sources("website", "app")
	m.EventReceived("website", "track", 3)
	m.EventReceived("app", "track", 2)
	m.EventReceived("app", "identify", 1)
	m.EventReceived("app", "teleport", 1)
	m.EventSettled("track", OutcomeDropped, "not_forwarded", 4)
	m.EventSettled("track", OutcomeDropped, "repeated", 1)
	m.EventSettled("track", OutcomeDiscarded, "not_forwarded", 7)
	m.EventSettled("identify", OutcomeDelivered, "", 1)
	m.EventSettled("teleport", OutcomeDropped, "invalid_type", 1)
	want := []Came{
		{Type: "identify", Received: 1},
		{Type: "track", Received: 5, Dropped: map[string]int{"not_forwarded": 4, "repeated": 1}},
		{Type: Other, Received: 1, Dropped: map[string]int{"invalid_type": 1}},
	}
	if diff := cmp.Diff(want, m.Door()); diff != "" {
		t.Error(diff)
	}
	if page := scrape(t, m); !strings.Contains(page, `freshrelay_events_total{outcome="dropped",reason="not_forwarded",type="track"} 4`) {
		t.Error("the metrics say something else")
	}
}

package metrics

import (
	"testing"
	"time"
)

// BenchmarkEvent is everything that is counted on the way of one event that comes alone, is stored alone, costs one call and
// is delivered: what metrics cost an event at most.
func BenchmarkEvent(b *testing.B) {
	m := New()
	m.Sources("website")
	b.ReportAllocs()
	for b.Loop() {
		m.EventReceived("website", "identify", 1)
		m.RequestServed(200, time.Millisecond)
		m.Published(time.Millisecond, 1)
		m.APICall("update_contact", 200, 100*time.Millisecond)
		m.Attempted(WaySingle, AttemptDone)
		m.UnmappedTraits(1)
		m.HeldStale(0)
		m.FieldsCleared(1)
		m.Committed(time.Millisecond, 1)
		m.EventSettled("identify", OutcomeDelivered, "", 1)
		m.Delivered(time.Second, time.Minute)
	}
}

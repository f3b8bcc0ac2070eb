package ingest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/segment"
)

// What a source names is stored for the log of activities; everything else is dropped as before, and screen always is.
func TestNamedCallsAreForwarded(t *testing.T) {
	t.Parallel()
	cfg := ingest.Config{Sources: sources()}
	cfg.Sources[0].Forward = func(typ segment.Type, name string) bool {
		return typ == segment.Track && name == "Order Completed" || typ == segment.Page && name == "" || typ == segment.Screen
	}
	d := newDoorWith(t, cfg)
	wantOK(t, d.post("/v1/batch", `{"batch":[
		{"type":"track","messageId":"a","userId":"u","event":"Order Completed"}, {"type":"identify","messageId":"b","userId":"u","traits":{"email":"a@x.test"}},
		{"type":"track","userId":"u","event":"Order Viewed"}, {"type":"track","userId":"u","name":"Order Completed"}, {"type":"track","userId":"u","event":{"a":1}},
		{"type":"page","messageId":"c","userId":"u"}, {"type":"page","userId":"u","name":"Home"}, {"type":"screen","userId":"u"}
	]}`))
	wantOK(t, d.post("/v1/track", `{"messageId":"d","userId":"u","event":"Order Completed"}`))
	wantOK(t, d.do(request("/webhook/website", `{"type":"track","messageId":"e","userId":"u","event":"Order Completed"}`, basic(key))))
	got := map[string]bool{}
	for i, r := range d.store.stored(t) {
		got[r.MessageID] = d.store.entries[i].Activity
	}
	if diff := cmp.Diff(map[string]bool{"a": true, "b": false, "c": true, "d": true, "e": true}, got); diff != "" {
		t.Errorf("stored, and whether as activities (-want +got):\n%s", diff)
	}
	d.wantCounted(t, dropped("track", "not_forwarded"), "3")
	d.wantCounted(t, dropped("page", "not_forwarded"), "1")
	d.wantCounted(t, dropped("screen", "screen"), "1")
}

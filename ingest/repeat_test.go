package ingest_test

import (
	"fmt"
	"testing"

	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/queue"
)

// A client that got no answer sends the same call again. It is dropped only if the first one is on disk: otherwise there
// would be none.
func TestAQuickRepeatIsStoredOnce(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	const body = `{"batch":[{"type":"identify","userId":"ann","messageId":"m-1"},{"type":"identify","userId":"ann","messageId":"m-2"}]}`
	d.store.err = fmt.Errorf("publish: %w", queue.ErrUnavailable)
	wantRefused(t, d.post("/v1/batch", body), 503, "queue_unavailable")
	d.store.err = nil
	wantOK(t, d.post("/v1/batch", body))
	if n := len(d.store.stored(t)); n != 2 {
		t.Fatalf("%d calls are stored after one try failed and one did not", n)
	}
	wantOK(t, d.post("/v1/batch", body))
	wantOK(t, d.post("/v1/identify", `{"userId":"ann","messageId":"m-1"}`))
	if n := len(d.store.stored(t)); n != 2 {
		t.Errorf("%d calls are stored after the repeats", n)
	}
	d.wantCounted(t, dropped("identify", ingest.DropRepeated), "3")
	for _, other := range []string{`{"userId":"bob","messageId":"m-1"}`, `{"userId":"ann","messageId":"m-3"}`, `{"userId":"ann"}`, `{"userId":"ann"}`} {
		wantOK(t, d.post("/v1/identify", other))
	}
	if n := len(d.store.stored(t)); n != 6 {
		t.Errorf("%d calls are stored, with four of others", n)
	}
}

package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// hoarder copies what it is given, as a store does. Every third time it fails, and then keeps the bytes themselves: a store
// that did not answer in time may still store them.
type hoarder struct {
	mu      sync.Mutex
	calls   int
	entries []queue.Entry
	then    []string // what the bytes were
}

func (s *hoarder) Publish(_ context.Context, entries []queue.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	fails := s.calls%3 == 0
	for _, e := range entries {
		s.then = append(s.then, string(e.Data))
		if !fails {
			e.Data = bytes.Clone(e.Data)
		}
		s.entries = append(s.entries, e)
	}
	if fails {
		return fmt.Errorf("%w: in time", queue.ErrUnavailable)
	}
	return nil
}

// TestWhatIsStoredIsNobodyElses sends requests of all kinds and sizes at the same time, whose memory the door uses again
// and again, and then looks at what the store was given.
func TestWhatIsStoredIsNobodyElses(t *testing.T) {
	t.Parallel()
	store := &hoarder{}
	h, err := ingest.New(ingest.Config{Sources: sources()}, store, metrics.New(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	d := &door{Handler: h}
	var all sync.WaitGroup
	for sender := range 8 {
		all.Go(func() {
			for n := range 60 {
				for _, r := range requestsOf(t, fmt.Sprintf("u-%d-%d", sender, n), 7*n) {
					if w := d.do(r); w.Code != http.StatusOK && w.Code != http.StatusServiceUnavailable && w.Code != http.StatusBadRequest {
						t.Errorf("answer = %d %s", w.Code, w.Body)
					}
				}
			}
		})
	}
	all.Wait()
	// Of every turn: a single event, two of a batch, one and one of webhooks, and one that was packed.
	if got, want := len(store.entries), 8*60*6; got != want {
		t.Fatalf("%d events stored, want %d", got, want)
	}
	for i, e := range store.entries {
		if string(e.Data) != store.then[i] {
			t.Fatalf("event %d was changed after it was stored:\n%s\nit was\n%s", i, e.Data, store.then[i])
		}
		r, err := segment.Decode(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		// All that is said of a user is in his event, and nothing of anybody else.
		user, _, _ := strings.Cut(e.UserID, "/")
		if r.UserID != e.UserID || r.MessageID != "m-"+e.UserID || strings.Count(string(r.Body), user) != strings.Count(string(r.Body), "u-") {
			t.Fatalf("event of %q is %q of %q:\n%s", e.UserID, r.MessageID, r.UserID, r.Body)
		}
	}
	if held := h.Held(); held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
}

// requestsOf is one request of each kind about a user, whose events have so many bytes of padding, and two that are refused.
func requestsOf(t *testing.T, user string, padding int) []*http.Request {
	t.Helper()
	event := func(part string) string {
		user := user + "/" + part
		return fmt.Sprintf(`{"type":"identify","userId":%q,"messageId":"m-%s","writeKey":"wk","traits":{"a":"%s%s"}}`, user, user, strings.Repeat("x", padding), user)
	}
	batch := `{"batch":[` + event("b1") + `,null,` + event("b2") + `],"context":{"by":"` + user + `"}}`
	wrapped := `[{"json":` + event("w2") + `}]`
	return []*http.Request{
		request("/v1/identify", event("s"), basic(key)),
		request("/v1/identify", event("s")[1:], basic(key)),
		request("/v1/batch", batch, basic(key)),
		request("/v1/batch", batch[:len(batch)-1], basic(key)),
		request("/webhook/signed", event("w1"), sign(secret, event("w1"))),
		request("/webhook/signed", wrapped, sign(secret, event("w2"))),
		request("/v1/identify", zip(t, event("z")), basic(key), header("Content-Encoding", "gzip")),
	}
}

// TestAVisitLetsGo makes sure that a request does not find in its memory what an earlier one left there.
func TestAVisitLetsGo(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for range 50 {
		d.store.err = errors.New("not now")
		d.post("/v1/batch", `{"batch":[{"type":"identify","userId":"left"},{"type":"nothing"}]}`)
		d.store.err = nil
		wantOK(t, d.post("/v1/batch", `{"batch":[]}`))
		wantOK(t, d.post("/v1/identify", `{"userId":"u-1"}`))
	}
	for _, r := range d.store.stored(t) {
		if r.UserID != "u-1" || string(r.Body) != `{"userId":"u-1","type":"identify"}` {
			t.Fatalf("stored %s", r.Body)
		}
	}
	d.wantCounted(t, dropped("", "invalid_type"), "none")
	d.wantCounted(t, `freshrelay_events_received_total{source="website",type="identify"}`, "50")
}

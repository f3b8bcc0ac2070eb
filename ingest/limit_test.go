package ingest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

func limited(rate float64) []ingest.Source {
	return []ingest.Source{
		{Name: "website", WriteKeys: []string{key}, RatePerSecond: rate},
		{Name: "other", WriteKeys: []string{"wk_other"}},
	}
}

func batchOf(n int) string {
	return `{"batch":[` + strings.TrimSuffix(strings.Repeat(`{"type":"group"},`, n), ",") + `]}`
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDoorWith(t, ingest.Config{Sources: limited(10)})
		wantLimited := func(w *httptest.ResponseRecorder, wait time.Duration) {
			t.Helper()
			wantRefused(t, w, http.StatusTooManyRequests, "rate_limited")
			if got := w.Header().Get("Retry-After"); got != strconv.Itoa(int(wait/time.Second)) {
				t.Errorf("Retry-After = %s, want %v", got, wait)
			}
			if w.Header().Get("X-Ratelimit-Reset") != "" {
				t.Error("clients read X-RateLimit-Reset in ways that contradict each other")
			}
		}
		// A second's worth at once; screen calls are dropped, but not for nothing.
		for range 5 {
			wantOK(t, d.post("/v1/identify", `{}`))
			wantOK(t, d.post("/v1/screen", `{}`))
		}
		wantLimited(d.post("/v1/identify", `{}`), time.Second)
		wantOK(t, d.do(request("/v1/identify", `{}`, basic("wk_other"))))
		time.Sleep(100 * time.Millisecond)
		wantOK(t, d.post("/v1/identify", `{}`))
		wantLimited(d.post("/v1/identify", `{}`), time.Second)

		// A batch larger than the burst goes in whole, and the next waits for what it took too much: 90 of 10 a second.
		time.Sleep(time.Minute)
		wantOK(t, d.post("/v1/batch", batchOf(100)))
		for _, r := range []*http.Request{
			request("/v1/identify", `{}`, basic(key)),                            // known before the body
			request("/v1/identify", `{"writeKey":"`+key+`"}`),                    // known after it
			request("/webhook/website", `[]`, basic(key)),                        // known by the path
			request("/v1/batch", `{"batch":[{"writeKey":"`+key+`"}]}`),           // known by the first event
			request("/v1/identify", "", basic(key), broken(io.ErrUnexpectedEOF)), // not read at all
		} {
			wantLimited(d.do(r), 10*time.Second)
		}
		time.Sleep(9 * time.Second)
		wantLimited(d.post("/v1/identify", `{}`), time.Second)
		time.Sleep(time.Second)
		wantOK(t, d.post("/v1/identify", `{}`))

		// Nobody waits longer than clients do.
		time.Sleep(time.Minute)
		for range 3 {
			d.post("/v1/batch", batchOf(2500))
			time.Sleep(time.Second)
		}
		wantOK(t, d.post("/v1/m", `{}`))
		time.Sleep(250 * time.Second)
		wantOK(t, d.post("/v1/batch", batchOf(2500)))
		d.post("/v1/batch", batchOf(1)) // refused, and charged nothing
		if got := len(d.store.stored(t)); got != 5+1+1+100+1+2500+2500 {
			t.Errorf("%d events stored", got)
		}
		d.wantCounted(t, `freshrelay_requests_rejected_total{reason="rate_limited"}`, "11")
	})
}

func TestRateBelowOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDoorWith(t, ingest.Config{Sources: limited(0.1)})
		wantOK(t, d.post("/v1/batch", batchOf(61)))
		w := d.post("/v1/identify", `{}`)
		wantRefused(t, w, http.StatusTooManyRequests, "rate_limited")
		if got := w.Header().Get("Retry-After"); got != "300" {
			t.Errorf("Retry-After = %s, want 300, of the 610 it takes", got)
		}
	})
}

// counting is a body of any size that says how much of it was read.
type counting struct {
	left, read int
	piece      string
}

func (c *counting) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && c.left > 0 {
		from := c.piece[(c.read+n)%len(c.piece):]
		m := copy(p[n:min(len(p), n+c.left)], from)
		n, c.left = n+m, c.left-m
	}
	c.read += n
	return n, nil
}

// stuck is a store that has stopped answering.
type stuck struct{ entered, leave chan struct{} }

func (s stuck) Publish(context.Context, []queue.Entry) error {
	s.entered <- struct{}{}
	<-s.leave
	return nil
}

// TestMemoryOfAllRequests fills the memory with requests that wait for the store, and sees that the next is sent away,
// and that all of it comes back.
func TestMemoryOfAllRequests(t *testing.T) {
	t.Parallel()
	const room = 32 << 20
	store := stuck{make(chan struct{}), make(chan struct{})}
	m := metrics.New()
	h, err := ingest.New(ingest.Config{Sources: sources(), BodyMemory: room}, store, m, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	// Each holds its body, at most 12 MB with the room to grow, and its 24 events once more.
	events := strings.TrimSuffix(strings.Repeat(`{"type":"group","traits":"`+strings.Repeat("x", 300<<10)+`"},`, 24), ",")
	answers := make(chan int, 8)
	send := func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request("/webhook/website", "["+events+"]", basic(key)))
		answers <- w.Code
	}
	waiting := 0
	for {
		go send()
		select {
		case <-store.entered:
			waiting++
			continue
		case code := <-answers:
			if code != http.StatusServiceUnavailable {
				t.Fatalf("answer = %d", code)
			}
		}
		break
	}
	if waiting < 1 || waiting*len(events)*2 > room {
		t.Errorf("%d requests of %d bytes fitted into %d", waiting, len(events), room)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request("/webhook/website", "["+events+"]", basic(key)))
	wantRefused(t, w, http.StatusServiceUnavailable, "overloaded")
	if got := w.Header().Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After = %q", got)
	}
	for range waiting {
		store.leave <- struct{}{}
		if code := <-answers; code != http.StatusOK {
			t.Errorf("answer = %d", code)
		}
	}
	go send()
	<-store.entered
	store.leave <- struct{}{}
	if code := <-answers; code != http.StatusOK {
		t.Errorf("answer = %d after the others had gone: their memory is still taken", code)
	}
}

func TestBodyMemoryMustFitOne(t *testing.T) {
	t.Parallel()
	if _, err := ingest.New(ingest.Config{BodyMemory: 1 << 20}, &memory{}, metrics.New(), zap.NewNop()); err == nil {
		t.Error("accepted memory in which the largest request would never fit")
	}
	// The largest one fits: 8 MB in 10,000 events.
	d := newDoorWith(t, ingest.Config{Sources: sources(), BodyMemory: 32 << 20})
	one := `{"type":"group","traits":"` + strings.Repeat("x", 800) + `"}`
	wantOK(t, d.do(request("/webhook/website", "["+strings.TrimSuffix(strings.Repeat(one+",", 10_000), ",")+"]", basic(key))))
}

func TestLimitListener(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := ingest.LimitListener(inner, 2)
	accepted := make(chan net.Conn)
	done := make(chan error, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				done <- err
				return
			}
			accepted <- conn
		}
	}()
	dial := func() {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	for range 3 {
		dial()
	}
	first, second := <-accepted, <-accepted
	select {
	case <-accepted:
		t.Error("a third connection was let in")
	default:
	}
	_, _ = first.Close(), first.Close() // the second time is nobody's place
	third := <-accepted
	select {
	case <-accepted:
		t.Error("closing twice made room for two")
	default:
	}
	// All places are taken: closing must still end Accept.
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("Accept returned without an error")
	}
	_, _ = second.Close(), third.Close()
}

// TestNoMemoryForWhatIsNotJSON makes sure that nobody is told to repeat what can never be stored.
func TestNoMemoryForWhatIsNotJSON(t *testing.T) {
	t.Parallel()
	d := newDoorWith(t, ingest.Config{Sources: sources(), BodyMemory: 32 << 20})
	// By its colons it might have more keys than there is memory for.
	colons := strings.Repeat(":", 400<<10)
	wantRefused(t, d.post("/v1/batch", `{"batch":[`+colons), http.StatusBadRequest, "malformed_json")
	wantRefused(t, d.post("/v1/batch", `{"batch":["`+colons+`"]}`), http.StatusServiceUnavailable, "overloaded")
	if held := d.Held(); held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
}

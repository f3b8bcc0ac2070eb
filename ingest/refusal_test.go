package ingest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	const m = `"` + marker + `"`
	tests := map[string]struct {
		request *http.Request
		status  int
		code    string
		reason  string
	}{
		"root":                 {request("/", m), 404, "not_found", "not_found"},
		"unknown path":         {request("/v1/"+marker, m), 404, "not_found", "not_found"},
		"other version":        {request("/v2/identify", m), 404, "not_found", "not_found"},
		"two slashes":          {request("/v1/identify//", m), 404, "not_found", "not_found"},
		"unknown source":       {request("/webhook/"+marker, m), 404, "not_found", "not_found"},
		"no source":            {request("/webhook/", m), 404, "not_found", "not_found"},
		"below a source":       {request("/webhook/website/"+marker, m, basic(key)), 404, "not_found", "not_found"},
		"tracking, get":        {request("/v1/identify", "", method("GET")), 405, "method_not_allowed", "method"},
		"tracking, put":        {request("/v1/batch", `{}`, method("PUT")), 405, "method_not_allowed", "method"},
		"webhook, get":         {request("/webhook/website", "", method("GET")), 405, "method_not_allowed", "method"},
		"webhook, delete":      {request("/webhook/website", "", method("DELETE"), basic(key)), 405, "method_not_allowed", "method"},
		"empty":                {request("/v1/identify", "", basic(key)), 400, "malformed_json", "malformed"},
		"text":                 {request("/v1/identify", marker, basic(key)), 400, "malformed_json", "malformed"},
		"cut":                  {request("/v1/identify", `{"traits":{"email":`+m, basic(key)), 400, "malformed_json", "malformed"},
		"android's hole":       {request("/v1/batch", `{"batch":[{}, ,{}]}`, basic(key)), 400, "malformed_json", "malformed"},
		"two values":           {request("/v1/identify", `{} `+m, basic(key)), 400, "malformed_json", "malformed"},
		"malformed webhook":    {request("/webhook/website", `[{"a":`+m+`},]`, basic(key)), 400, "malformed_json", "malformed"},
		"form":                 {request("/v1/identify", "data="+marker, basic(key), header("Content-Type", "application/x-www-form-urlencoded")), 400, "malformed_json", "malformed"},
		"string":               {request("/v1/identify", m, basic(key)), 400, "not_an_object", "invalid"},
		"array":                {request("/v1/identify", `[`+m+`]`, basic(key)), 400, "not_an_object", "invalid"},
		"null webhook":         {request("/webhook/website", `null`, basic(key)), 400, "not_an_object", "invalid"},
		"no batch":             {request("/v1/batch", `{"a":`+m+`}`, basic(key)), 400, "invalid_batch", "invalid"},
		"batch of no array":    {request("/v1/batch", `{"batch":{"a":`+m+`}}`, basic(key)), 400, "invalid_batch", "invalid"},
		"brotli":               {request("/v1/identify", m, basic(key), header("Content-Encoding", "br")), 400, "unsupported_encoding", "encoding"},
		"gzip twice":           {request("/v1/identify", m, basic(key), header("Content-Encoding", "gzip, gzip")), 400, "unsupported_encoding", "encoding"},
		"not gzip":             {request("/v1/identify", m, basic(key), header("Content-Encoding", "gzip")), 400, "malformed_gzip", "encoding"},
		"empty gzip":           {request("/v1/identify", "", basic(key), header("Content-Encoding", "gzip")), 400, "malformed_gzip", "encoding"},
		"gzip cut":             {request("/v1/identify", zip(t, `{"a":`+m+`}`)[:25], basic(key), header("Content-Encoding", "gzip")), 400, "malformed_gzip", "encoding"},
		"gzip damaged":         {request("/v1/identify", zip(t, `{}`)[:20]+"\x00\x00\x00\x00\x00\x00\x00\x00", basic(key), header("Content-Encoding", "gzip")), 400, "malformed_gzip", "encoding"},
		"nested beyond reason": {request("/v1/batch", `{"batch":`+strings.Repeat("[", 100_000), basic(key)), 400, "malformed_json", "malformed"},
		"webhook too large":    {request("/webhook/website", `{"a":"`+strings.Repeat("x", 9<<20)+`"}`, basic(key)), 413, "payload_too_large", "too_large"},
		"connection cut":       {request("/v1/identify", "", basic(key), broken(io.ErrUnexpectedEOF)), 400, "incomplete_body", "aborted"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			w := d.do(tt.request)
			wantRefused(t, w, tt.status, tt.code)
			if got := w.Header().Get("Allow"); (got != "") != (tt.status == http.StatusMethodNotAllowed) {
				t.Errorf("Allow = %q", got)
			}
			if n := len(d.store.stored(t)); n != 0 {
				t.Errorf("%d events stored", n)
			}
			d.wantCounted(t, `freshrelay_requests_rejected_total{reason="`+tt.reason+`"}`, "1")
			wantNoContent(t, d, w)
		})
	}
}

func broken(err error) option {
	return func(r *http.Request) {
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"a":`), failing{err}))
		r.ContentLength = -1
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// wantNoContent looks for what was sent in the answer and in the log.
func wantNoContent(t *testing.T, d *door, w *httptest.ResponseRecorder) {
	t.Helper()
	shown := w.Body.String()
	for _, entry := range d.logs.All() {
		shown += fmt.Sprintln(entry.Message, entry.ContextMap())
	}
	for _, private := range []string{marker, key, secret, "@", "wk_"} {
		if strings.Contains(shown, private) {
			t.Errorf("%q is shown in:\n%s", private, shown)
		}
	}
}

func TestNothingOfACallIsShown(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	event := `{"type":"identify","userId":"` + marker + `","messageId":"` + marker + `","traits":{"email":"` + marker + `@example.test"}}`
	requests := []*http.Request{
		request("/v1/identify", event, basic(key)),
		request("/v1/batch", `{"batch":[`+event+`,{"type":"`+marker+`"}]}`, basic(key)),
		request("/webhook/signed", event, sign(secret, event)),
		request("/webhook/signed", event, sign(marker, event)),
		request("/v1/identify", event, basic(marker)),
		request("/v1/identify", event[:len(event)-1], basic(key)),
	}
	for _, r := range requests {
		wantNoContent(t, d, d.do(r))
	}
	d.store.err = queue.ErrUnavailable
	another := strings.Replace(event, `"messageId":"`, `"messageId":"2-`, 1)
	w := d.do(request("/v1/identify", another, basic(key)))
	wantRefused(t, w, http.StatusServiceUnavailable, "queue_unavailable")
	wantNoContent(t, d, w)
	if d.logs.FilterMessage("request not stored").Len() != 1 || d.logs.FilterMessage("request not authenticated").Len() != 2 {
		t.Errorf("log = %v", d.logs.All())
	}
}

func TestStoreFails(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err        error
		status     int
		code       string
		retryAfter string
		reason     string
	}{
		"full":        {fmt.Errorf("publish: %w", queue.ErrFull), 503, "queue_full", "30", "full"},
		"unavailable": {fmt.Errorf("publish: %w", queue.ErrUnavailable), 503, "queue_unavailable", "5", "unavailable"},
		"deadline":    {context.DeadlineExceeded, 503, "queue_unavailable", "5", "unavailable"},
		"unknown":     {errDisk, 503, "queue_unavailable", "5", "unavailable"},
		"too large":   {queue.ErrTooLarge, 400, "payload_too_large", "", "too_large"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			d.store.err = tt.err
			const body = `{"batch":[{"type":"identify"},{"type":"track"}]}`
			w := d.post("/v1/batch", body)
			wantRefused(t, w, tt.status, tt.code)
			if got := w.Header().Get("Retry-After"); got != tt.retryAfter {
				t.Errorf("Retry-After = %q, want %q", got, tt.retryAfter)
			}
			d.wantCounted(t, `freshrelay_requests_rejected_total{reason="`+tt.reason+`"}`, "1")
			// The sender will repeat it: what was dropped must not be counted twice.
			d.wantCounted(t, dropped("track", "not_forwarded"), "0")
			d.store.err = nil
			wantOK(t, d.post("/v1/batch", body))
			d.wantCounted(t, dropped("track", "not_forwarded"), "1")
		})
	}
}

func TestStoreHangs(t *testing.T) {
	t.Parallel()
	for configured, want := range map[time.Duration]time.Duration{0: 4 * time.Second, time.Second: time.Second} {
		synctest.Test(t, func(t *testing.T) {
			h, err := ingest.New(ingest.Config{Sources: sources(), StoreTimeout: configured},
				&memory{hang: true}, metrics.New(), zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			start, w := time.Now(), httptest.NewRecorder()
			h.ServeHTTP(w, request("/v1/identify", `{}`, basic(key)))
			wantRefused(t, w, http.StatusServiceUnavailable, "queue_unavailable")
			if took := time.Since(start); took != want {
				t.Errorf("answered after %v, want %v", took, want)
			}
		})
	}
}

func TestSenderHangsUp(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantOK(t, d.do(request("/v1/identify", `{}`, basic(key)).WithContext(ctx)))
	d.store.only(t)
}

func TestWrongKeyIsRefusedBeforeTheBody(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	unread := broken(errors.New("the body was read"))
	for _, r := range []*http.Request{
		request("/v1/batch", "", basic(marker), unread),
		request("/webhook/website", "", basic(marker), unread),
		request("/webhook/signed", "", unread),
	} {
		if w := d.do(r); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: answer = %d %s", r.URL.Path, w.Code, w.Body)
		}
	}
}

func TestMetricsKnowTheReasons(t *testing.T) {
	t.Parallel()
	for _, reason := range ingest.DropReasons() {
		if !slices.Contains(metrics.Reasons(metrics.OutcomeDropped), reason) {
			t.Errorf("metrics does not list %q and would count it as other", reason)
		}
	}
}

func TestLogsFoldRepeats(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for range 100 {
		d.do(request("/v1/identify", `{}`, basic(marker)))
	}
	if n := d.logs.Len(); n == 0 || n > 10 {
		t.Errorf("%d lines for 100 repeats", n)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string][]ingest.Source{
		"a name with a slash": {{Name: "a/b", WriteKeys: []string{"k"}}},
		"no name":             {{WriteKeys: []string{"k"}}},
		"dots":                {{Name: "..", WriteKeys: []string{"k"}}},
		"same name":           {{Name: "a", WriteKeys: []string{"k"}}, {Name: "a", WriteKeys: []string{"l"}}},
		"nothing to check":    {{Name: "a"}},
		"no token to require": {{Name: "a", WebhookSecrets: []string{"s"}, RequireBatchToken: true}},
		"a token for a key":   {{Name: "a", WriteKeys: []string{"k"}, BatchToken: token}},
		"a short token":       {{Name: "a", WebhookSecrets: []string{"s"}, BatchToken: marker[:12]}},
		"a token with slash":  {{Name: "a", WebhookSecrets: []string{"s"}, BatchToken: marker + "/" + marker}},
		"a negative rate":     {{Name: "a", WriteKeys: []string{"k"}, RatePerSecond: -1}},
		"an endless rate":     {{Name: "a", WriteKeys: []string{"k"}, RatePerSecond: math.Inf(1)}},
		"a rate of nothing":   {{Name: "a", WriteKeys: []string{"k"}, RatePerSecond: math.NaN()}},
		"no integration":      {{Name: "a", WriteKeys: []string{"k"}, IntegrationNames: []string{"Relay", ""}}},
		"every integration":   {{Name: "a", WriteKeys: []string{"k"}, IntegrationNames: []string{"all"}}},
		"same key":            {{Name: "a", WriteKeys: []string{marker}}, {Name: "b", WriteKeys: []string{marker}}},
		"empty key":           {{Name: "a", WriteKeys: []string{" "}}},
		"empty secret":        {{Name: "a", WebhookSecrets: []string{""}}},
	}
	for name, list := range tests {
		_, err := ingest.New(ingest.Config{Sources: list}, &memory{}, metrics.New(), zap.NewNop())
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), marker) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
	if _, err := ingest.New(ingest.Config{}, nil, metrics.New(), zap.NewNop()); err == nil {
		t.Error("accepted without a store")
	}
}

// TestServer speaks to a real listener, where a body can be slow or broken off.
func TestServer(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	server := ingest.NewServer("", d, zap.NewNop())
	if server.ReadHeaderTimeout <= 0 || server.ReadTimeout <= 0 || server.IdleTimeout <= 0 || server.MaxHeaderBytes <= 0 ||
		server.WriteTimeout <= server.ReadTimeout+4*time.Second {
		t.Errorf("server without limits, or without time to answer: %+v", server)
	}
	address, soon := serve(t, d, 8, patient), serve(t, d, 8, impatient)
	tests := map[string]struct {
		send   string
		finish bool // close our side
		status int
	}{
		"whole":  {"Content-Length: 2\r\n\r\n{}", false, http.StatusOK},
		"slow":   {"Content-Length: 9\r\n\r\n{", false, http.StatusRequestTimeout},
		"cut":    {"Content-Length: 9\r\n\r\n{", true, http.StatusBadRequest},
		"chunks": {"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}", true, http.StatusBadRequest},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			to := address
			if name == "slow" {
				to = soon
			}
			conn, err := net.Dial("tcp", to)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			r := request("/v1/identify", "", basic(key))
			_, err = fmt.Fprintf(conn, "POST /v1/identify HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n%s",
				r.Header.Get("Authorization"), tt.send)
			if err != nil {
				t.Fatal(err)
			}
			if tcp, ok := conn.(*net.TCPConn); ok && tt.finish {
				if err := tcp.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			answer, err := http.ReadResponse(bufio.NewReader(conn), r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = answer.Body.Close() }()
			if answer.StatusCode != tt.status {
				t.Errorf("status = %d, want %d", answer.StatusCode, tt.status)
			}
		})
	}
}

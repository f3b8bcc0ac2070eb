package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

const (
	key    = "wk_website"
	secret = "s3cr3t-demo" // the vectors' secret
	token  = "batch-token-0123456789"
	// marker stands wherever a request can carry content. It must never come back.
	marker = "zq-private-zq"
)

// memory is a Store that keeps what it is given, or fails.
type memory struct {
	mu      sync.Mutex
	entries []queue.Entry
	calls   int
	err     error
	hang    bool // wait for the end of the context
}

func (s *memory) Publish(ctx context.Context, entries []queue.Entry) error {
	if s.hang {
		<-ctx.Done()
		return fmt.Errorf("%w: %w", queue.ErrUnavailable, ctx.Err())
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.err != nil {
		return s.err
	}
	for _, e := range entries {
		e.Data = bytes.Clone(e.Data) // the door uses its memory again
		s.entries = append(s.entries, e)
	}
	return nil
}

// stored returns what was stored, decoded.
func (s *memory) stored(t *testing.T) []segment.Received {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]segment.Received, len(s.entries))
	for i, e := range s.entries {
		r, err := segment.Decode(e.Data)
		if err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		if r.UserID != e.UserID {
			t.Errorf("entry %d: lane of %q, event of %q", i, e.UserID, r.UserID)
		}
		list[i] = r
	}
	return list
}

// only returns the one event that was stored.
func (s *memory) only(t *testing.T) segment.Received {
	t.Helper()
	list := s.stored(t)
	if len(list) != 1 {
		t.Fatalf("%d events stored, want 1", len(list))
	}
	return list[0]
}

// door is a handler with all that surrounds it.
type door struct {
	*ingest.Handler
	store   *memory
	metrics *metrics.Metrics
	logs    *observer.ObservedLogs
}

func sources() []ingest.Source {
	return []ingest.Source{
		{Name: "website", WriteKeys: []string{key, "wk_second"}},
		{Name: "signed", WriteKeys: []string{"wk_signed"}, WebhookSecrets: []string{"new-secret", secret}},
		{Name: "secret-only", WebhookSecrets: []string{secret}},
		{Name: "tokened", WebhookSecrets: []string{secret}, BatchToken: token},
		{Name: "strict", WebhookSecrets: []string{secret}, BatchToken: token, RequireBatchToken: true},
	}
}

func newDoor(t testing.TB) *door {
	t.Helper()
	return newDoorWith(t, ingest.Config{Sources: sources()})
}

func newDoorWith(t testing.TB, cfg ingest.Config) *door {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	d := &door{store: &memory{}, metrics: metrics.New(), logs: logs}
	h, err := ingest.New(cfg, d.store, d.metrics, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	d.Handler = h
	return d
}

func (d *door) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

// post sends a body with the write key of website.
func (d *door) post(path, body string) *httptest.ResponseRecorder {
	return d.do(request(path, body, basic(key)))
}

type option func(*http.Request)

func request(path, body string, options ...option) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	for _, o := range options {
		o(r)
	}
	return r
}

func header(name, value string) option {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func basic(key string) option {
	return header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(key+":")))
}

func method(m string) option { return func(r *http.Request) { r.Method = m } }

func sign(secret, part string) option {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(part))
	return header("X-Signature", hex.EncodeToString(mac.Sum(nil)))
}

func zip(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// bombOf is a gzip of so many megabytes of blanks, in members of one each.
func bombOf(t testing.TB, megabytes int) string {
	t.Helper()
	return strings.Repeat(zip(t, strings.Repeat(" ", 1<<20)), megabytes)
}

func wantOK(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code != http.StatusOK || w.Body.String() != `{"success":true}` {
		t.Fatalf("answer = %d %s", w.Code, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("content type = %q", got)
	}
}

// wantRefused checks status and code, and that the answer has the shape every client can read.
func wantRefused(t *testing.T, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("answer %d is not JSON: %v\n%s", w.Code, err, w.Body)
	}
	if w.Code != status || body["code"] != code {
		t.Fatalf("answer = %d %s, want %d %s", w.Code, w.Body, status, code)
	}
	message, _ := body["message"].(string)
	if body["success"] != false || len(message) < 20 || body["error"] != message || len(body) != 4 {
		t.Errorf("answer = %s", w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("content type = %q", got)
	}
}

// counted reads a series of the metrics; series is name and labels as Prometheus writes them.
func (d *door) counted(t *testing.T, series string) string {
	t.Helper()
	w := httptest.NewRecorder()
	d.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "none"
}

// dropped is the series of dropped events.
func dropped(typ, reason string) string {
	return fmt.Sprintf(`freshrelay_events_total{outcome="dropped",reason=%q,type=%q}`, reason, typ)
}

func (d *door) wantCounted(t *testing.T, series, want string) {
	t.Helper()
	if got := d.counted(t, series); got != want {
		t.Errorf("%s = %s, want %s", series, got, want)
	}
}

func sample(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "segment", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var errDisk = errors.New("no space left on device")

package ingest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// hostile is a request that a broken or ill-meaning sender could make, and the answer it must get.
type hostile struct {
	name    string
	request *http.Request
	want    answer
}

// answer is what the door does about a request.
type answer struct {
	status  int
	code    string // of a refusal
	reason  string // of a refusal or of dropped events
	dropped int
	typ     string // of the dropped events
	stored  int
}

func refused(status int, code, reason string) answer {
	return answer{status: status, code: code, reason: reason}
}

// The refusals that occur most.
var (
	malformed    = refused(400, "malformed_json", "malformed")
	noObject     = refused(400, "not_an_object", "invalid")
	noBatch      = refused(400, "invalid_batch", "invalid")
	tooLarge     = refused(400, "payload_too_large", "too_large")
	tooLargeHook = refused(413, "payload_too_large", "too_large")
	tooComplex   = refused(400, "too_complex", "invalid")
	notFound     = refused(404, "not_found", "not_found")
	wrongMethod  = refused(405, "method_not_allowed", "method")
	noKey        = refused(401, "missing_write_key", "unauthorized")
	wrongKey     = refused(401, "unknown_write_key", "unauthorized")
	badBasic     = refused(401, "bad_authorization", "unauthorized")
	noSignature  = refused(401, "missing_signature", "bad_signature")
	badSignature = refused(401, "bad_signature", "bad_signature")
	badEncoding  = refused(400, "unsupported_encoding", "encoding")
	badGzip      = refused(400, "malformed_gzip", "encoding")
	cutOff       = refused(400, "incomplete_body", "aborted")
)

// harmless is a request that is taken in although it looks odd.
func harmless(stored int) answer { return answer{status: 200, stored: stored} }

// droppedAs is a request that is answered with success and whose events are not stored.
func droppedAs(n int, typ, reason string) answer {
	return answer{status: 200, dropped: n, typ: typ, reason: reason}
}

func (a answer) and(stored int) answer {
	a.stored = stored
	return a
}

// identifyWith, batchWith and hookWith send a body with a valid key.
func identifyWith(body string, options ...option) *http.Request {
	return request("/v1/identify", body, append([]option{basic(key)}, options...)...)
}

func batchWith(body string, options ...option) *http.Request {
	return request("/v1/batch", body, append([]option{basic(key)}, options...)...)
}

func hookWith(body string, options ...option) *http.Request {
	return request("/webhook/website", body, append([]option{basic(key)}, options...)...)
}

func signedHook(body, part string, options ...option) *http.Request {
	return request("/webhook/signed", body, append([]option{sign(secret, part)}, options...)...)
}

// TestHostileRequests sends each hostile request to a door of its own. Whatever it is, the answer is as specified and
// never a 5xx, nothing of it is shown, no memory stays taken, and the next request is served as if nothing had been.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	var all []hostile
	for _, list := range [][]hostile{
		hostilePaths(), hostileKeys(), hostileSignatures(), hostileJSON(), hostileShapes(t), hostileEvents(), hostileEncodings(t),
	} {
		all = append(all, list...)
	}
	if len(all) < 150 {
		t.Errorf("only %d hostile requests, want 150", len(all))
	}
	names := map[string]bool{}
	for _, c := range all {
		if names[c.name] {
			t.Errorf("two cases are called %q", c.name)
		}
		names[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t)
		})
	}
}

func (c hostile) test(t *testing.T) {
	t.Helper()
	d := newDoor(t)
	w := d.do(c.request)
	if w.Code >= 500 {
		t.Fatalf("answer = %d %s", w.Code, w.Body)
	}
	wantNoContent(t, d, w)
	if c.want.status == http.StatusOK {
		wantOK(t, w)
	} else {
		wantRefused(t, w, c.want.status, c.want.code)
		d.wantCounted(t, `freshrelay_requests_rejected_total{reason="`+c.want.reason+`"}`, "1")
	}
	if c.want.dropped > 0 {
		d.wantCounted(t, dropped(c.want.typ, c.want.reason), itoa(c.want.dropped))
	}
	for _, r := range d.store.stored(t) {
		if _, err := r.Event(); err != nil {
			t.Errorf("stored what no lane can read: %v", err)
		}
	}
	if got := len(d.store.entries); got != c.want.stored {
		t.Errorf("%d events stored, want %d", got, c.want.stored)
	}
	if held := d.Held(); held != 0 {
		t.Errorf("%d bytes are still taken", held)
	}
	wantOK(t, d.post("/v1/identify", `{"userId":"the next one"}`))
}

// TestHostileBodiesAreReadToTheirLimit counts what is taken from the connection, and what is asked of the system for it.
func TestHostileBodiesAreReadToTheirLimit(t *testing.T) { // not parallel: it counts allocations
	const (
		endless = 1 << 30
		buffers = 8 << 10 // of the gzip reader, and one byte to see that there is more
	)
	// What would take much more memory than it is long, if it were taken to pieces: of nobody's, and by a public key.
	wrapper := `{"json":0` + strings.Repeat(`,"":0`, 1_600_000) + `}`
	envelope := `{"batch":[]` + strings.Repeat(`,"":0`, 100_000) + `}`
	bomb := bombOf(t, 64)
	tests := map[string]struct {
		path    string
		options []option
		piece   string
		left    int
		read    int // at most
		memory  int // at most
		status  int
	}{
		"announced":         {"/v1/batch", []option{length(endless)}, "[", endless, 0, 64 << 10, 400},
		"announced webhook": {"/webhook/website", []option{length(endless)}, "[", endless, 0, 64 << 10, 413},
		"single":            {"/v1/identify", nil, " ", endless, 36<<10 + buffers, 512 << 10, 400},
		"batch":             {"/v1/batch", nil, "[", endless, 504<<10 + buffers, 2 << 20, 400},
		"short path":        {"/b/", nil, "{", endless, 504<<10 + buffers, 2 << 20, 400},
		"webhook":           {"/webhook/website", nil, "[", endless, 8<<20 + buffers, 32 << 20, 413},
		"bomb":              {"/v1/batch", []option{header("Content-Encoding", "gzip")}, bomb, len(bomb), 16 << 10, 3 << 20, 400},
		"bomb, webhook":     {"/webhook/website", []option{header("Content-Encoding", "gzip")}, bomb, len(bomb), 32 << 10, 32 << 20, 413},
		"gzip of nothing":   {"/v1/batch", []option{header("Content-Encoding", "gzip")}, zip(t, ""), endless, 504<<10 + buffers, 2 << 20, 400},
		"gzip header":       {"/v1/batch", []option{header("Content-Encoding", "gzip")}, "\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xff" + strings.Repeat("n", 4096), endless, buffers, 1 << 20, 400},
		"wrapper of many":   {"/webhook/signed", []option{header("X-Signature", "00")}, wrapper, len(wrapper), len(wrapper), 32 << 20, 401},
		"envelope of many":  {"/v1/batch", nil, envelope, len(envelope), len(envelope), 40 << 20, 200},
		"metrics of client": {"/v1/m", nil, "[", endless, 0, 64 << 10, 200},
		"wrong key":         {"/v1/batch", []option{basic(marker)}, "[", endless, 0, 64 << 10, 401},
		"no signature":      {"/webhook/signed", nil, "[", endless, 0, 64 << 10, 401},
		"no path":           {"/v1/x", nil, "[", endless, 0, 64 << 10, 404},
		"preflight":         {"/v1/b", []option{method("OPTIONS")}, "[", endless, 0, 64 << 10, 204},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDoor(t)
			body := &counting{piece: tt.piece, left: tt.left}
			r := httptest.NewRequest(http.MethodPost, tt.path, body)
			r.ContentLength = -1
			for _, o := range append([]option{basic(key)}, tt.options...) {
				o(r)
			}
			taken := allocated(func() {
				if w := d.do(r); w.Code != tt.status {
					t.Errorf("answer = %d %s, want %d", w.Code, w.Body, tt.status)
				}
			})
			if body.read > tt.read {
				t.Errorf("%d bytes read, want at most %d", body.read, tt.read)
			}
			if taken > uint64(tt.memory) {
				t.Errorf("%d bytes allocated, want at most %d", taken, tt.memory)
			}
			if held := d.Held(); held != 0 {
				t.Errorf("%d bytes are still taken", held)
			}
		})
	}
}

// TestRefusalsCostNoSeries: nobody can make the metrics grow by inventing sources, types or paths.
func TestRefusalsCostNoSeries(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	series := func() int {
		w := httptest.NewRecorder()
		d.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return strings.Count(w.Body.String(), "freshrelay_")
	}
	d.post("/v1/batch", `{"batch":[{"type":"x"},{"type":"identify"}]}`)
	before := series()
	for i := range 100 {
		n := itoa(i)
		d.post("/v1/batch", `{"batch":[{"type":"x`+n+`"},{"type":"identify","userId":"`+n+`"}]}`)
		d.post("/webhook/"+n, `{}`)
		d.post("/v1/"+n, `{}`)
	}
	if after := series(); after != before {
		t.Errorf("%d lines of metrics became %d", before, after)
	}
}

package ingest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

type discard struct{}

func (discard) Publish(context.Context, []queue.Entry) error { return nil }

// FuzzSplit sends any body to the paths that split, and checks against encoding/json that no event is lost or made up:
// as many are stored or dropped with a reason as the array has elements, and what is stored can be read.
func FuzzSplit(f *testing.F) {
	h, err := New(Config{Sources: []Source{{Name: "website", WriteKeys: []string{"k"}}}}, discard{}, metrics.New(), zap.NewNop())
	if err != nil {
		f.Fatal(err)
	}
	files, err := filepath.Glob("testdata/segment/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no samples: %v", err)
	}
	paths := []string{"/v1/batch", "/webhook/website", "/v1/identify"}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for i := range paths {
			f.Add(uint8(i), string(b))
		}
	}
	f.Add(uint8(0), `{"batch":[{"type":"identify","context":{"a":{"b":1}},"context":null},null],"context":{"a":{"c":2.0}},"integrations":{"All":false}}`)
	f.Add(uint8(0), `{"batch":[{"type":"group","writeKey":"x","write\u004bey":"y"}],"sentAt":1,"batch":[{"type":"alias"}]}`)
	f.Add(uint8(1), `[{"json":{"type":"identify","writeKey":"x"}},{"json":{"json":{}}},{"json":1},{"json":{},"a":1}]`)
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		path := paths[int(which)%len(paths)]
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.SetBasicAuth("k", "")
		in, no := receive(h, path, r)
		if no != nil {
			if no.status/100 != 4 {
				t.Fatalf("refused with %d %s", no.status, no.code)
			}
			malformed, small := no.code == "malformed_json", len(body) < segment.MaxEventBytes
			if valid := json.Valid([]byte(body)); valid == malformed && small {
				t.Fatalf("refused as %s, valid JSON: %v", no.code, valid)
			}
			return
		}
		if want, got := elements(t, path, body), in.events; want != got {
			t.Fatalf("%d events, want %d", got, want)
		}
		for _, e := range in.entries {
			got, err := segment.Decode(e.Data)
			if err != nil {
				t.Fatalf("stored event cannot be read: %v", err)
			}
			if _, err := got.Event(); err != nil {
				t.Fatalf("stored event cannot be parsed: %v", err)
			}
			var top map[string]json.RawMessage
			if err := json.Unmarshal(got.Body, &top); err != nil || top["writeKey"] != nil {
				t.Fatalf("stored %s (%v)", got.Body, err)
			}
		}
	})
}

// elements is how many events encoding/json finds.
func elements(t *testing.T, path, body string) int {
	t.Helper()
	var list []json.RawMessage
	switch {
	case path == "/v1/batch":
		// Not a struct: encoding/json would take BATCH for batch.
		var envelope map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &envelope); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(envelope["batch"], &list); err != nil {
			t.Fatal(err)
		}
	case strings.HasPrefix(strings.TrimLeft(body, " \t\r\n"), "["):
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			t.Fatal(err)
		}
	default:
		return 1
	}
	return len(list)
}

// receive is serve without the answer.
func receive(h *Handler, path string, r *http.Request) (*intake, *refusal) {
	v := &visit{w: httptest.NewRecorder(), r: r, at: time.Now(), mem: &share{of: &h.memory}, recent: h.recent}
	defer v.mem.close()
	if name, ok := strings.CutPrefix(path, "/webhook/"); ok {
		return h.receiveWebhook(v, name)
	}
	return h.receiveTracking(v, h.tracking[strings.TrimPrefix(path, "/v1/")])
}

package worker_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/segment"
)

// tape notes the requests that change a contact.
type tape struct {
	next     http.RoundTripper
	requests []mapping.Request
}

func (c *tape) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			return nil, err
		}
		c.requests = append(c.requests, mapping.Request{Method: r.Method, Path: r.URL.Path[len("/crm/sales/api"):], Body: v})
	}
	return c.next.RoundTrip(r)
}

// TestWhatIsExplainedIsWhatIsSent: for new and known contacts, with fields set, emptied, added and by default.
func TestWhatIsExplainedIsWhatIsSent(t *testing.T) {
	o := mapping.Options{Traits: map[string]string{"labels": "Tags"}, OnCreate: map[string]string{"city": "Ulm", "lifecycle_stage": "Lead"}}
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.close()
		c := &tape{next: r.api.HTTPClient.Transport}
		r.api.HTTPClient = &http.Client{Transport: c}
		r.mapping = o
		r.open()
		for i, traits := range []map[string]any{
			{"plan": "growth", "industry": "Food", "name": "Ann Lee", "labels": []string{"vip"}},
			{"plan": "gold", "industry": "Music", "name": "Ann Lee"},
			{"job title": "Cook"},
			{"labels": "beta"},
			{"labels": "beta"},
		} {
			entry := r.identify("ann", traits)
			call, err := segment.Decode(entry.Data)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			explained, err := r.pool.Explain(t.Context(), "website", [][]byte{call.Body})
			if err != nil || len(explained) != 1 {
				t.Fatalf("%+v, %v", explained, err)
			}
			c.requests = nil
			r.publish(entry)
			r.drain(time.Minute)
			var want []mapping.Request
			for _, e := range explained[0].Requests {
				if e.Method == http.MethodGet {
					continue
				}
				var v any
				b, err := json.Marshal(e.Body)
				if err == nil {
					err = json.Unmarshal(b, &v)
				}
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, mapping.Request{Method: e.Method, Path: e.Path, Body: v})
			}
			if i == 0 {
				c.requests = c.requests[:1] // the next one learns what an update does to custom fields
			}
			joined := i == 3 // tags go out with those that are there, as the note says
			if diff := cmp.Diff(want, c.requests); (diff != "") != joined {
				t.Errorf("call %d (-explained +sent)\n%s", i+1, diff)
			}
		}
		// Explaining changes nothing and remembers nothing.
		before := r.box.CallCount()
		for range 2 {
			got, err := r.pool.Explain(t.Context(), "website", [][]byte{[]byte(`{"type":"identify","userId":"eve","messageId":"x","traits":{"email":"eve@example.test"}}`), []byte(`[]`)})
			if err != nil || len(got) != 2 || len(got[0].Requests) != 1 || got[0].Contact != "" || got[1].Outcome != "dead" {
				t.Errorf("%+v, %v", got, err)
			}
		}
		if r.box.CallCount() != before || len(r.box.Contacts()) != 1 {
			t.Error("explaining made calls")
		}
	})
}

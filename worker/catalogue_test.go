package worker_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// youngFields hides custom fields from the metadata until they are made.
type youngFields struct {
	next   http.RoundTripper
	hidden atomic.Value // []string: API names, or choices
}

func (y *youngFields) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := y.next.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/settings/contacts/fields") {
		return resp, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	for _, name := range y.hidden.Load().([]string) {
		body = bytes.ReplaceAll(body, fmt.Appendf(nil, "%q", name), []byte(`"cf_gone"`))
		body = bytes.ReplaceAll(body, fmt.Appendf(nil, "%q", strings.TrimPrefix(name, "cf_")), []byte(`"Gone"`))
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Del("Content-Length")
	return resp, nil
}

// young is a rig whose account hides some fields.
func young(t *testing.T, hidden []string, body func(t *testing.T, r *rig, y *youngFields)) {
	opt := sandbox.Options{CustomFields: []sandbox.Field{
		{Name: "cf_seq", Label: "Seq", Type: sandbox.TypeNumber},
		{Name: "cf_new", Label: "new", Type: sandbox.TypeText},
		{Name: "cf_tier", Label: "Tier", Type: sandbox.TypeDropdown, Choices: []string{"Free", "Gold"}},
	}}
	bubble(t, opt, func(t *testing.T, r *rig) {
		r.close() // this pool has read the fields as they are
		y := &youngFields{next: r.api.HTTPClient.Transport}
		y.hidden.Store(hidden)
		r.api.HTTPClient = &http.Client{Transport: y}
		r.open()
		body(t, r, y)
	})
}

func TestANewFieldIsFoundByItsFirstTraitAfterTenMinutes(t *testing.T) {
	young(t, []string{"cf_new"}, func(t *testing.T, r *rig, y *youngFields) {
		r.publish(r.identify("ann", map[string]any{"new": "a", "seq": 1}))
		r.drain(time.Minute)
		y.hidden.Store([]string{})
		reads := r.calls(0)["contact_fields"]
		for n := range 50 { // an unknown trait does not cost a call each time
			r.publish(r.identify("ann", map[string]any{"new": "b", "seq": n, "other": n}))
			r.drain(time.Minute)
		}
		if got := r.calls(0)["contact_fields"]; got > reads+1 {
			t.Errorf("50 calls with unknown traits read the fields %d times", got-reads)
		}
		time.Sleep(11 * time.Minute)
		r.publish(r.identify("ann", map[string]any{"new": "c", "seq": 99}))
		r.drain(time.Minute)
		if got := r.contact("ann").Custom["cf_new"]; got != "c" {
			t.Errorf("the new field holds %v", got)
		}
	})
}

func TestANewChoiceIsFound(t *testing.T) {
	young(t, []string{"Gold"}, func(t *testing.T, r *rig, y *youngFields) {
		r.publish(r.identify("ann", map[string]any{"tier": "Free"}))
		r.drain(time.Minute)
		y.hidden.Store([]string{})
		time.Sleep(11 * time.Minute)
		r.publish(r.identify("ann", map[string]any{"tier": "gold"}))
		r.drain(time.Minute)
		if got := r.contact("ann").Custom["cf_tier"]; got != "Gold" {
			t.Errorf("the field holds %v", got)
		}
	})
}

// TestFieldsAreKeptWhileTheAPIIsDown: a refresh that fails costs neither events nor more than a call a minute.
func TestFieldsAreKeptWhileTheAPIIsDown(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("ann", map[string]any{"seq": 1}))
		r.drain(time.Minute)
		r.fault(sandbox.Fault{Operation: "contact_fields", Status: 500, Percent: 100})
		time.Sleep(2 * time.Hour)
		reads := r.calls(0)["contact_fields"]
		for n := range 20 {
			r.publish(r.identify("ann", map[string]any{"seq": 2 + n}))
			r.drain(time.Minute)
		}
		if got := r.contact("ann").Custom["cf_seq"]; got != json.Number("21") {
			t.Errorf("seq is %v", got)
		}
		if got := r.calls(0)["contact_fields"]; got == reads || got > reads+3 {
			t.Errorf("the fields were asked for %d times", got-reads)
		}
	})
}

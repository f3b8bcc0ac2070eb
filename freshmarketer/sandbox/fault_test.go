package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
)

func TestFaultsAreChecked(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	tests := []struct{ body, mentions string }{
		{`{"status":500}`, "next"},
		{`{"next":1,"percent":5,"status":500}`, "next"},
		{`{"percent":101,"status":500}`, "percent"},
		{`{"next":-1,"status":500}`, "next"},
		{`{"next":1}`, "status, delay, cut, drop_answer"},
		{`{"next":1,"status":99}`, "status"},
		{`{"next":1,"status":500,"drop_answer":true}`, "drop_answer"},
		{`{"next":1,"cut":true,"drop_answer":true}`, "drop_answer"},
		{`{"next":1,"cut":true,"body":"x"}`, "body"},
		{`{"next":1,"drop_answer":true,"done":true}`, "done"},
		{`{"next":1,"delay":"soon"}`, "soon"},
		{`{"next":1,"delay":2}`, "delay"},
		{`{"next":1,"status":500,"operation":"upsert"}`, "upsert_contact"},
		{`{"next":1,"status":500,"operation":"get_contact|nothing"}`, "nothing"},
		{`{"next":1,"stauts":500}`, "stauts"},
		{`next`, "invalid character"},
	}
	for _, tt := range tests {
		res := send(t, box, "POST", "/_sandbox/faults", tt.body)
		if text, _ := res.body["error"].(string); res.status != 400 || !strings.Contains(text, tt.mentions) {
			t.Errorf("%s: got %d %s, want 400 with %q", tt.body, res.status, res.raw, tt.mentions)
		}
	}
	if n := len(box.Faults()); n != 0 {
		t.Errorf("%d refused faults are active", n)
	}
	if res := send(t, box, "GET", "/_sandbox/nothing", nil); res.status != 404 {
		t.Errorf("an unknown control: got %d, want 404", res.status)
	}
}

func TestFaultsOverHTTP(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	const body = `{"next":2,"operation":"contact_filters","status":429,"headers":{"Retry-After":"8"},"body":{"error_code":429},"delay":"1ms"}`
	if res := send(t, box, "POST", "/_sandbox/faults", body); res.status != 201 {
		t.Fatalf("got %d %s, want 201", res.status, res.raw)
	}
	res := send(t, box, "GET", "/_sandbox/faults", nil)
	if want := `{"faults":[` + body + `]}`; !sameJSON(t, want, res.raw) {
		t.Errorf("listed %s, want %s", res.raw, want)
	}
	if res := api(t, box, "GET", "settings/contacts/fields", nil); res.status != 200 {
		t.Errorf("another operation: got %d, want 200", res.status)
	}
	for range 2 {
		if res := api(t, box, "GET", "contacts/filters", nil); res.status != 429 || res.header.Get("Retry-After") != "8" || res.raw != `{"error_code":429}` {
			t.Errorf("got %d %v %s, want the fault", res.status, res.header, res.raw)
		}
	}
	if res := api(t, box, "GET", "contacts/filters", nil); res.status != 200 {
		t.Errorf("after two: got %d, want 200", res.status)
	}
	var got []string
	for _, c := range box.Calls() {
		got = append(got, fmt.Sprint(c.Operation, " ", c.Status, " ", c.Fault))
	}
	want := []string{"contact_fields 200 ", "contact_filters 429 delay 1ms, status 429", "contact_filters 429 delay 1ms, status 429", "contact_filters 200 "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	send(t, box, "POST", "/_sandbox/faults", `{"percent":100,"status":503,"body":"<p>busy"}`)
	if res := send(t, box, "GET", "/_sandbox/faults", nil); !sameJSON(t, `{"faults":[{"percent":100,"status":503,"body":"<p>busy"}]}`, res.raw) {
		t.Errorf("listed %s", res.raw)
	}
	if res := send(t, box, "DELETE", "/_sandbox/faults", nil); res.body["cleared"] != 1.0 {
		t.Errorf("DELETE: %s, want one cleared", res.raw)
	}
	if res := api(t, box, "GET", "contacts/filters", nil); res.status != 200 {
		t.Errorf("after clearing: got %d, want 200", res.status)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatal(err)
	}
	return cmp.Equal(x, y)
}

func TestFaultBodies(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	tests := []struct {
		fault       sandbox.Fault
		body        string
		contentType string
	}{
		{sandbox.Fault{Status: 500}, `{"error_code":500}`, "application/json"},
		{sandbox.Fault{Status: 429}, `{"error_code":429}`, "application/json"},
		{sandbox.Fault{Status: 401}, `{"login":"failed","message":"Incorrect or expired API key"}`, "application/json"},
		{sandbox.Fault{Status: 404}, ``, "application/json"},
		{sandbox.Fault{Status: 302}, ``, "application/json"},
		{sandbox.Fault{Status: 400}, `{"errors":{"code":400,"message":["Invalid or missing attributes"]}}`, "application/json"},
		{sandbox.Fault{Status: 502, Body: "<html>Bad gateway</html>"}, "<html>Bad gateway</html>", "text/html"},
		{sandbox.Fault{Status: 503, Body: "busy", Headers: map[string]string{"Content-Type": "text/plain"}}, "busy", "text/plain"},
	}
	for _, tt := range tests {
		tt.fault.Next = 1
		if err := box.AddFault(tt.fault); err != nil {
			t.Fatal(err)
		}
		res := api(t, box, "GET", "contacts/filters", nil)
		if res.status != tt.fault.Status || res.raw != tt.body || !strings.HasPrefix(res.header.Get("Content-Type"), tt.contentType) {
			t.Errorf("got %d %s %s, want %d %s %s", res.status, res.header.Get("Content-Type"), res.raw, tt.fault.Status, tt.contentType, tt.body)
		}
	}
}

func TestFaultsChooseTheirCalls(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault sandbox.Fault
		want  string // statuses of: filters, GET contact 1, GET contact 2, upsert of u-1, upsert of u-2
	}{
		{"all", sandbox.Fault{}, "500 500 500 500 500"},
		{"one operation", sandbox.Fault{Operation: sandbox.OpGetContact}, "200 500 500 200 200"},
		{"two operations", sandbox.Fault{Operation: "contact_filters|upsert_contact"}, "500 200 200 500 500"},
		{"one contact", sandbox.Fault{Match: "/990000000000002"}, "200 200 500 200 200"},
		{"one user", sandbox.Fault{MatchBody: `"u-1"`}, "200 200 200 500 200"},
	}
	for _, tt := range tests {
		box := newBox(t, sandbox.Options{UpsertAlways200: true})
		create(t, box, object{"email": "a@x.test", "external_id": "u-1"})
		create(t, box, object{"email": "b@x.test", "external_id": "u-2"})
		tt.fault.Percent, tt.fault.Status = 100, 500
		if err := box.AddFault(tt.fault); err != nil {
			t.Fatal(err)
		}
		upsert := func(id string) int {
			return api(t, box, "POST", "contacts/upsert", object{"unique_identifier": object{"external_id": id}, "contact": object{"city": "Ulm"}}).status
		}
		got := fmt.Sprint(api(t, box, "GET", "contacts/filters", nil).status, api(t, box, "GET", "contacts/990000000000001", nil).status,
			api(t, box, "GET", "contacts/990000000000002", nil).status, upsert("u-1"), upsert("u-2"))
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestPercentIsSeeded(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) string {
		box := newBox(t, sandbox.Options{})
		if err := box.AddFault(sandbox.Fault{Percent: 30, Seed: seed, Status: 500}); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for range 300 {
			b.WriteString(map[int]string{200: ".", 500: "x"}[api(t, box, "GET", "contacts/filters", nil).status])
		}
		return b.String()
	}
	first := run(1)
	if run(1) != first || run(2) == first {
		t.Error("the same seed must fail the same calls, another seed others")
	}
	if n := strings.Count(first, "x"); n < 60 || n > 120 {
		t.Errorf("%d of 300 calls failed, want about 90", n)
	}
}

// newHTTP returns a sandbox with one contact, served over HTTP, and a function that makes one call: its status, or an error.
func newHTTP(t *testing.T, opt sandbox.Options) (*sandbox.Sandbox, func(ctx context.Context, method, path, body string) (int, error)) {
	t.Helper()
	box := newBox(t, opt)
	if _, err := box.Add(object{"email": "a@x.test"}); err != nil {
		t.Fatal(err)
	}
	client := sandboxtest.Serve(t, box.Handler())
	return box, func(ctx context.Context, method, path, body string) (int, error) {
		req, err := http.NewRequestWithContext(ctx, method, sandboxtest.BaseURL+"/crm/sales/api/"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Token token="+sandbox.DefaultAPIKey)
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
}

const (
	contactPath = "contacts/990000000000001"
	change      = `{"contact":{"city":"Ulm"}}`
)

func TestConnectionFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  sandbox.Fault
		status int // seen by the client before the error
		city   any
		logged sandbox.Call
	}{
		{"cut", sandbox.Fault{Next: 1, Cut: true}, 0, nil, sandbox.Call{Fault: "cut"}},
		{"cut in the answer", sandbox.Fault{Next: 1, Status: 200, Body: `{"contact":{"id":`, Cut: true}, 200, nil, sandbox.Call{Status: 200, Fault: "status 200, cut"}},
		{"drop the answer", sandbox.Fault{Next: 1, DropAnswer: true}, 0, "Ulm", sandbox.Call{Fault: "drop_answer", Effect: true, ContactID: 990_000_000_000_001}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			effects := 0
			box, do := newHTTP(t, sandbox.Options{OnEffect: func(sandbox.Call) { effects++ }})
			if err := box.AddFault(tt.fault); err != nil {
				t.Fatal(err)
			}
			status, err := do(t.Context(), "PUT", contactPath, change)
			if err == nil || status != tt.status {
				t.Errorf("got %d, %v, want %d and an error", status, err, tt.status)
			}
			if got := box.Contacts()[0].Fields["city"]; got != tt.city || effects != len(box.Contacts()[0].Fields)-4 {
				t.Errorf("city is %v after %d effects, want %v", got, effects, tt.city)
			}
			got := box.Calls()[0]
			if got.Status != tt.logged.Status || got.Fault != tt.logged.Fault || got.Effect != tt.logged.Effect || got.ContactID != tt.logged.ContactID {
				t.Errorf("logged %+v, want %+v", got, tt.logged)
			}
			if status, err := do(t.Context(), "PUT", contactPath, change); err != nil || status != 200 {
				t.Errorf("after the fault: got %d, %v, want 200", status, err)
			}
		})
	}
}

// What was asked is done, and the answer says otherwise.
func TestDone(t *testing.T) {
	t.Parallel()
	effects := 0
	box, do := newHTTP(t, sandbox.Options{OnEffect: func(sandbox.Call) { effects++ }})
	if res := send(t, box, "POST", "/_sandbox/faults", `{"next":1,"status":502,"body":"<html>","done":true}`); res.status != 201 || !strings.Contains(string(res.raw), `"done":true`) {
		t.Fatalf("got %d %s", res.status, res.raw)
	}
	status, err := do(t.Context(), "PUT", contactPath, change)
	if err != nil || status != 502 || effects != 1 || box.Contacts()[0].Fields["city"] != "Ulm" {
		t.Errorf("got %d, %v after %d effects: %v", status, err, effects, box.Contacts()[0].Fields)
	}
	want := sandbox.Call{Status: 502, Fault: "status 502, done", Effect: true, ContactID: 990_000_000_000_001}
	if got := box.Calls()[0]; got.Status != want.Status || got.Fault != want.Fault || got.Effect != want.Effect || got.ContactID != want.ContactID {
		t.Errorf("logged %+v, want %+v", got, want)
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	city := func(box *sandbox.Sandbox) any { return box.Contacts()[0].Fields["city"] }
	t.Run("the client waits", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			box, do := newHTTP(t, sandbox.Options{})
			if err := box.AddFault(sandbox.Fault{Next: 1, Delay: 30 * time.Second}); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			status, err := do(t.Context(), "PUT", contactPath, change)
			if took := time.Since(start); status != 200 || err != nil || took != 30*time.Second || city(box) != "Ulm" {
				t.Errorf("got %d, %v after %s, city %v, want 200 after 30s", status, err, took, city(box))
			}
		})
	})
	t.Run("the client gives up", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			box, do := newHTTP(t, sandbox.Options{})
			if err := box.AddFault(sandbox.Fault{Next: 1, Delay: time.Hour}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := do(ctx, "PUT", contactPath, change); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the deadline", err)
			}
			synctest.Wait()
			if city(box) != nil || box.Calls()[0].Status != 0 {
				t.Errorf("city is %v, call %+v: want nothing to have happened", city(box), box.Calls()[0])
			}
		})
	})
	for name, fault := range map[string]sandbox.Fault{
		"the effect first, and the client gives up": {Next: 1, Delay: time.Hour, DropAnswer: true},
		"the effect first, and an error too late":   {Next: 1, Delay: time.Hour, Status: 504, Done: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				box, do := newHTTP(t, sandbox.Options{})
				if err := box.AddFault(fault); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := do(ctx, "PUT", contactPath, change); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want the deadline", err)
				}
				if city(box) != "Ulm" {
					t.Errorf("city is %v, want the effect", city(box))
				}
			})
		})
	}
}

package freshmarketer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
)

// sandboxClient is a client of a sandbox of its own.
func sandboxClient(t *testing.T, opt sandbox.Options) (*sandbox.Sandbox, *freshmarketer.Client) {
	t.Helper()
	box, cfg := sandboxtest.Start(t, opt)
	client, err := freshmarketer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return box, client
}

func row(identifier, value string, fields freshmarketer.Fields) freshmarketer.BulkRow {
	return freshmarketer.BulkRow{Identifier: identifier, Value: value, Write: freshmarketer.ContactWrite{Fields: fields}}
}

func TestBulkRequest(t *testing.T) {
	t.Parallel()
	server := &capture{body: `{"message":"ok","job_status_url":"` + sandboxtest.BaseURL + `/crm/sales/api/job_statuses/123"}`}
	job, err := clientOf(t, server.ServeHTTP).BulkUpsert(t.Context(), []freshmarketer.BulkRow{
		{Identifier: "email", Value: "ann@x.test", Write: freshmarketer.ContactWrite{
			Fields: freshmarketer.Fields{"first_name": "Ann", "tags": []string{"a"}}, Custom: freshmarketer.Fields{"cf_many": []string{"A", "B"}},
		}},
		row("id", "70", freshmarketer.Fields{"email": "new@x.test"}),
		row("external_id", "u-1", nil),
	})
	if err != nil || job.ID != "123" {
		t.Fatalf("got job %+v, %v, want 123", job, err)
	}
	want := map[string]any{"contacts": []any{
		map[string]any{"emails": "ann@x.test", "data": map[string]any{"first_name": "Ann", "tags": []any{"a"}, "custom_field": map[string]any{"cf_many": "A;B"}}},
		map[string]any{"id": "70", "data": map[string]any{"emails": "new@x.test"}},
		map[string]any{"external_id": "u-1", "data": map[string]any{"external_id": "u-1"}},
	}}
	if diff := cmp.Diff(want, server.sent); diff != "" || server.method+server.uri != "POST/crm/sales/api/contacts/bulk_upsert" {
		t.Errorf("%s %s, body (-want +got):\n%s", server.method, server.uri, diff)
	}
}

// The key goes to the account's host only, whatever an answer says.
func TestJobURLs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		url, id string // id "": refused
	}{
		{"http://freshmarketer.test/crm/sales/api/job_statuses/7", "7"},
		{"https://FRESHMARKETER.test:443/crm/sales/api/job_statuses/7/?x=1", "7"},
		{"/crm/sales/api/job_statuses/7", "7"},
		{"https://acme.myfreshworks.com/crm/sales/api/job_statuses/8", "8"}, // the account behind the proxy
		{"https://evil.test/crm/sales/api/job_statuses/7", ""},
		{"//evil.test/crm/sales/api/job_statuses/7", ""},
		{"https://acme.myfreshworks.com.evil.test/job_statuses/7", ""},
		{"https://acme.myfreshworks.com@evil.test/job_statuses/7", ""},
		{"http://freshmarketer.test/crm/sales/api/job_statuses/../contacts/7", ""},
		{"http://freshmarketer.test/crm/sales/api/contacts/7", ""},
		{"http://freshmarketer.test:1/job_statuses/7", ""},
		{"::", ""},
	}
	for _, tt := range tests {
		body, err := json.Marshal(map[string]string{"job_status_url": tt.url})
		if err != nil {
			t.Fatal(err)
		}
		var hosts []string
		client, err := freshmarketer.New(freshmarketer.Config{
			Domain: "acme", BaseURL: sandboxtest.BaseURL, APIKey: testKey,
			HTTPClient: sandboxtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				hosts = append(hosts, r.Host+r.URL.Path)
				reply{202, nil, string(body)}.ServeHTTP(w, r)
			})),
		})
		if err != nil {
			t.Fatal(err)
		}
		job, err := client.BulkUpsert(t.Context(), []freshmarketer.BulkRow{row("id", "1", nil)})
		if job.ID != tt.id || (tt.id == "") != (freshmarketer.KindOf(err) == freshmarketer.KindMisrouted) {
			t.Errorf("%s: got job %q, %v, want %q", tt.url, job.ID, err, tt.id)
		}
		if _, err = client.JobStatus(t.Context(), "7", nil); err == nil {
			t.Error("an answer without a status was taken")
		}
		want := []string{"freshmarketer.test/crm/sales/api/contacts/bulk_upsert", "freshmarketer.test/crm/sales/api/job_statuses/7"}
		if diff := cmp.Diff(want, hosts); diff != "" {
			t.Errorf("%s: calls (-want +got):\n%s", tt.url, diff)
		}
	}
}

func TestBulkThroughTheSandbox(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box, client := sandboxClient(t, sandbox.Options{BulkWait: 2 * time.Second, BulkDuration: 4 * time.Second, MaxJobs: 1})
		if _, err := box.Add(map[string]any{"email": "taken@x.test", "external_id": "u-0"}); err != nil {
			t.Fatal(err)
		}
		rows := []freshmarketer.BulkRow{
			row("emails", "a@x.test", freshmarketer.Fields{"first_name": "A"}),
			row("external_id", "u-1", freshmarketer.Fields{"email": "b@x.test"}),
			row("external_id", "u-2", freshmarketer.Fields{"email": "TAKEN@x.test"}),
			row("id", "990000000000001", freshmarketer.Fields{"city": "Ulm", "contact_status_id": "77"}),
		}
		job, err := client.BulkUpsert(t.Context(), rows)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.BulkUpsert(t.Context(), rows)
		if e := new(freshmarketer.Error); !errors.As(err, &e) || e.Kind != freshmarketer.KindThrottled || e.Status != 405 {
			t.Errorf("a second job: got %v, want throttled by 405", err)
		}
		var states []string
		var last freshmarketer.JobStatus
		for range 4 {
			if last, err = client.JobStatus(t.Context(), job.ID, rows); err != nil {
				t.Fatal(err)
			}
			states = append(states, fmt.Sprint(last.State, last.Succeeded, last.Failed))
			time.Sleep(2 * time.Second)
		}
		if states[0] != "queued0 0" || states[1] != "queued0 0" && !strings.HasPrefix(states[1], "running") || !strings.HasPrefix(states[2], "running") || states[3] != "done2 2" {
			t.Errorf("states: %v", states)
		}
		want := []freshmarketer.JobFailure{
			{Row: 2, Kind: freshmarketer.KindConflict, Field: "email", Text: "[email] already exists."},
			{Row: 3, Kind: freshmarketer.KindInvalid, Field: "contact_status_id", Text: "Invalid contact status provided."},
		}
		got := last.Failures
		if len(got) == 2 && got[0].Row == 3 { // the order inside a job is nobody's promise
			got[0], got[1] = got[1], got[0]
		}
		if diff := cmp.Diff(want, got); diff != "" || !last.Certain() {
			t.Errorf("certain %t, failures (-want +got):\n%s", last.Certain(), diff)
		}
		if n := len(box.Contacts()); n != 3 {
			t.Errorf("%d contacts, want 3", n)
		}
		if _, err := client.JobStatus(t.Context(), "960000000000999", nil); freshmarketer.KindOf(err) != freshmarketer.KindGone {
			t.Errorf("an unknown job: got %v, want gone", err)
		}
	})
}

func TestJobAnswers(t *testing.T) {
	t.Parallel()
	rows := []freshmarketer.BulkRow{
		row("emails", "ann@x.test", freshmarketer.Fields{"first_name": "Annabel", "mobile_number": "555-0102"}),
		row("external_id", "u-2", freshmarketer.Fields{"first_name": "Bob"}),
		row("external_id", "400", nil),
	}
	report := func(entries string) string {
		inner, err := json.Marshal(`{"record_status":{"succeeded":2,"failed":1},"detailed_failure_report":[` + entries + `]}`)
		if err != nil {
			t.Fatal(err)
		}
		return `{"status":"SUCCESS","data":` + string(inner) + `}`
	}
	tests := []struct {
		name, body string
		want       freshmarketer.JobStatus
		certain    bool
	}{
		{"queued, no data", `{"status":"QUEUED","data":null}`, freshmarketer.JobStatus{State: freshmarketer.JobQueued}, false},
		{"running, empty data", `{"status":"in_progress","data":""}`, freshmarketer.JobStatus{State: freshmarketer.JobRunning}, false},
		{"an unknown word", `{"status":"PARTIAL"}`, freshmarketer.JobStatus{State: freshmarketer.JobFailed}, false},
		{"data without the string", `{"status":"SUCCESS","data":{"record_status":{"succeeded":3,"failed":0}}}`, freshmarketer.JobStatus{State: freshmarketer.JobDone, Succeeded: 3}, true},
		{"found by the address", report(`{"record":{"emails":["ANN@x.test"]},"errors":{"message":["Annabel: MobileNumber 555-0102 is not unique"]}}`), freshmarketer.JobStatus{
			State: freshmarketer.JobDone, Succeeded: 2, Failed: 1,
			Failures: []freshmarketer.JobFailure{{Row: 0, Kind: freshmarketer.KindConflict, Field: "mobile_number", Text: "[value]: MobileNumber [value] is not unique"}},
		}, true},
		{"a list", report(`["u-2","Invalid first name"]`), freshmarketer.JobStatus{
			State: freshmarketer.JobDone, Succeeded: 2, Failed: 1,
			Failures: []freshmarketer.JobFailure{{Row: 1, Kind: freshmarketer.KindInvalid, Field: "first_name", Text: "[value]; Invalid first name"}},
		}, true},
		{"throttled", report(`{"external_id":"u-2","error":"response_code :: 429 :: x"}`), freshmarketer.JobStatus{
			State: freshmarketer.JobDone, Succeeded: 2, Failed: 1,
			Failures: []freshmarketer.JobFailure{{Row: 1, Kind: freshmarketer.KindThrottled, Text: "response_code :: 429 :: x"}},
		}, true},
		{"not told", report(`{"row":5,"message":"Carol is bad"}`), freshmarketer.JobStatus{
			State: freshmarketer.JobDone, Succeeded: 2, Failed: 1, Failures: []freshmarketer.JobFailure{{Row: -1, Kind: freshmarketer.KindInvalid}},
		}, false},
		{"two in one", report(`{"a":"u-2","b":"ann@x.test"}`), freshmarketer.JobStatus{
			State: freshmarketer.JobDone, Succeeded: 2, Failed: 1, Failures: []freshmarketer.JobFailure{{Row: -1, Kind: freshmarketer.KindInvalid}},
		}, false},
		{"done, and not a word of the rows", `{"status":"SUCCESS"}`, freshmarketer.JobStatus{State: freshmarketer.JobDone}, false},
		{"the code is somebody's id", report(`{"who":"?","error":{"code":400,"message":"400"}},{"row":400,"code":400}`), freshmarketer.JobStatus{
			State: freshmarketer.JobDone, Succeeded: 2, Failed: 2,
			Failures: []freshmarketer.JobFailure{{Row: -1, Kind: freshmarketer.KindInvalid}, {Row: -1, Kind: freshmarketer.KindInvalid}},
		}, false},
		{"an external id in other letters", report(`{"external_id":"U-2","error":"x"}`), freshmarketer.JobStatus{
			State: freshmarketer.JobDone, Succeeded: 2, Failed: 1, Failures: []freshmarketer.JobFailure{{Row: -1, Kind: freshmarketer.KindInvalid}},
		}, false},
		{"counted but not listed", report(``), freshmarketer.JobStatus{State: freshmarketer.JobDone, Succeeded: 2, Failed: 1}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.want.Rows = len(rows)
			got, err := clientOf(t, reply{200, nil, tt.body}.ServeHTTP).JobStatus(t.Context(), "7", rows)
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil || got.Certain() != tt.certain {
				t.Errorf("certain %t, error %v, status (-want +got):\n%s", got.Certain(), err, diff)
			}
		})
	}
	for _, body := range []string{``, `{}`, `{"status":"SUCCESS","data":"{"}`, `{"status":"SUCCESS","data":[1]}`, `{"status":{}}`, `true`} {
		if got, err := clientOf(t, reply{200, nil, body}.ServeHTTP).JobStatus(t.Context(), "7", rows); freshmarketer.KindOf(err) != freshmarketer.KindTemporary {
			t.Errorf("%s: got %+v, %v, want kind temporary", body, got, err)
		}
	}
}

// Of two rows with one identifier nobody can tell which one failed.
func TestRowsThatLookAlike(t *testing.T) {
	t.Parallel()
	rows := []freshmarketer.BulkRow{row("emails", "Ann@x.test", nil), row("emails", "ann@x.test", nil), row("external_id", "A", nil), row("external_id", "a", nil)}
	for entry, want := range map[string]int{`{"emails":"ann@x.test"}`: -1, `{"external_id":"a"}`: 3, `{"external_id":"A"}`: 2} {
		body, err := json.Marshal(map[string]any{"status": "SUCCESS", "data": `{"detailed_failure_report":[` + entry + `]}`})
		if err != nil {
			t.Fatal(err)
		}
		got, err := clientOf(t, reply{200, nil, string(body)}.ServeHTTP).JobStatus(t.Context(), "7", rows)
		if err != nil || len(got.Failures) != 1 || got.Failures[0].Row != want {
			t.Errorf("%s: got %+v, %v, want row %d", entry, got, err, want)
		}
	}
}

func TestUnsendableBulks(t *testing.T) {
	t.Parallel()
	client := clientOf(t, func(http.ResponseWriter, *http.Request) { t.Error("a call was sent") })
	many := make([]freshmarketer.BulkRow, 101)
	for i := range many {
		many[i] = row("id", "1", nil)
	}
	for name, rows := range map[string][]freshmarketer.BulkRow{
		"none": nil, "too many": many, "no value": {row("emails", " ", nil)}, "by nothing known": {row("mobile_number", "1", nil)},
	} {
		if _, err := client.BulkUpsert(t.Context(), rows); freshmarketer.KindOf(err) != freshmarketer.KindInvalid {
			t.Errorf("%s: got %v, want kind invalid", name, err)
		}
	}
	if _, err := client.JobStatus(t.Context(), "1/..", nil); freshmarketer.KindOf(err) != freshmarketer.KindInvalid {
		t.Errorf("a bad job id: got %v", err)
	}
}

// Whether an account takes external_id as an identifier can be doubted from its refusal, and only from such a one.
func TestIdentifierDoubt(t *testing.T) {
	t.Parallel()
	write := freshmarketer.ContactWrite{Fields: freshmarketer.Fields{"email": "a@x.test", "job_title": "Cook"}}
	tests := []struct {
		identifier, text string
		want             bool
	}{
		{"external_id", "Invalid or missing attributes", true},
		{"external_id", "Ongeldige of ontbrekende kenmerken", true},
		{"external_id", "unique_identifier is not valid for job title", true},
		{"external_id", "External ID cannot be used", true},
		{"external_id", "", true},
		{"external_id", "Job title is not in required length", false},
		{"external_id", "a@x.test already exists.", false},
		{"emails", "Invalid or missing attributes", false},
	}
	for _, tt := range tests {
		body, err := json.Marshal(map[string]any{"errors": map[string]any{"message": []string{tt.text}}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = clientOf(t, reply{400, nil, string(body)}.ServeHTTP).UpsertContact(t.Context(), tt.identifier, "value", write)
		if e := new(freshmarketer.Error); !errors.As(err, &e) || e.IdentifierDoubt != tt.want {
			t.Errorf("%s, %q: got %+v, want doubt %t", tt.identifier, tt.text, e, tt.want)
		}
	}

	_, client := sandboxClient(t, sandbox.Options{RefuseExternalIDUpsert: true})
	_, err := client.UpsertContact(t.Context(), "external_id", "u-1", write)
	if e := new(freshmarketer.Error); !errors.As(err, &e) || !e.IdentifierDoubt {
		t.Errorf("the sandbox that refuses it: got %v", err)
	}
	if _, err := client.UpsertContact(t.Context(), "emails", "a@x.test", write); err != nil {
		t.Errorf("the same by address: %v", err)
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	box, client := sandboxClient(t, sandbox.Options{})
	if _, err := box.Add(map[string]any{"email": "a@x.test"}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []freshmarketer.Kind{"", freshmarketer.KindGone} {
		if err := client.ForgetContact(t.Context(), "990000000000001"); freshmarketer.KindOf(err) != want {
			t.Errorf("call %d: got %v, want kind %q", i, err, want)
		}
	}
	for status, want := range map[int]freshmarketer.Kind{http.StatusOK: freshmarketer.KindTemporary, http.StatusNoContent: ""} {
		empty := clientOf(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		if forget, remove := empty.ForgetContact(t.Context(), "1"), empty.DeleteContact(t.Context(), "1"); freshmarketer.KindOf(forget) != want || freshmarketer.KindOf(remove) != want {
			t.Errorf("an empty %d: got %v and %v, want kind %q", status, forget, remove, want)
		}
	}
	if err := client.ForgetContact(t.Context(), ""); freshmarketer.KindOf(err) != freshmarketer.KindInvalid {
		t.Errorf("no id: got %v", err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	const date = "Mon, 02 Mar 2026 09:15:00 GMT"
	nothing := freshmarketer.Limits{Total: -1, Remaining: -1}
	tests := []struct {
		name   string
		status int
		header map[string]string
		want   freshmarketer.Limits
		said   bool
	}{
		{"nothing", 200, nil, nothing, false},
		{"all, on success", 200, map[string]string{"X-RateLimit-Total": "1000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "90"}, freshmarketer.Limits{Total: 1000, Remaining: 0, Reset: 90 * time.Second}, true},
		{"the other name, and a Unix time", 200, map[string]string{"X-Ratelimit-Limit": "5000", "X-Ratelimit-Reset": "1772442960", "Date": date}, freshmarketer.Limits{Total: 5000, Remaining: -1, Reset: time.Minute}, true},
		{"Retry-After on success", 200, map[string]string{"Retry-After": "8"}, freshmarketer.Limits{Total: -1, Remaining: -1, RetryAfter: 8 * time.Second}, true},
		{"on failure", 429, map[string]string{"Retry-After": "8", "X-RateLimit-Remaining": "-1"}, freshmarketer.Limits{Total: -1, Remaining: -1, RetryAfter: 8 * time.Second}, true},
		{"words", 200, map[string]string{"X-RateLimit-Total": "many", "X-RateLimit-Reset": "soon"}, nothing, false},
		{"absurd", 200, map[string]string{"X-RateLimit-Reset": "9999999999999999"}, freshmarketer.Limits{Total: -1, Remaining: -1, Reset: 7 * 24 * time.Hour}, true},
	}
	for _, tt := range tests {
		got, said := nothing, false
		client, err := freshmarketer.New(freshmarketer.Config{
			BaseURL: sandboxtest.BaseURL, APIKey: testKey, HTTPClient: sandboxtest.Serve(t, reply{tt.status, tt.header, `{"filters":[]}`}),
			OnLimits: func(op string, l freshmarketer.Limits) { got, said = l, op == freshmarketer.OpContactFilters },
		})
		if err != nil {
			t.Fatal(err)
		}
		_ = client.Probe(context.WithoutCancel(t.Context()))
		if diff := cmp.Diff(tt.want, got); diff != "" || said != tt.said {
			t.Errorf("%s: told %t, want %t (-want +got):\n%s", tt.name, said, tt.said, diff)
		}
	}
}

// Labels are what people call the fields, in their own language; error texts use them, once the client has read them.
func TestErrorsNameFieldsByLabel(t *testing.T) {
	t.Parallel()
	_, client := sandboxClient(t, sandbox.Options{
		Language:     sandbox.Dutch,
		CustomFields: []sandbox.Field{{Name: "cf_old_name", Label: "Abonnement ", Type: sandbox.TypeText}},
	})
	write := freshmarketer.ContactWrite{Custom: freshmarketer.Fields{"cf_old_name": strings.Repeat("x", 300)}, Fields: freshmarketer.Fields{"email": "a@x.test"}}
	for _, want := range []string{"", "cf_old_name"} {
		_, err := client.CreateContact(t.Context(), write)
		if e := new(freshmarketer.Error); !errors.As(err, &e) || e.Field != want {
			t.Errorf("got %+v, want field %q", e, want)
		}
		if _, err := client.ContactFields(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rows := []freshmarketer.BulkRow{{Identifier: "emails", Value: "a@x.test", Write: write}}
	job, err := client.BulkUpsert(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := client.JobStatus(t.Context(), job.ID, rows); err != nil || !status.Certain() || status.Failures[0].Field != "cf_old_name" {
		t.Errorf("job: %+v, %v", status, err)
	}
}

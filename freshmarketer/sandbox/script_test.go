package sandbox_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func script(t *testing.T, text string) (sandbox.Options, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return sandbox.ReadScript(path)
}

func TestScript(t *testing.T) {
	t.Parallel()
	got, err := script(t, `
seed: 7
contacts: 3
changes: true
account:
  per_hour: 1000
  per_minute: 400
  throttle: hidden
  limit_headers: true
  index_lag: 20s
  custom_field_mode: replace
  upsert_custom_field_mode: merge
  bulk_custom_field_mode: replace
  upsert_always_200: true
  refuse_external_id_upsert: true
  shared_addresses: true
  restore_clears_custom: true
  no_events: true
  events_need_contact: true
  lenient_body: true
  language: nl
  required: [last_name]
  read_only_keys: [reader]
  bulk_wait: 2s
  bulk_duration: 1m
  bulk_polls: 2
  max_jobs: 9
  custom_fields: [{name: cf_a, label: A, type: dropdown, choices: [x]}]
  account_fields: []
faults:
  - {percent: 5, status: 500, operation: upsert_contact|update_contact, first_attempts: true, skip: 1, after: 10m, for: 5m}
  - {next: 1, status: 429, headers: {Retry-After: "8"}, body: {error_code: 429}}
  - {next: 2, status: 502, body: "<html>bad</html>", delay: 2s, cut: true}
  - {next: 1, status: 200, empty: true, match: /contacts, match_body: u-1, seed: 3}
`)
	want := sandbox.Options{
		Seed: 7, Contacts: 3, Changes: true, PerHour: 1000, PerMinute: 400, Throttle: sandbox.ThrottleHidden, LimitHeaders: true, IndexLag: 20 * time.Second,
		CustomFieldMode: sandbox.Replace, UpsertCustomFieldMode: sandbox.Merge, BulkCustomFieldMode: sandbox.Replace,
		UpsertAlways200: true, RefuseExternalIDUpsert: true, SharedAddresses: true, RestoreClearsCustom: true, NoEvents: true, EventsNeedContact: true, LenientBody: true,
		Language: sandbox.Dutch, Required: []string{"last_name"}, ReadOnlyKeys: []string{"reader"},
		BulkWait: 2 * time.Second, BulkDuration: time.Minute, BulkPolls: 2, MaxJobs: 9,
		CustomFields:  []sandbox.Field{{Name: "cf_a", Label: "A", Type: sandbox.TypeDropdown, Choices: []string{"x"}}},
		AccountFields: []sandbox.Field{},
		Faults: []sandbox.Fault{
			{Percent: 5, Status: 500, Operation: "upsert_contact|update_contact", FirstAttempts: true, Skip: 1, After: 10 * time.Minute, For: 5 * time.Minute},
			{Next: 1, Status: 429, Headers: map[string]string{"Retry-After": "8"}, Body: `{"error_code":429}`},
			{Next: 2, Status: 502, Body: "<html>bad</html>", Delay: 2 * time.Second, Cut: true},
			{Next: 1, Status: 200, Empty: true, Match: "/contacts", MatchBody: "u-1", Seed: 3},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, options (-want +got):\n%s", err, diff)
	}
	newBox(t, got) // what is read can be used: the made-up contacts have all that is required
	if opt, err := script(t, `{"faults":[{"next":1,"cut":true}]}`); err != nil || len(opt.Faults) != 1 {
		t.Errorf("JSON: %+v, %v", opt, err)
	}
}

func TestScriptsAreChecked(t *testing.T) {
	t.Parallel()
	for text, mentions := range map[string]string{
		"":                                   "is empty",
		"faults: {":                          "yaml",
		"foults: []":                         "foults",
		"account: {index_leg: 2s}":           "index_leg",
		"account: {index_lag: 2}":            "written like 20s",
		"account: {index_lag: soon}":         "written like 20s",
		"account: {language: fr}":            "language",
		"account: {throttle: often}":         "throttle",
		"account: {custom_field_mode: both}": "custom field mode",
		"contacts: -1":                       "negative",
		"faults: [{next: 1}]":                "fault 1: give at least one",
		"faults: [{next: 1, cut: true}, {next: 1, status: 500, opertaion: x}]": "opertaion",
		"faults: [{next: 1, status: 500, empty: true, body: x}]":               "empty",
		"faults: [{next: 1, status: 500, skip: -1}]":                           "skip",
	} {
		if _, err := script(t, text); err == nil || !strings.Contains(err.Error(), mentions) {
			t.Errorf("%q: got %v, want an error with %q", text, err, mentions)
		}
	}
	if _, err := sandbox.ReadScript("/no/such"); err == nil {
		t.Error("a missing file was read")
	}
}

func TestFaultsOfAScript(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now, Faults: []sandbox.Fault{
		{Next: 100, Operation: sandbox.OpContactFilters, Status: 503, Skip: 2, After: time.Minute, For: time.Minute},
	}})
	ask := func() int { return api(t, box, "GET", "contacts/filters", nil).status }
	var got []int
	for range 3 { // one every 20 s: before it begins
		got = append(got, ask())
		clock.pass(20 * time.Second)
	}
	for range 4 { // two are skipped, one is taken, and then it is over
		got = append(got, ask())
		clock.pass(20 * time.Second)
	}
	if diff := cmp.Diff([]int{200, 200, 200, 200, 200, 503, 200}, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

func TestFirstAttempts(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{Faults: []sandbox.Fault{{Percent: 100, Status: 500, FirstAttempts: true}}})
	body := object{"contact": object{"email": "a@x.test"}}
	other := object{"contact": object{"email": "b@x.test"}}
	for i, want := range []int{500, 200, 400} { // refused the third time, as a duplicate
		if res := api(t, box, "POST", "contacts", body); res.status != want {
			t.Errorf("attempt %d: got %d %s, want %d", i+1, res.status, res.raw, want)
		}
	}
	if res := api(t, box, "POST", "contacts", other); res.status != 500 {
		t.Errorf("another body: got %d, want 500", res.status)
	}
	if res := api(t, box, "GET", "lookup?q=a&f=email&entities=contact", nil); res.status != 500 {
		t.Errorf("a query: got %d, want 500", res.status)
	}
	if res := api(t, box, "GET", "lookup?q=b&f=email&entities=contact", nil); res.status != 500 {
		t.Errorf("another query: got %d, want 500", res.status)
	}
}

// The same seed makes the same run, another one another.
func TestSeedsOfFaults(t *testing.T) {
	t.Parallel()
	run := func(opt sandbox.Options) string {
		box := newBox(t, opt)
		var answers []int
		for range 40 {
			answers = append(answers, api(t, box, "GET", "contacts/filters", nil).status)
		}
		return fmt.Sprint(answers)
	}
	half := []sandbox.Fault{{Percent: 50, Status: 500}}
	first := run(sandbox.Options{Seed: 1, Faults: half})
	if again := run(sandbox.Options{Seed: 1, Faults: half}); again != first {
		t.Error("the same seed made two runs")
	}
	if first == run(sandbox.Options{Seed: 2, Faults: half}) {
		t.Error("two seeds made the same run")
	}
	own := []sandbox.Fault{{Percent: 50, Status: 500, Seed: 9}}
	if run(sandbox.Options{Seed: 1, Faults: own}) != run(sandbox.Options{Seed: 2, Faults: own}) {
		t.Error("a fault's own seed did not win")
	}
}

func TestEmptyAnswers(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{Faults: []sandbox.Fault{{Next: 1, Status: 200, Empty: true}, {Next: 1, Status: 502, Body: "<html>bad gateway</html>"}}})
	if res := api(t, box, "GET", "contacts/filters", nil); res.status != 200 || res.raw != "" {
		t.Errorf("got %d %q, want an empty 200", res.status, res.raw)
	}
	if res := api(t, box, "GET", "contacts/filters", nil); res.status != 502 || !strings.HasPrefix(res.header.Get("Content-Type"), "text/html") {
		t.Errorf("got %d %v, want a page", res.status, res.header)
	}
}

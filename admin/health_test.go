package admin

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
)

// TestOpenPaths: probes and scrapers have no token.
func TestOpenPaths(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for path, part := range map[string]string{
		"/healthz": `{"status":"ok","version":"v1.2.3"}`,
		"/readyz":  `{"ready":true,"sending":true,"paused":[]}`,
		"/metrics": "freshrelay_up 1",
	} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || strings.TrimSpace(w.Body.String()) != part {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// TestReadyMeansStoring: API trouble is told and does not make it red; a store that takes nothing does.
func TestReadyMeansStoring(t *testing.T) {
	t.Parallel()
	var storing error
	s := newService(t, func(c *Config) {
		c.Ready = func(context.Context) error { return storing }
		c.Sending = func() Sending {
			return Sending{Paused: []Pause{{Reason: "key_refused", Detail: "for the operator's eyes"}}}
		}
	})
	got := read[Readiness](t, s, "GET", "/readyz", "", 200)
	want := Readiness{Ready: true, Sending: false, Paused: []string{"key_refused"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	storing = queue.ErrFull
	got = read[Readiness](t, s, "GET", "/readyz", "", 503)
	want = Readiness{Ready: false, Reason: "the store is full", Sending: false, Paused: []string{"key_refused"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	at := time.Unix(5000, 0).UTC()
	s := newService(t, func(c *Config) {
		c.Sending = func() Sending {
			return Sending{
				Paused: []Pause{{Reason: "throttled", Since: at, Detail: "429"}},
				API:    API{LastSuccess: &at, LastError: &APIError{Operation: "update_contact", Kind: "throttled", Status: 429}},
			}
		}
	})
	s.store.ledger = queue.Ledger{
		Accepted: 20, Delivered: 10, Discarded: 5, Dead: 2, Pending: 2, Oldest: at, Uncounted: []int{7},
		Counts: map[queue.Count]int64{
			{Type: "identify", Outcome: queue.Delivered}:                             10,
			{Type: "identify", Outcome: queue.Discarded, Reason: "missing_email"}:    1,
			{Type: "identify", Outcome: queue.Discarded, Reason: "missing_user_id"}:  3,
			{Type: "track", Outcome: queue.Discarded, Reason: "not_forwarded"}:       1,
			{Type: "identify", Outcome: queue.Dead, Reason: "invalid"}:               2,
			{Type: "identify", Outcome: queue.Dead, Reason: "exhausted"}:             0,
			{Type: "identify", Outcome: queue.Discarded, Reason: "of_a_later_time"}:  0,
			{Type: "identify", Outcome: queue.Discarded, Reason: "of_another_build"}: 1,
		},
	}
	s.store.sharing = queue.Sharing{
		Processes: []queue.Process{
			{ID: "a", Host: "relay-1", PID: 7, Role: "all", Delivers: true, Started: at, Seen: at, Self: true},
			{ID: "b", Host: "relay-2", PID: 8, Role: "ingest", Started: at, Seen: at, Silent: true},
		},
		Owners: map[int]string{0: "a", 2: "a", 3: "gone", 1: "a"}, Unowned: []int{4},
	}
	s.store.unmapped = make([]mapping.Unmapped, 1, 12)
	s.store.unmapped[0] = mapping.Unmapped{Trait: "cart", Source: "website", Count: 12, First: at, Last: at}
	got := read[Status](t, s, "GET", "/api/status", "", 200)
	oldest := time.Unix(50, 0).UTC()
	want := Status{
		Version: "v1.2.3", Started: time.Unix(1000, 0).UTC(), Mode: ModeSandbox, Account: "acme.example", Durability: Durability{Means: "replicated", Declared: true},
		Ledger:        Ledger{Accepted: 20, Delivered: 10, Discarded: 5, Dead: 2, Pending: 2, Difference: 1, SettledReading: true, Uncounted: []int{7}},
		Sends:         true,
		OldestPending: &at,
		Discards: []Tally{
			{"identify", "missing_user_id", 3, Advise(AboutDiscard, "missing_user_id").Mend},
			{"identify", "missing_email", 1, Advise(AboutDiscard, "missing_email").Mend},
			{"track", "not_forwarded", 1, Advise(AboutDiscard, "not_forwarded").Mend},
			{"identify", "of_another_build", 1, Advise(AboutDiscard, "?").Mend},
		},
		Dead:       []Tally{{"identify", "invalid", 2, Advise(AboutDead, "invalid").Mend}},
		Paused:     []Pause{{Reason: "throttled", Since: at, Detail: "429", Mend: Advise(AboutPause, "throttled").Mend}},
		API:        API{LastSuccess: &at, LastError: &APIError{"update_contact", "throttled", 429}},
		Quota:      []Quota{},
		Calls:      []Call{},
		CallsSince: s.cfg.Started,
		StoreBytes: map[string]uint64{"events": 5, "dead": 91, "journal": 9},
		Unmapped:   []mapping.Unmapped{{Trait: "cart", Source: "website", Count: 12, First: at, Last: at}},
		StoreFull:  map[string]int{"dead": 91},
		Causes:     []queue.LetterGroup{},
		Letters:    LetterAges{Oldest: &oldest, Expiring: 4},
		Journal:    true,
		Processes: []Process{
			{ID: "a", Host: "relay-1", PID: 7, Role: "all", Started: at, Seen: at, Self: true, Partitions: []int{0, 1, 2}},
			{ID: "b", Host: "relay-2", PID: 8, Role: "ingest", Started: at, Seen: at, Silent: true, Partitions: []int{}},
			{ID: "gone", Partitions: []int{3}},
		},
		Unowned: []int{4},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	s.store.ledger, s.store.sharing = queue.Ledger{Reading: true}, queue.Sharing{}
	w := s.ask(t, "GET", "/api/status", "")
	for _, part := range []string{
		`"oldest_pending":null`, `"discards":[]`, `"dead":[]`, `"settled_reading":false`, `"last_failure":null`, `"processes":[]`, `"unowned":[]`, `"uncounted":[]`,
	} {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("no %s in %s", part, w.Body)
		}
	}
}

package metrics

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// everything returns metrics on which each method was called once, so that every family exists.
func everything(t *testing.T) *Metrics {
	t.Helper()
	m := New()
	m.Sources("website")
	m.EventReceived("website", "identify", 1)
	m.EventSettled("identify", OutcomeDelivered, "", 3)
	m.RequestRejected(RejectedMalformed)
	m.Delivered(time.Second, time.Minute)
	m.APICall("update_contact", 200, time.Second)
	m.FieldsCleared(1)
	m.HeldStale(1)
	m.UnmappedTraits(1)
	m.Published(time.Millisecond, 7)
	m.SetPaused(PausedOutage, true)
	m.Attempted(WaySingle, AttemptDone)
	m.BulkEnded(BulkDone, 40)
	m.Committed(time.Millisecond, 3)
	m.Repeated(WritePack)
	m.RequestServed(200, time.Millisecond)
	m.Logged("warn", true)
	m.BuildInfo("v1.2.3", "go1.26")
	m.SetLevels(func() Levels {
		return Levels{
			Total: 1, Waiting: 1, DiskFree: 1, Ready: true,
			Partitions: []PartitionLevels{{Pending: 4, Lease: time.Second}}, StoreBytes: map[string]uint64{"events": 1}, Quota: []Quota{{Window: "hour", Limit: 1000}},
		}
	})
	return m
}

func TestLint(t *testing.T) {
	t.Parallel()
	problems, err := testutil.GatherAndLint(everything(t).registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, namespace+"_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestRuntimeCollectors(t *testing.T) {
	t.Parallel()
	page := scrape(t, New())
	for _, name := range []string{"go_goroutines", "process_cpu_seconds_total"} {
		if !strings.Contains(page, "\n"+name+" ") {
			t.Errorf("no %s on the page", name)
		}
	}
}

func TestSeriesExistAtZero(t *testing.T) {
	t.Parallel()
	m := New()
	m.Sources("website")
	page := scrape(t, m)
	for _, series := range []string{
		`freshrelay_events_received_total{source="website",type="group"} 0`,
		`freshrelay_events_total{outcome="delivered",reason="",type="identify"} 0`,
		`freshrelay_events_total{outcome="discarded",reason="missing_email",type="identify"} 0`,
		`freshrelay_events_total{outcome="dead",reason="exhausted",type="identify"} 0`,
		`freshrelay_requests_rejected_total{reason="bad_signature"} 0`,
		`freshrelay_api_requests_total{code="none",operation="contact_filters"} 0`,
		`freshrelay_paused{reason="key_refused"} 0`,
		`freshrelay_fields_cleared_total 0`,
		`freshrelay_held_stale_total 0`,
		`freshrelay_unmapped_traits_total 0`,
		`freshrelay_delivery_lag_seconds_count 0`,
	} {
		if !strings.Contains(page, series+"\n") {
			t.Errorf("no series %s", series)
		}
	}
}

func TestCounting(t *testing.T) {
	t.Parallel()
	m := everything(t)
	m.EventSettled("identify", OutcomeDiscarded, "missing_email", 2)
	m.EventSettled("identify", OutcomeDiscarded, "missing_email", 0)
	m.EventSettled("identify", OutcomeDiscarded, "missing_email", -5)
	m.FieldsCleared(-1)
	m.FieldsCleared(4)
	m.SetPaused(PausedOutage, false)
	m.SetPaused(PausedThrottled, true)
	m.APICall("contact_filters", 0, time.Second)
	m.APICall("contact_filters", 418, time.Second)
	page := scrape(t, m)
	for _, series := range []string{
		`freshrelay_events_received_total{source="website",type="identify"} 1`,
		`freshrelay_events_total{outcome="delivered",reason="",type="identify"} 3`,
		`freshrelay_events_total{outcome="discarded",reason="missing_email",type="identify"} 2`,
		`freshrelay_fields_cleared_total 5`,
		`freshrelay_paused{reason="outage"} 0`,
		`freshrelay_paused{reason="throttled"} 1`,
		`freshrelay_api_requests_total{code="none",operation="contact_filters"} 1`,
		`freshrelay_api_requests_total{code="418",operation="contact_filters"} 1`,
		`freshrelay_delivery_lag_seconds_sum 1`,
		`freshrelay_event_age_seconds_sum 60`,
		`freshrelay_pack_events_sum 7`,
		`freshrelay_publish_duration_seconds_sum 0.001`,
	} {
		if !strings.Contains(page, series+"\n") {
			t.Errorf("no series %s", series)
		}
	}
}

// TestNothingGrows feeds what senders and accounts may invent: no value of theirs may become a series.
func TestNothingGrows(t *testing.T) {
	t.Parallel()
	m := everything(t)
	m.SetLevels(func() Levels {
		return Levels{
			Partitions: []PartitionLevels{{Dead: map[string]int{"made up": 2, "exhausted": 1, Other: 1}}},
			Quota:      []Quota{{Window: "fortnight", Used: 7}},
			StoreBytes: map[string]uint64{"elsewhere": 5, "events": 6}, StoreLimit: map[string]uint64{"events": 60},
			Depth: Depth{Lanes: 11, InFlight: 12, Places: 16, ReadAhead: 13, Activities: 3, ActivityPlaces: 8},
		}
	})
	before := strings.Count(scrape(t, m), "\n")
	for i := range 500 {
		word := fmt.Sprintf("x%d", i)
		m.EventReceived("website", word, 1)
		m.EventSettled(word, OutcomeDead, word, 1)
		m.EventSettled("identify", OutcomeDelivered, word, 1)
		m.EventSettled("identify", word, word, 1)
		m.RequestRejected(word)
		m.APICall(word, 1000+i, time.Second)
		m.SetPaused(word, true)
		m.Attempted(word, word)
		m.BulkEnded(word, i)
		m.Repeated(word)
		m.Logged(word, false)
		m.RequestServed(i, time.Second)
	}
	page := scrape(t, m)
	// Three combinations with other are made by the first stray word; no later one makes any.
	if after := strings.Count(page, "\n"); after > before+3 {
		t.Errorf("%d lines before, %d after", before, after)
	}
	for _, series := range []string{
		`freshrelay_dead_letters{partition="0",reason="other"} 3`,
		`freshrelay_dead_letters{partition="0",reason="exhausted"} 1`,
		`freshrelay_dead_letters{partition="0",reason="invalid"} 0`,
		`freshrelay_store_bytes{stream="events"} 6`,
		`freshrelay_store_bytes{stream="other"} 5`,
		`freshrelay_store_limit_bytes{stream="events"} 60`,
		`freshrelay_lanes 11`,
		`freshrelay_changes_in_flight 12`,
		`freshrelay_changes_in_flight_limit 16`,
		`freshrelay_activities_in_flight 3`,
		`freshrelay_activities_in_flight_limit 8`,
		`freshrelay_read_ahead_bytes 13`,
		`freshrelay_quota_used{window="other"} 7`,
		`freshrelay_events_total{outcome="dead",reason="other",type="other"} 500`,
	} {
		if !strings.Contains(page, series+"\n") {
			t.Errorf("no series %s", series)
		}
	}
}

func TestUnknownAgeIsNotObserved(t *testing.T) {
	t.Parallel()
	m := New()
	m.Delivered(-time.Second, -1)
	page := scrape(t, m)
	for _, series := range []string{
		"freshrelay_delivery_lag_seconds_sum 0", "freshrelay_delivery_lag_seconds_count 1", "freshrelay_event_age_seconds_count 0",
	} {
		if !strings.Contains(page, series+"\n") {
			t.Errorf("no series %s", series)
		}
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	m := New()
	m.levels.now = func() time.Time { return time.Unix(5000, 0) }
	if page := scrape(t, m); strings.Contains(page, "freshrelay_pending_events") {
		t.Error("levels are shown before anybody knows them")
	}
	var l Levels
	m.SetLevels(func() Levels { return l })
	for name, tt := range map[string]struct {
		levels Levels
		want   []string
	}{
		"nothing waits": {Levels{Partitions: []PartitionLevels{{}}, StoreBytes: map[string]uint64{"events": 1}}, []string{
			`freshrelay_pending_events{partition="0"} 0`,
			`freshrelay_oldest_pending_timestamp_seconds{partition="0"} 5000`,
			`freshrelay_ledger_difference{partition="0"} 0`,
			`freshrelay_dead_letters{partition="0",reason="email_conflict"} 0`,
			`freshrelay_store_bytes{stream="journal"} 0`,
			`freshrelay_oldest_dead_letter_timestamp_seconds 5000`,
			`freshrelay_dead_letters_expiring 0`,
		}},
		"something waits": {Levels{Partitions: []PartitionLevels{{Number: 7, Pending: 12, OldestPending: time.UnixMilli(4321500), LedgerDifference: -2}}, StoreBytes: map[string]uint64{"dead": 1}, OldestLetter: time.UnixMilli(4000500), Expiring: 3}, []string{
			`freshrelay_pending_events{partition="7"} 12`,
			`freshrelay_oldest_pending_timestamp_seconds{partition="7"} 4321.5`,
			`freshrelay_ledger_difference{partition="7"} -2`,
			`freshrelay_oldest_dead_letter_timestamp_seconds 4000.5`,
			`freshrelay_dead_letters_expiring 3`,
		}},
	} {
		l = tt.levels
		page := scrape(t, m)
		for _, series := range tt.want {
			if !strings.Contains(page, series+"\n") {
				t.Errorf("%s: no series %s", name, series)
			}
		}
	}
}

func TestTwoServicesInOneProcess(t *testing.T) {
	t.Parallel()
	a, b := New(), New()
	a.FieldsCleared(1)
	if page := scrape(t, b); !strings.Contains(page, "freshrelay_fields_cleared_total 0\n") {
		t.Error("one service counts into the other")
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	m := New()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				m.EventReceived("website", "identify", 1)
				m.SetLevels(func() Levels { return Levels{} })
				scrape(t, m)
			}
		})
	}
	wg.Wait()
	if page := scrape(t, m); !strings.Contains(page, `freshrelay_events_received_total{source="website",type="identify"} 200`) {
		t.Error("counts were lost")
	}
}

// TestListsCannotBeChanged: the lists are handed out as copies.
func TestListsCannotBeChanged(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]func() []string{
		"Types": Types, "Operations": Operations, "Reasons": func() []string { return Reasons(OutcomeDead) },
	} {
		got := list()
		if len(got) < 2 || !slices.Contains(got, Other) {
			t.Errorf("%s() = %v", name, got)
		}
		got[0] = "changed"
		if list()[0] == "changed" {
			t.Errorf("%s hands out its own list", name)
		}
	}
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(rec.Body)
	if err != nil || rec.Code != http.StatusOK {
		t.Fatalf("scrape: %d %v\n%s", rec.Code, err, body)
	}
	return string(body)
}

package admin

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/queue"
)

// Whoever pauses or resumes is told at once why nothing is sent, with what to do about it.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	since := time.Unix(100, 0).UTC()
	s := newService(t, func(c *Config) {
		c.Sending = func() Sending { return Sending{Paused: []Pause{{Reason: "operator", Since: since}}} }
	})
	got := read[Sent](t, s, "POST", "/api/pause", "", 200)
	want := Sent{Paused: []Pause{{Reason: "operator", Since: since, Mend: "When it is to go on: freshrelay resume"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	read[Sent](t, s, "POST", "/api/resume", "", 200)
	if !slices.Equal(s.store.orders, []string{"pause unknown", "resume"}) {
		t.Errorf("orders %v", s.store.orders)
	}
	if s.logs.FilterMessage("an order about sending was taken").Len() != 2 {
		t.Error("an order leaves no trace in the log")
	}
	s.store.orders = nil
	read[Sent](t, s, "POST", "/api/pause", `{"note":" ask ada@example.com "}`, 200)
	if !slices.Equal(s.store.orders, []string{"pause unknown ask [email]"}) {
		t.Errorf("orders %q", s.store.orders)
	}
	if e := s.store.audits[len(s.store.audits)-1]; e.Action != "pause" || e.Detail != "all sending; note: ask [email]" {
		t.Errorf("audit %+v", e)
	}
	if p := read[Problem](t, s, "POST", "/api/pause", `{"note":"`+strings.Repeat("x", 201)+`"}`, 400); !strings.Contains(p.Error, "limit is 200") {
		t.Errorf("%+v", p)
	}
	none := newService(t, func(c *Config) { c.Operator = nil })
	if p := read[Problem](t, none, "POST", "/api/pause", "", 409); p.Mend == "" {
		t.Errorf("%+v", p)
	}
	s.store.failing = queue.ErrUnavailable
	if p := read[Problem](t, s, "POST", "/api/pause", "", 503); p.Mend == "" {
		t.Errorf("%+v", p)
	}
}

// The figures of the quota and of the backlog are passed on as they are; what nobody can tell is null.
func TestStatusHasTheQuota(t *testing.T) {
	t.Parallel()
	quota := []Quota{{Window: "hour", Limit: 1000, Reserve: 100, Allowed: 900, Used: 200, Left: 700}}
	s := newService(t, func(c *Config) {
		c.Sending = func() Sending {
			return Sending{Mode: "canary", Quota: quota, BacklogClear: func(pending int64) *float64 {
				if pending != 5 {
					return nil
				}
				seconds := 12.5
				return &seconds
			}}
		}
	})
	if st := read[Status](t, s, "GET", "/api/status", "", 200); st.BacklogClear != nil || st.Delivery != "canary" || !cmp.Equal(st.Quota, quota) {
		t.Errorf("%+v", st)
	}
	s.store.ledger = queue.Ledger{Accepted: 5, Pending: 5}
	if st := read[Status](t, s, "GET", "/api/status", "", 200); st.BacklogClear == nil || *st.BacklogClear != 12.5 {
		t.Errorf("%+v", st.BacklogClear)
	}
}

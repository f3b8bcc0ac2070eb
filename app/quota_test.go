package app_test

import (
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app/config"
)

// What is used, left and kept of the quota, and when the backlog will be clear, is told alike by status and by the metrics, and is
// what the account has counted.
func TestStatusAndMetricsTellTheQuotaTheAccountCounts(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), func(c *config.Config) {
		c.Freshmarketer.Quota = config.Quota{PerHour: 2000, PerMinute: 300, Reserve: 0.25}
	})
	if status, answer := p.post("/v1/identify", sample(t, "01")); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	var st admin.Status
	var calls, before struct{ Total int }
	for again := true; again; again = calls != before { // no call came between the two readings
		p.get(p.at.Sandbox+"/_sandbox/calls", &before)
		st = p.drained()
		p.get(p.at.Sandbox+"/_sandbox/calls", &calls)
	}
	if calls.Total < 2 || len(st.Quota) != 2 {
		t.Fatalf("%d calls, windows %+v: this was to be about some", calls.Total, st.Quota)
	}
	want := []admin.Quota{
		{Window: "hour", Limit: 2000, Reserve: 500, Allowed: 1500, Used: calls.Total, Left: 1500 - calls.Total},
		{Window: "minute", Limit: 300, Reserve: 75, Allowed: 225, Used: calls.Total, Left: 225 - calls.Total},
	}
	minute := &st.Quota[len(st.Quota)-1] // on a slow machine it may be over
	minute.Used, minute.Left = want[1].Used, want[1].Left
	if diff := cmp.Diff(want, st.Quota); diff != "" || st.BacklogClear == nil || *st.BacklogClear != 0 {
		t.Errorf("status: backlog clear in %v %s", st.BacklogClear, diff)
	}
	figures := p.figures()
	for _, q := range want {
		for name, n := range map[string]int{"limit": q.Limit, "reserve": q.Reserve, "allowed": q.Allowed, "used": q.Used, "remaining": q.Left} {
			if q.Window == "minute" && (name == "used" || name == "remaining") {
				continue
			}
			if got := figures[`quota_`+name+`{window="`+q.Window+`"}`]; got != strconv.Itoa(n) {
				t.Errorf("metrics: quota_%s of the %s is %q, want %d", name, q.Window, got, n)
			}
		}
	}
	if figures["backlog_clear_seconds"] != "0" {
		t.Errorf("metrics: the backlog is clear in %q", figures["backlog_clear_seconds"])
	}

	ask(t, p.at.Sandbox+"/_sandbox/faults", []byte(`{"percent":100,"status":401}`)) // which nobody can foresee the end of
	if status, answer := p.post("/v1/identify", sample(t, "02")); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	for len(st.Paused) == 0 {
		time.Sleep(20 * time.Millisecond)
		p.get(p.at.Admin+"/api/status", &st)
	}
	st.BacklogClear = nil
	if p.get(p.at.Admin+"/api/status", &st); st.Ledger.Pending != 1 || st.BacklogClear != nil || p.figures()["backlog_clear_seconds"] != "+Inf" {
		t.Errorf("while the key is refused: %d pending, clear in %v, metrics %q", st.Ledger.Pending, st.BacklogClear, p.figures()["backlog_clear_seconds"])
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// figures are the values of the metrics by name and labels, without the prefix.
func (p *process) figures() map[string]string {
	p.t.Helper()
	resp, err := http.Get(p.at.Admin + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	figures := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^freshrelay_(\S+) (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		figures[strings.TrimSpace(line[1])] = line[2]
	}
	return figures
}

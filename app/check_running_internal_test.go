package app

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app/config"
)

func findings(r CheckReport) string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, fmt.Sprintf("%s %s: %s → %s", f.Level, f.Area, f.What, f.Mend))
	}
	return strings.Join(all, "\n")
}

func TestCheckSaysWhatTheQuotaIsAndWhatIsWanted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, checkQuotas) // on fake time, so that three hours are three hours
}

func checkQuotas(t *testing.T) {
	t.Helper()
	calls := []admin.Call{
		{Received: 12_000, Dropped: map[string]int{"repeated": 1000}}, {Received: 90_000, Dropped: map[string]int{"not_forwarded": 89_000}},
	}
	twoHours := 7200.0
	for name, c := range map[string]struct {
		quota   config.Quota
		sandbox bool
		status  *admin.Status
		want    []string
	}{
		"a plan":             {config.Quota{PerHour: 1000, PerMinute: 400, Reserve: 0.1}, false, nil, []string{"ok quota: 1000 API calls an hour, of which 100 are kept for people: 900 are ours"}},
		"nothing for people": {config.Quota{PerHour: 1000}, false, nil, []string{"warning quota: 1000 API calls an hour, and none", "reserve: 0.1"}},
		"no limit":           {config.Quota{}, false, nil, []string{"warning quota: freshmarketer.quota.per_hour is 0", "what your plan gives"}},
		"a sandbox":          {config.Quota{}, true, nil, []string{"ok quota: no limit"}},
		"it is enough": {
			config.Quota{PerHour: 5000, Reserve: 0.1},
			false,
			&admin.Status{Calls: calls, CallsSince: time.Now().Add(-3 * time.Hour), Quota: []admin.Quota{{Window: "hour", Used: 7, Left: 4493}}},
			[]string{"ok quota: this hour: 7 used, 4493 left", "ok quota: about 4000 calls an hour come"},
		},
		"it is too little": {
			config.Quota{PerHour: 1000, Reserve: 0.1},
			false,
			&admin.Status{Calls: calls, CallsSince: time.Now().Add(-3 * time.Hour), Ledger: admin.Ledger{Pending: 800}, BacklogClear: &twoHours},
			[]string{"warning quota: about 4000 calls an hour come", "more than the 900 that are ours; 800 wait, clear in about 2h0m0s", "forward fewer"},
		},
		"too early to tell": {
			config.Quota{PerHour: 1000, Reserve: 0.1}, false, &admin.Status{Calls: calls, CallsSince: time.Now().Add(-time.Minute)}, []string{"900 are ours → "},
		},
	} {
		r := CheckReport{cfg: config.Config{Freshmarketer: config.Freshmarketer{Quota: c.quota}}}
		r.quota(c.status, c.sandbox)
		got := findings(r)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", name, want, got)
			}
		}
		if early := name == "too early to tell" && strings.Contains(got, "an hour come"); early {
			t.Errorf("a minute is told as an hour:\n%s", got)
		}
	}
}

// What holds the running service is said by check, too: what does not mend itself is a problem.
func TestCheckSaysWhyTheServiceSendsNothing(t *testing.T) {
	t.Parallel()
	r := CheckReport{}
	r.sending(&admin.Status{Sends: true, Paused: []admin.Pause{
		{Reason: "activities", Detail: "activities.owner: there is none", Mend: "correct it"}, {Reason: "operator", Mend: "freshrelay resume"},
	}})
	got := findings(r)
	for _, want := range []string{
		"problem sending: the running service is paused: activities (activities.owner: there is none) → correct it", "warning sending: the running service is paused: operator → freshrelay resume",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	well := CheckReport{}
	well.sending(&admin.Status{Sends: true})
	if got := findings(well); got != "ok sending: the running service sends → " {
		t.Error(got)
	}
}

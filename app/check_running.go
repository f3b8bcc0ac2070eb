package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/metrics"
)

// maxStatus is far above a status (bytes).
const maxStatus = 16 << 20

// statusOf is the status of the service that runs with this configuration; nil if its token cannot be read here, or it does
// not take it: what runs there is somebody else's then.
func (r *CheckReport) statusOf(ctx context.Context, client *http.Client, base string) *admin.Status {
	path := admin.TokenPath(r.cfg.DataDir, r.cfg.Admin.TokenFile)
	if base != "" && !filepath.IsAbs(path) {
		path = filepath.Join(base, path)
	}
	token, err := admin.LoadToken(path)
	if err != nil {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.cfg.Admin.Listen+"/api/status", nil)
	if err != nil {
		return nil
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	var st admin.Status
	if resp.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(resp.Body, maxStatus)).Decode(&st) != nil {
		return nil
	}
	return &st
}

// sending says why the running service sends nothing.
func (r *CheckReport) sending(st *admin.Status) {
	for _, p := range st.Paused {
		level := LevelWarning // it ends by itself, or somebody wants it so
		switch p.Reason {
		case metrics.PausedKeyRefused, metrics.PausedMisconfigured, metrics.PausedActivities:
			level = LevelProblem
		}
		what := "the running service is paused: " + p.Reason
		if p.Detail != "" {
			what += " (" + p.Detail + ")"
		}
		r.Add("sending", level, what, p.Mend)
	}
	if st.Sends && len(st.Paused) == 0 {
		r.Add("sending", LevelOK, "the running service sends", "")
	}
}

// quota says how many API calls there are, and how many the sources would want.
func (r *CheckReport) quota(st *admin.Status, sandbox bool) {
	q := r.cfg.Freshmarketer.Quota
	switch {
	case q.PerHour == 0 && q.PerMinute == 0 && sandbox:
		r.Add("quota", LevelOK, "no limit: the sandbox has no plan", "")
		return
	case q.PerHour == 0:
		r.Add("quota", LevelWarning, "freshmarketer.quota.per_hour is 0: as many calls are made as the account takes, and people and other integrations find none left",
			"set it to what your plan gives (docs/quota.md)")
		return
	case q.Reserve == 0:
		r.Add("quota", LevelWarning, fmt.Sprintf("%d API calls an hour, and none of them kept for people and other integrations", q.PerHour), "freshmarketer.quota.reserve: 0.1 keeps a tenth")
	default:
		r.Add("quota", LevelOK, fmt.Sprintf("%d API calls an hour, of which %d are kept for people: %d are ours", q.PerHour, q.PerHour-ours(q), ours(q)), "")
	}
	if st != nil {
		r.wanted(st, ours(q))
	}
}

// ours is what the hour leaves us.
func ours(q config.Quota) int { return int(float64(q.PerHour)*(1-q.Reserve) + 1e-9) }

// least is how long calls are counted before anything is said of an hour.
const least = 10 * time.Minute

// wanted compares what came with what there is. A call of which something changes costs about one API call where it is sent
// alone; what changes nothing costs none, and bulks carry a hundred.
func (r *CheckReport) wanted(st *admin.Status, ours int) {
	stored := 0
	for _, c := range st.Calls {
		stored += c.Received
		for _, n := range c.Dropped {
			stored -= n
		}
	}
	for _, q := range st.Quota {
		r.Add("quota", LevelOK, fmt.Sprintf("this %s: %d used, %d left", q.Window, q.Used, q.Left), "")
	}
	counted := time.Since(st.CallsSince)
	if counted < least || stored == 0 {
		return
	}
	hourly := int(float64(stored) / counted.Hours())
	what := fmt.Sprintf("about %d calls an hour come to be delivered, each up to one API call or more where it changes something", hourly)
	if hourly <= ours {
		r.Add("quota", LevelOK, what, "")
		return
	}
	when := "nobody can tell when it is clear"
	if st.BacklogClear != nil {
		when = "clear in about " + (time.Duration(*st.BacklogClear) * time.Second).Round(time.Minute).String()
	}
	r.Add("quota", LevelWarning, fmt.Sprintf("%s: more than the %d that are ours; %d wait, %s", what, ours, st.Ledger.Pending, when),
		"forward fewer track and page calls, send identify only when something has changed, or take a larger plan")
}

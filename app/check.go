package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/mapping"
)

// Levels of a Finding.
const (
	LevelOK      = "ok"
	LevelWarning = "warning" // it works, perhaps not as you think
	LevelProblem = "problem" // it does not work
)

// AreaPublic is the area of findings about the way of senders to us.
const AreaPublic = "public"

// Finding is one thing that was looked at.
type Finding struct {
	Area  string `json:"area"`  // configuration, data_dir, listeners, sending, broker, sources, quota, account, fields, activities or public
	Level string `json:"level"` // LevelOK, LevelWarning or LevelProblem
	What  string `json:"what"`
	Mend  string `json:"mend,omitempty"`
}

// CheckReport is everything that was looked at, and what follows for calls and new contacts.
type CheckReport struct {
	Problems    int              `json:"problems"`
	Warnings    int              `json:"warnings"`
	Findings    []Finding        `json:"findings"`
	Calls       []admin.CallFate `json:"calls"`
	NewContacts []NewValue       `json:"new_contacts"`
	Usable      bool             `json:"-"` // the configuration could be loaded
	Reachable   bool             `json:"-"` // senders come to this service by its public address; only looked at if asked for
	cfg         config.Config
}

// CheckOptions say what to look at.
type CheckOptions struct {
	Config  config.Options
	Version string
	HTTP    *http.Client
	Public  bool   // whether senders reach us by public_url
	Offline bool   // ask neither the account nor anybody else
	Fields  []byte // a saved answer of the account's fields, instead of asking; may be nil
}

// Check looks at the configuration and what it needs. It changes nothing and stores nothing.
func Check(ctx context.Context, o CheckOptions) CheckReport {
	r := CheckReport{Findings: []Finding{}, Calls: []admin.CallFate{}, NewContacts: []NewValue{}}
	cfg, err := config.Load(o.Config)
	wrong, bad := errors.AsType[*config.Error](err)
	switch {
	case bad:
		for _, p := range wrong.Problems {
			what := p
			what.Mend = ""
			r.Add("configuration", LevelProblem, strings.TrimSuffix(what.String(), "; "), p.Mend)
		}
		return r
	case err != nil:
		r.Add("configuration", LevelProblem, err.Error(), "make it readable for this user")
		return r
	}
	r.Usable, r.cfg = true, cfg
	where := cfg.File
	if where == "" {
		where = "defaults and environment"
	}
	r.Add("configuration", LevelOK, where, "")
	running := !o.Offline && r.running(ctx, o.HTTP)
	var st *admin.Status
	if running {
		if st = r.statusOf(ctx, o.HTTP, o.Config.Dir); st != nil {
			r.sending(st)
		}
	}
	r.dataDir(o.Config.Dir)
	if !running && !o.Offline { // what checks a configuration need not be the machine that runs it
		r.listeners(ctx)
	}
	if !o.Offline {
		r.broker(ctx, o)
	}
	r.sources()
	r.forwards()
	r.quota(st, o.Config.Sandbox)
	fields := r.account(ctx, o)
	if fields != nil {
		r.fields(mapping.NewCatalogue(fields), fields)
	}
	if o.Public {
		r.public(ctx, o.HTTP)
	}
	r.Calls = CallFates(cfg)
	r.NewContacts = newValues(cfg, fields)
	return r
}

// Add adds a finding to the report.
func (r *CheckReport) Add(area, level, what, mend string) {
	r.Findings = append(r.Findings, Finding{Area: area, Level: level, What: what, Mend: mend})
	switch level {
	case LevelProblem:
		r.Problems++
	case LevelWarning:
		r.Warnings++
	}
}

// running says whether a service answers at admin.listen; its addresses are taken then, by itself.
func (r *CheckReport) running(ctx context.Context, client *http.Client) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.cfg.Admin.Listen+"/healthz", nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	if resp.Header.Get(admin.APIHeader) == "" {
		return false
	}
	r.Add("listeners", LevelOK, "a service runs with these addresses", "")
	return true
}

// dataDir looks for a directory that can be written to: the data directory, or the one it would be made in.
func (r *CheckReport) dataDir(base string) {
	dir := r.cfg.DataDir
	if base != "" && !filepath.IsAbs(dir) {
		dir = filepath.Join(base, dir)
	}
	at := dir
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			r.Add("data_dir", LevelProblem, at+" is not a directory", "name a directory: data_dir")
			return
		}
		if err == nil || filepath.Dir(at) == at {
			break
		}
		at = filepath.Dir(at)
	}
	probe, err := os.CreateTemp(at, ".freshrelay-check-*")
	if err != nil {
		r.Add("data_dir", LevelProblem, at+" cannot be written to by this user", "let the user of the service own it, or name another: data_dir")
		return
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	if at != dir {
		r.Add("data_dir", LevelOK, dir+" will be made at the first start", "")
		return
	}
	r.Add("data_dir", LevelOK, dir, "")
}

func (r *CheckReport) listeners(ctx context.Context) {
	for _, l := range [][2]string{{"listen", r.cfg.Listen}, {"admin.listen", r.cfg.Admin.Listen}} {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l[1])
		if err != nil {
			r.Add("listeners", LevelProblem, fmt.Sprintf("%s = %s cannot be listened on: %s", l[0], l[1], listenCause(err)),
				"stop what uses it, or name another address")
			continue
		}
		_ = listener.Close()
		r.Add("listeners", LevelOK, l[0]+" "+l[1]+" is free", "")
	}
}

func listenCause(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err.Error()
	}
	return err.Error()
}

func (r *CheckReport) sources() {
	base := r.cfg.Public()
	if base == "" {
		base = "http://" + r.cfg.Listen
		r.Add("sources", LevelWarning, "nobody said how senders reach this service", "set public_url (or tls.acme_domain); Segment calls https alone")
	}
	for _, s := range r.cfg.Sources {
		var ways []string
		if len(s.WriteKeys) > 0 {
			ways = append(ways, "libraries: "+base+"/v1 with a write key")
		}
		if len(s.WebhookSecrets) > 0 {
			ways = append(ways, "webhook: "+base+"/webhook/"+s.Name+" with a shared secret")
		}
		r.Add("sources", LevelOK, s.Name+"; "+strings.Join(ways, "; "), "")
	}
}

package app_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// process is a whole service in this process, on real sockets.
type process struct {
	t    testing.TB
	cfg  config.Config
	at   app.Addresses
	logs *observer.ObservedLogs
	stop func() error
}

func startProcess(t *testing.T, dir string, change ...func(*config.Config)) *process {
	t.Helper()
	return startOn(t, sandbox.Options{}, dir, change...)
}

// startOn starts it on a sandbox of that kind.
func startOn(t *testing.T, box sandbox.Options, dir string, change ...func(*config.Config)) *process {
	t.Helper()
	cfg := config.SandboxDefaults()
	cfg.DataDir, cfg.Listen, cfg.Admin.Listen = dir, "127.0.0.1:0", "127.0.0.1:0"
	cfg.NATS.MaxBytes = 64 << 20
	for _, f := range change {
		f(&cfg)
	}
	core, logs := observer.New(zap.DebugLevel)
	ready := make(chan app.Addresses, 1)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- app.Run(ctx, cfg, app.Options{Sandbox: true, SandboxListen: "127.0.0.1:0", SandboxOptions: box, Version: "test", Logger: zap.New(core), Ready: ready})
	}()
	p := &process{t: t, cfg: cfg, logs: logs}
	p.stop = func() error { cancel(); return <-done }
	select {
	case p.at = <-ready:
	case err := <-done:
		t.Fatalf("the service did not start: %v", err)
	}
	return p
}

// post sends a body to the ingest listener, signed or with the write key, as the path asks.
func (p *process) post(path string, body []byte) (status int, answer string) {
	p.t.Helper()
	return p.postSigned(path, body, body)
}

// postSigned does so with the signature of a part of the body.
func (p *process) postSigned(path string, body, signed []byte) (status int, answer string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.at.Ingest+path, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if strings.HasPrefix(path, "/webhook/") {
		mac := hmac.New(sha1.New, []byte(config.SandboxWebhookSecret))
		mac.Write(signed)
		req.Header.Set("X-Signature", hex.EncodeToString(mac.Sum(nil)))
	} else {
		req.SetBasicAuth(config.SandboxWriteKey, "")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// get reads JSON from the admin or sandbox listener.
func (p *process) get(url string, into any) {
	p.t.Helper()
	token, err := os.ReadFile(filepath.Join(p.cfg.DataDir, "admin.token"))
	if err != nil {
		p.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p.t.Fatalf("%s answers %d", url, resp.StatusCode)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		p.t.Fatal(err)
	}
}

// drained waits until nothing is pending and returns the status.
func (p *process) drained() admin.Status {
	p.t.Helper()
	for {
		var st admin.Status
		p.get(p.at.Admin+"/api/status", &st)
		if st.Ledger.Pending == 0 && st.Ledger.SettledReading {
			if st.Ledger.Difference != 0 {
				p.t.Errorf("the ledger does not add up: %+v", st.Ledger)
			}
			return st
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-p.t.Context().Done():
			p.t.Fatalf("still pending: %+v", st)
		}
	}
}

type contact struct {
	ExternalID string         `json:"external_id"`
	Email      string         `json:"email"`
	Fields     map[string]any `json:"fields"`
	Custom     map[string]any `json:"custom_field"`
}

func (p *process) contacts() map[string]contact {
	p.t.Helper()
	var list struct {
		Contacts []contact `json:"contacts"`
	}
	p.get(p.at.Sandbox+"/_sandbox/contacts", &list)
	byUser := map[string]contact{}
	for _, c := range list.Contacts {
		byUser[c.ExternalID] = c
	}
	return byUser
}

func sample(t *testing.T, number string) []byte {
	t.Helper()
	files, err := filepath.Glob("../testdata/segment/" + number + "-*.json")
	if err != nil || len(files) != 1 {
		t.Fatalf("sample %s: %v %v", number, files, err)
	}
	body, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// The samples, posted one after another, do to the sandbox's contacts what their index says. Two services at once.
func TestTheSamplesBecomeTheirContacts(t *testing.T) {
	t.Parallel()
	for _, instance := range []string{"one", "two"} {
		t.Run(instance, func(t *testing.T) {
			t.Parallel()
			p := startProcess(t, t.TempDir())
			const mail = "mara.okafor@harborlane.test"
			steps := []struct {
				sample string
				custom map[string]any // of contact cust-1001 after it
				fields map[string]any // likewise, those that are named
			}{
				{"01", map[string]any{"cf_industry": "Logistics", "cf_plan": "growth", "cf_logins": 12.0}, map[string]any{"first_name": "Mara", "last_name": "Okafor"}},
				{"02", map[string]any{}, map[string]any{"first_name": "Mara", "last_name": "Okafor-Lind"}},
				{"05", map[string]any{"cf_logins": 0.0, "cf_subscribed": false}, map[string]any{"first_name": nil, "last_name": nil}},
				{"06", map[string]any{"cf_industry": "   ", "cf_plan": "growth"}, map[string]any{"first_name": nil}},
				{"24", map[string]any{"cf_industry": "   ", "cf_plan": "growth", "cf_order_completed_last_30days": true}, nil},
				{"25", map[string]any{"cf_industry": "   ", "cf_plan": "growth", "cf_order_completed_last_30days": false}, nil},
			}
			for _, step := range steps {
				if status, answer := p.post("/webhook/website", sample(t, step.sample)); status != http.StatusOK {
					t.Fatalf("sample %s: %d %s", step.sample, status, answer)
				}
				p.drained()
				c := p.contacts()["cust-1001"]
				if diff := cmp.Diff(step.custom, c.Custom); diff != "" || c.Email != mail {
					t.Errorf("after sample %s: %s %+v", step.sample, diff, c)
				}
				for name, want := range step.fields {
					if c.Fields[name] != want {
						t.Errorf("after sample %s: %s is %v, want %v", step.sample, name, c.Fields[name], want)
					}
				}
			}
			for _, n := range []string{"08", "12", "13"} {
				if status, answer := p.post("/v1/identify", sample(t, n)); status != http.StatusOK {
					t.Fatalf("sample %s: %d %s", n, status, answer)
				}
			}
			st := p.drained()
			all := p.contacts()
			unicode := all["ключ-Ω-1005"]
			if unicode.Email != "zoë.müller@bücher.test" || unicode.Fields["city"] != "İstanbul" || unicode.Fields["first_name"] != "Zoë" {
				t.Errorf("sample 08: %+v", unicode)
			}
			if len(all) != 2 {
				t.Errorf("%d contacts, want 2: %v", len(all), all)
			}
			want := map[string]int64{"missing_user_id": 1, "missing_email": 1}
			for _, d := range st.Discards {
				want[d.Reason] -= d.Count
			}
			if want["missing_user_id"] != 0 || want["missing_email"] != 0 || len(st.Discards) != 2 || st.Ledger.Accepted != 9 || st.Ledger.Delivered != 7 {
				t.Errorf("ledger %+v, discards %+v", st.Ledger, st.Discards)
			}
			if err := p.stop(); err != nil {
				t.Error(err)
			}
			for _, e := range p.logs.All() {
				line := fmt.Sprintf("%s %[2]v %[2]s", e.Message, e.ContextMap()) // bytes as text, too
				for _, secret := range []string{"@", "Okafor", "cust-1001", config.SandboxAPIKey, config.SandboxWriteKey} {
					if strings.Contains(line, secret) {
						t.Errorf("a log line tells %q: %s", secret, line)
					}
				}
			}
		})
	}
}

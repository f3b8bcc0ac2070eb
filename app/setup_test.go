package app_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/certtest"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

const setupKey = "key-of-the-account-0123456789"

// setupAnswers are complete answers about an account at that address.
func setupAnswers(t *testing.T, base string) app.SetupAnswers {
	t.Helper()
	return app.SetupAnswers{
		Dir: t.TempDir(), Domain: "acme", BaseURL: base, APIKey: setupKey, PublicURL: "https://relay.example.com", HTTPS: app.HTTPSProxy,
		AdminListen: "127.0.0.1:8081", Source: "website", MissingTraits: config.MissingClear,
	}
}

func setupAccount(t *testing.T, custom ...sandbox.Field) string {
	t.Helper()
	box, err := sandbox.New(sandbox.Options{APIKeys: []string{setupKey}, CustomFields: custom})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(func() { _ = box.Close() })
	return server.URL
}

func TestSetupMakesAConfigurationThatWorks(t *testing.T) {
	t.Parallel()
	cert, key := certtest.New(t).IssueFiles(t.TempDir(), 1, time.Hour)
	account := setupAccount(t)
	for name, change := range map[string]func(*app.SetupAnswers){
		"proxy":          func(*app.SetupAnswers) {},
		"acme":           func(a *app.SetupAnswers) { a.HTTPS = app.HTTPSACME },
		"files":          func(a *app.SetupAnswers) { a.HTTPS, a.CertFile, a.KeyFile = app.HTTPSFiles, cert, key },
		"no address yet": func(a *app.SetupAnswers) { a.PublicURL = "" },
		"keep, own figures": func(a *app.SetupAnswers) {
			a.MissingTraits, a.PerHour, a.Listen = config.MissingKeep, 5000, "127.0.0.1:9000"
		},
		"a difficult path": func(a *app.SetupAnswers) { a.Dir = filepath.Join(a.Dir, "it's: #1 {x}") },
		"offline":          func(a *app.SetupAnswers) { a.Offline, a.BaseURL = true, "http://127.0.0.1:1" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := setupAnswers(t, account)
			change(&a)
			made, err := app.MakeSetup(t.Context(), a, "v0")
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Load(config.Options{Path: made.File, Environ: []string{}})
			if err != nil {
				t.Fatal(err)
			}
			checkSetup(t, a, made, cfg)
		})
	}
}

// checkSetup compares what was written with the answers.
func checkSetup(t *testing.T, a app.SetupAnswers, made app.Setup, cfg config.Config) {
	t.Helper()
	if cfg.Delivery.Mode != config.ModeObserve || cfg.Mapping.MissingTraits != a.MissingTraits || string(cfg.Freshmarketer.APIKey) != setupKey {
		t.Errorf("mode %q, missing_traits %q, or the key is another", cfg.Delivery.Mode, cfg.Mapping.MissingTraits)
	}
	if perHour := max(a.PerHour, 1000); cfg.Freshmarketer.Quota.PerHour != perHour || made.PerHour != perHour {
		t.Errorf("quota %d, said %d, want %d", cfg.Freshmarketer.Quota.PerHour, made.PerHour, perHour)
	}
	if a.Listen != "" && cfg.Listen != a.Listen {
		t.Errorf("listens on %s, want %s", cfg.Listen, a.Listen)
	}
	if cfg.Public() != a.PublicURL || (a.HTTPS == app.HTTPSACME) != (cfg.TLS.ACMEDomain == "relay.example.com") || (a.HTTPS == app.HTTPSFiles) != (cfg.TLS.CertFile != "") {
		t.Errorf("public %q, TLS %+v", cfg.Public(), cfg.TLS)
	}
	source := cfg.Sources[0]
	if len(source.WebhookSecrets) != 1 || string(source.WebhookSecrets[0]) != made.Secret || len(made.Secret) < 20 || len(source.WriteKeys) != 1 {
		t.Error("the source has other secrets than were said")
	}
	if !a.Offline && (made.Fields == 0 || len(made.Custom) == 0) {
		t.Errorf("fields %d, custom %v: the account has some", made.Fields, made.Custom)
	}
	for _, path := range append(made.Secrets, made.File) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
}

func TestSetupRefusesWrongAnswersAndWritesNothing(t *testing.T) {
	t.Parallel()
	account := setupAccount(t)
	answering := func(status int, kind, body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "/login")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	for name, tc := range map[string]struct {
		change     func(*app.SetupAnswers)
		what, mend string
	}{
		"wrong key": {func(a *app.SetupAnswers) { a.APIKey = "another-key-0123456789" }, "does not accept the API key", "copy the key again"},
		"key of no admin": {func(a *app.SetupAnswers) {
			a.BaseURL = answering(403, "application/json", `{"errors":{"code":403,"message":["Access denied"]}}`)
		}, "403", "key of an administrator"},
		"sign-in page":      {func(a *app.SetupAnswers) { a.BaseURL = answering(302, "text/html", "<html>") }, "not the API", "look at the domain"},
		"some web page":     {func(a *app.SetupAnswers) { a.BaseURL = answering(404, "text/html", "<html>") }, "not the API", "look at the domain"},
		"quota used up":     {func(a *app.SetupAnswers) { a.BaseURL = answering(429, "application/json", `{"error_code":429}`) }, "quota is used up", "try again later"},
		"nobody answers":    {func(a *app.SetupAnswers) { a.BaseURL = "http://127.0.0.1:1" }, "does not answer", "--offline"},
		"no domain":         {func(a *app.SetupAnswers) { a.Domain, a.BaseURL = "acme.example.com", "" }, "freshmarketer.domain", "acme"},
		"http address":      {func(a *app.SetupAnswers) { a.PublicURL = "http://relay.example.com" }, "not encrypted", "https://"},
		"address with path": {func(a *app.SetupAnswers) { a.PublicURL = "https://relay.example.com/webhook" }, "public_url", "https://relay.example.com"},
		"source name":       {func(a *app.SetupAnswers) { a.Source = "My Site" }, "sources[0].name", "a"},
		"source elsewhere":  {func(a *app.SetupAnswers) { a.Source = "../../review" }, "no name for a source", "--source website"},
		"acme, no address":  {func(a *app.SetupAnswers) { a.HTTPS, a.PublicURL = app.HTTPSACME, "" }, "no public address", "--public-url"},
		"no certificate":    {func(a *app.SetupAnswers) { a.HTTPS = app.HTTPSFiles }, "two files", "--cert-file"},
		"lost certificate": {func(a *app.SetupAnswers) {
			a.HTTPS, a.CertFile, a.KeyFile = app.HTTPSFiles, "/nowhere.pem", "/nowhere.key"
		}, "tls.cert_file", "path"},
		"short key":        {func(a *app.SetupAnswers) { a.APIKey = "k y" }, "api_key", ""},
		"quota of nothing": {func(a *app.SetupAnswers) { a.PerHour = 3 }, "per_hour", "at least 10"},
		"admin address":    {func(a *app.SetupAnswers) { a.AdminListen = "localhost" }, "admin.listen", "host and port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := setupAnswers(t, account)
			tc.change(&a)
			_, err := app.MakeSetup(t.Context(), a, "v0")
			if err == nil {
				t.Fatal("taken")
			}
			text := err.Error()
			if wrong, ok := errors.AsType[*app.SetupError](err); ok {
				text += " → " + wrong.Mend()
			}
			if !strings.Contains(text, tc.what) || !strings.Contains(text, tc.mend) {
				t.Errorf("said: %s\nwant %q and %q", text, tc.what, tc.mend)
			}
			if strings.Contains(text, string(a.APIKey)) {
				t.Error("the key is shown")
			}
			if left, _ := os.ReadDir(a.Dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "review_*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestSetupOverwritesNothing(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	t.Cleanup(server.Close)
	a := setupAnswers(t, server.URL)
	a.Offline = true
	made, err := app.MakeSetup(context.Background(), a, "v0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.MakeSetup(t.Context(), a, "v0"); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a second time: %v", err)
	}
	if err := errors.Join(os.Remove(made.File), os.Chmod(made.SecretFile, 0o644)); err != nil {
		t.Fatal(err)
	}
	again, err := app.MakeSetup(t.Context(), a, "v0")
	if err != nil {
		t.Fatal(err)
	}
	if again.Secret != made.Secret {
		t.Error("the secret that Segment may have is another now")
	}
	if info, err := os.Stat(made.SecretFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("it can be read by others: %v, %v", info.Mode(), err)
	}
	if calls.Load() > 0 {
		t.Error("the account was asked offline")
	}
}

func TestALabelOfTheAccountAddsNothingToTheConfiguration(t *testing.T) {
	t.Parallel()
	label := "Plan\ntls:\n  acme_domain: other.example.com\r\nmapping:\u2028#"
	a := setupAnswers(t, setupAccount(t, sandbox.Field{Name: "cf_plan", Label: label, Type: sandbox.TypeText}))
	made, err := app.MakeSetup(t.Context(), a, "v0")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Path: made.File, Environ: []string{}})
	if err != nil || cfg.TLS.ACMEDomain != "" {
		t.Errorf("the label became a part of the configuration: %v, %+v", err, cfg.TLS)
	}
	if text, _ := os.ReadFile(made.File); !strings.Contains(string(text), "#   Plan tls: acme_domain: other.example.com mapping: # (text)\n") {
		t.Errorf("the label is not there:\n%s", text)
	}
}

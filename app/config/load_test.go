package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// good is the smallest configuration that works.
const good = `
sources:
  - {name: website, write_keys: [wk_4fd1]}
freshmarketer: {domain: acme, api_key: k3y}
`

// load writes the file (none if it is "") and loads it with nothing but the given environment.
func load(t *testing.T, file string, environ ...string) (Config, error) {
	t.Helper()
	return loadWith(t, file, Options{Environ: environ})
}

func loadWith(t *testing.T, file string, o Options) (Config, error) {
	t.Helper()
	o.Dir = t.TempDir()
	if o.Environ == nil {
		o.Environ = []string{}
	}
	if file != "" {
		write(t, filepath.Join(o.Dir, FileName), file)
	}
	return Load(o)
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustLoad(t *testing.T, file string, environ ...string) Config {
	t.Helper()
	c, err := load(t, file, environ...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryKey(t *testing.T) {
	t.Parallel()
	got := mustLoad(t, `
data_dir: /var/lib/freshrelay
listen: :9000
public_url: https://relay.example.com/
trusted_proxies: [10.0.0.0/8, 192.0.2.7]
tls: {acme_domain: relay.example.com, acme_email: ops@example.com, acme_directory: "https://ca.example.com/directory"}
admin: {listen: "127.0.0.1:9001", token_file: /etc/token}
nats: {prefix: relay-2, max_bytes: 10GiB}
sources:
  - name: website
    write_keys: [wk_a, wk_b]
    forward: {track: [Order Completed], page: ["*"]}
  - name: hooks-1
    webhook_secrets: one for all
    batch_token: 0123456789abcdef
    require_batch_token: true
    rate_per_second: 2.5
    integration_names: ["Relay (acme)", "Relay, the second"]
freshmarketer:
  domain: https://acme.myfreshworks.com/crm/sales
  api_key: k3y
  base_url: http://127.0.0.1:8090
  proxy: http://u:p@proxy.test:3128
  timeout: 3s
  custom_fields: merge
  quota: {per_hour: 5000, per_minute: 0, reserve: 0.25}
delivery: {concurrency: 3, mode: canary, canary: [user-1, "42"], observe_for: 12h}
identity: {email_fallback: true, without_user_id: by_email}
contacts: {create: false, on_create: {lifecycle_stage: Lead}}
activities: {as: activity, type: Task, types: {Order Completed: Purchase}, owner: jane@example.com, title: "{{name}}", notes: "{{userId}}"}
mapping:
  missing_traits: keep
  match: {label: true, spelling: false, reserved: false}
  strict_labels: true
  resend_after: 24h
  traits: {plan: Plan tier, address.city: City}
  group_traits: {size: Seats}
group: "off"
alias: false
deletion: {webhooks: true, contact: recycle_bin}
retry: {initial: 500ms, max: 1m, max_age: 1h30m}
dead: {retention: 48h}
journal: {enabled: false, max_age: 24h, max_bytes: 8MiB}
log: {level: debug, format: json}
`)
	want := Config{
		DataDir:        "/var/lib/freshrelay",
		Listen:         ":9000",
		PublicURL:      "https://relay.example.com/",
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32")},
		TLS:            TLS{ACMEDomain: "relay.example.com", ACMEEmail: "ops@example.com", ACMEDirectory: "https://ca.example.com/directory"},
		Admin:          Admin{Listen: "127.0.0.1:9001", TokenFile: "/etc/token"},
		NATS:           NATS{Prefix: "relay-2", Replicas: 1, MaxBytes: 10 << 30},
		Sources: []Source{
			{Name: "website", WriteKeys: []Secret{"wk_a", "wk_b"}, Forward: Forward{Track: []string{"Order Completed"}, Page: []string{"*"}}},
			{
				Name: "hooks-1", WebhookSecrets: []Secret{"one for all"},
				BatchToken: "0123456789abcdef", RequireBatchToken: true, RatePerSecond: 2.5,
				IntegrationNames: []string{"Relay (acme)", "Relay, the second"},
			},
		},
		Freshmarketer: Freshmarketer{
			Domain: "https://acme.myfreshworks.com/crm/sales", APIKey: "k3y", BaseURL: "http://127.0.0.1:8090",
			Proxy: "http://u:p@proxy.test:3128", Timeout: 3 * time.Second,
			Quota: Quota{PerHour: 5000, Reserve: 0.25}, CustomFields: "merge",
		},
		Delivery: Delivery{Concurrency: 3, Mode: ModeCanary, Canary: []string{"user-1", "42"}, ObserveFor: 12 * time.Hour},
		Identity: Identity{EmailFallback: true, WithoutUserID: "by_email"},
		Contacts: Contacts{OnCreate: map[string]string{"lifecycle_stage": "Lead"}},
		Activities: Activities{
			As: "activity", Type: "Task", Types: map[string]string{"Order Completed": "Purchase"}, Owner: "jane@example.com", Title: "{{name}}", Notes: "{{userId}}",
		},
		Mapping: Mapping{
			MissingTraits: "keep", Match: Match{Label: true}, StrictLabels: true, ResendAfter: 24 * time.Hour,
			Traits: map[string]string{"plan": "Plan tier", "address.city": "City"}, GroupTraits: map[string]string{"size": "Seats"},
		},
		Group:    GroupOff,
		Deletion: Deletion{Webhooks: true, Contact: ContactRecycleBin},
		Retry:    Retry{Initial: 500 * time.Millisecond, Max: time.Minute, MaxAge: 90 * time.Minute},
		Dead:     Dead{Retention: 48 * time.Hour},
		Journal:  Journal{MaxAge: 24 * time.Hour, MaxBytes: 8 << 20},
		Log:      Log{Level: "debug", Format: "json"},
		File:     got.File,
	}
	if diff := cmp.Diff(want, got, cmp.Transformer("reveal", func(s Secret) []byte { return []byte(s) }), sameNetwork()); diff != "" {
		t.Error(diff)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got := mustLoad(t, good)
	want := Defaults()
	want.Sources, want.Freshmarketer, want.File = got.Sources, got.Freshmarketer, got.File
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Retry.Initial != 2*time.Second || got.Mapping.MissingTraits != "clear" || got.Delivery.Concurrency != 8 {
		t.Errorf("defaults changed: %+v", got)
	}
}

// TestLayers: defaults < file < environment < command line, key by key.
func TestLayers(t *testing.T) {
	t.Parallel()
	file := good + "listen: :1\nretry: {initial: 1s, max: 30s}\nmapping: {traits: {plan: Plan}}\n"
	got, err := loadWith(t, file, Options{
		Environ: []string{
			"FRESHRELAY_LISTEN=:2", "FRESHRELAY_RETRY_INITIAL=3s", "FRESHRELAY_ADMIN_LISTEN=:3",
			"FRESHRELAY_MAPPING_STRICT_LABELS=true", `FRESHRELAY_MAPPING_TRAITS={"address.city": "Town"}`,
			"FRESHRELAY_DELIVERY_CONCURRENCY=4", "FRESHRELAY_NATS_MAX_BYTES=1GiB", "FRESHRELAY_LOG_LEVEL=", "OTHER=x",
			"FRESHRELAY_PUBLIC_URL=https://r.example.com",
		},
		Flags: map[string]string{"admin.listen": ":4", "data_dir": "elsewhere"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]any{
		"listen":               {got.Listen, ":2"},
		"retry.initial":        {got.Retry.Initial, 3 * time.Second},
		"retry.max":            {got.Retry.Max, 30 * time.Second},
		"admin.listen":         {got.Admin.Listen, ":4"},
		"data_dir":             {got.DataDir, "elsewhere"},
		"strict_labels":        {got.Mapping.StrictLabels, true},
		"mapping.traits":       {fmt.Sprint(got.Mapping.Traits), "map[address.city:Town]"},
		"concurrency":          {got.Delivery.Concurrency, 4},
		"max_bytes":            {got.NATS.MaxBytes, Size(1 << 30)},
		"public_url":           {got.Public(), "https://r.example.com"},
		"an empty variable":    {got.Log.Level, "info"},
		"the rest of the file": {got.Freshmarketer.Domain, "acme"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %v, want %v", name, pair[0], pair[1])
		}
	}
}

func TestSourcesFromEnvironment(t *testing.T) {
	t.Parallel()
	got := mustLoad(t, good,
		"FRESHRELAY_SOURCES_0_WRITE_KEYS=wk_1,wk_2", "FRESHRELAY_SOURCES_1_NAME=app", "FRESHRELAY_SOURCES_1_WEBHOOK_SECRETS=s3",
		"FRESHRELAY_SOURCES_1_INTEGRATION_NAMES=Relay, Relay (b)")
	if len(got.Sources) != 2 || got.Sources[0].Name != "website" || got.Sources[1].Name != "app" {
		t.Fatalf("sources = %v", got.Sources)
	}
	if diff := cmp.Diff([]string{"wk_1", "wk_2"}, Reveal(got.Sources[0].WriteKeys)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Relay", "Relay (b)"}, got.Sources[1].IntegrationNames); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"s3"}, Reveal(got.Sources[1].WebhookSecrets)); diff != "" {
		t.Error(diff)
	}
	if _, err := load(t, good, "FRESHRELAY_SOURCES_2_NAME=app", "FRESHRELAY_SOURCES_2_WRITE_KEYS=x"); err == nil ||
		!strings.Contains(err.Error(), "without gaps") {
		t.Errorf("a gap in the numbers: %v", err)
	}
}

func TestWhereTheFileIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	here := write(t, filepath.Join(dir, FileName), good+"listen: :1\n")
	named := write(t, filepath.Join(dir, "named.yaml"), good+"listen: :2\n")
	byEnv := write(t, filepath.Join(dir, "env.yaml"), good+"listen: :3\n")
	env := []string{"FRESHRELAY_CONFIG=" + byEnv}
	for name, tt := range map[string]struct {
		o            Options
		listen, file string
	}{
		"--config":          {Options{Dir: dir, Path: named, Environ: env}, ":2", named},
		"FRESHRELAY_CONFIG": {Options{Dir: dir, Environ: env}, ":3", byEnv},
		"working directory": {Options{Dir: dir, Environ: []string{}}, ":1", here},
	} {
		c, err := Load(tt.o)
		if err != nil || c.Listen != tt.listen || c.File != tt.file {
			t.Errorf("%s: %v %q %q", name, err, c.Listen, c.File)
		}
	}
	_, err := Load(Options{Dir: dir, Path: filepath.Join(dir, "missing.yaml"), Environ: []string{}})
	if err == nil || !strings.Contains(err.Error(), "missing.yaml") || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a named file that is missing: %v", err)
	}
	_, err = Load(Options{Dir: t.TempDir(), Environ: []string{}})
	if err == nil || !strings.Contains(err.Error(), "serve --sandbox") {
		t.Errorf("no file at all must lead to the sandbox: %v", err)
	}
}

func TestSecretFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := write(t, filepath.Join(dir, "key"), "k3y-from-file\n")
	list := write(t, filepath.Join(dir, "list"), "# the old one goes in May\nfirst\n\n  second  \n")
	c := mustLoad(t, fmt.Sprintf(`
sources:
  - {name: a, write_keys: [zeroth], write_keys_file: %[1]s}
  - {name: b, webhook_secrets_file: %[1]s}
freshmarketer: {domain: acme, api_key_file: %[2]s}
`, list, key))
	if got := string(c.Freshmarketer.APIKey); got != "k3y-from-file" {
		t.Errorf("api key = %q", got)
	}
	if diff := cmp.Diff([]string{"zeroth", "first", "second"}, Reveal(c.Sources[0].WriteKeys)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"first", "second"}, Reveal(c.Sources[1].WebhookSecrets)); diff != "" {
		t.Error(diff)
	}

	// A later layer replaces the other form of the same secret, it does not collide with it.
	c = mustLoad(t, good, "FRESHRELAY_FRESHMARKETER_API_KEY_FILE="+key)
	if got := string(c.Freshmarketer.APIKey); got != "k3y-from-file" {
		t.Errorf("key file of the environment: %q", got)
	}
	c = mustLoad(t, strings.Replace(good, "write_keys:", "webhook_secrets: [s], batch_token: in-the-file-itself, write_keys:", 1),
		"FRESHRELAY_SOURCES_0_BATCH_TOKEN_FILE="+write(t, filepath.Join(dir, "token"), "token-from-file-1\n"))
	if got := string(c.Sources[0].BatchToken); got != "token-from-file-1" {
		t.Errorf("batch token's file of the environment: %q", got)
	}
	c = mustLoad(t, strings.Replace(good, "api_key: k3y", "api_key_file: "+key, 1), "FRESHRELAY_FRESHMARKETER_API_KEY=direct")
	if got := string(c.Freshmarketer.APIKey); got != "direct" {
		t.Errorf("key of the environment: %q", got)
	}
}

func TestForeignVariables(t *testing.T) {
	t.Parallel()
	mustLoad(t, good, "FRESHRELAY_SERVICE_HOST=10.0.0.1", "FRESHRELAY_PORT=tcp://10.0.0.1:80",
		"FRESHRELAY_PORT_80_TCP_ADDR=10.0.0.1", "FRESHRELAY_NOTHING=")
}

func TestLoadAdmin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "x.yaml"), `
data_dir: /srv/relay
admin: {listen: ":99"}
unknown_to_this_version: 1
sources: [{name: "NOT GOOD"}]
freshmarketer: {api_key_file: /not/for/you}
`)
	c, err := LoadAdmin(Options{Path: path, Environ: []string{}})
	if err != nil || c.DataDir != "/srv/relay" || c.Admin.Listen != ":99" {
		t.Errorf("%v %q %q", err, c.DataDir, c.Admin.Listen)
	}
	write(t, path, "admin: {listen: nowhere}\ndata_dir: [1]\n")
	_, err = LoadAdmin(Options{Path: path, Environ: []string{}})
	var e *Error
	if !errors.As(err, &e) || len(e.Problems) != 2 {
		t.Errorf("want two problems, got %v", err)
	}
}

func TestSandbox(t *testing.T) {
	t.Parallel()
	c, err := loadWith(t, "listen: :1 # not read: a file must be named\n", Options{Sandbox: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(SandboxDefaults(), c); diff != "" {
		t.Error(diff)
	}
	if got := string(c.Sources[0].WriteKeys[0]); got != "wk_website" || c.DataDir != "./data-sandbox" {
		t.Errorf("%q %q", got, c.DataDir)
	}

	named := write(t, filepath.Join(t.TempDir(), "own.yaml"), `
data_dir: /srv/real
listen: :5
sources: [{name: shop, write_keys: [wk_website, wk_real]}]
freshmarketer: {domain: real, api_key: real, base_url: "https://real.example"}
`)
	c, err = loadWith(t, "", Options{
		Sandbox: true, Path: named,
		Environ: []string{"FRESHRELAY_FRESHMARKETER_API_KEY=real", "FRESHRELAY_ADMIN_LISTEN=:6"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !c.UnusedDataDir {
		t.Error("nobody could say that the file's data directory is not used")
	}
	if c.DataDir != SandboxDataDir || c.Freshmarketer != SandboxDefaults().Freshmarketer {
		t.Errorf("a trial reaches what is real: %s", c)
	}
	if c.Listen != ":5" || c.Admin.Listen != ":6" || c.Sources[0].Name != "shop" {
		t.Errorf("the rest of the file is not used: %s", c)
	}
	if c.Freshmarketer.Quota != (Quota{}) {
		t.Errorf("the sandbox has a quota that nobody gave it: %+v", c.Freshmarketer.Quota)
	}
	c, err = loadWith(t, "", Options{
		Sandbox: true, Path: write(t, filepath.Join(t.TempDir(), "quota.yaml"), "freshmarketer: {domain: real, quota: {per_hour: 2000, per_minute: 50}}\n"),
		Environ: []string{"FRESHRELAY_FRESHMARKETER_QUOTA_PER_MINUTE=60", "FRESHRELAY_FRESHMARKETER_API_KEY=real"},
	})
	if want := (Quota{PerHour: 2000, PerMinute: 60}); err != nil || c.Freshmarketer.Quota != want || c.Freshmarketer.Domain != SandboxDomain || c.Freshmarketer.APIKey != SandboxAPIKey {
		t.Errorf("to try a quota: %v %s", err, c)
	}
	c, err = loadWith(t, "", Options{Sandbox: true, Flags: map[string]string{"data_dir": "/tmp/x", "listen": ":7"}})
	if err != nil || c.DataDir != "/tmp/x" || c.Listen != ":7" {
		t.Errorf("flags: %v %s", err, c)
	}
}

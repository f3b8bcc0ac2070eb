package deploy_test

import (
	"maps"
	"net/netip"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/freshrelay/freshrelay/app/config"
)

// project loads docker-compose.yml as `docker compose config` does: schema, interpolation, merging, profiles.
func project(t *testing.T, environment map[string]string, profiles ...string) *types.Project {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: root, Environment: environment, ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(root, "docker-compose.yml")}},
	}, func(o *loader.Options) { o.Profiles = profiles; o.SetProjectName("freshrelay", true) })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// clusterEnvironment is deploy/nats/cluster.env, as --env-file gives it.
func clusterEnvironment(t *testing.T) map[string]string {
	t.Helper()
	environment := map[string]string{}
	for line := range strings.Lines(read(t, "nats/cluster.env")) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			environment[key] = value
		}
	}
	return environment
}

func TestComposeProfiles(t *testing.T) {
	t.Parallel()
	cluster := clusterEnvironment(t)
	for _, tt := range []struct {
		profile     string
		environment map[string]string
		services    []string
	}{
		{"", nil, []string{"grafana", "ingest", "nats", "prometheus", "worker"}},
		{"sandbox", nil, []string{"grafana", "ingest", "nats", "prometheus", "sandbox", "worker"}},
		{"public", map[string]string{"RELAY_DOMAIN": "relay.example.com"}, []string{"caddy", "grafana", "ingest", "nats", "prometheus", "worker"}},
		{cluster["COMPOSE_PROFILES"], cluster, []string{"grafana", "ingest", "nats", "nats-1", "nats-2", "nats-3", "prometheus", "worker"}},
	} {
		p := project(t, tt.environment, tt.profile)
		if got := slices.Sorted(maps.Keys(p.Services)); !slices.Equal(got, tt.services) {
			t.Errorf("profile %q starts %v, want %v", tt.profile, got, tt.services)
		}
	}
}

var pinned = regexp.MustCompile(`^[a-z/]+:v?\d+\.\d+\.\d+(-alpine)?$`)

// TestComposeServicesAreHardened holds for every service, also for one that is added.
func TestComposeServicesAreHardened(t *testing.T) {
	t.Parallel()
	for name, s := range project(t, nil, "*").Services {
		switch {
		case !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.Privileged:
			t.Errorf("%s must be read-only, without capabilities and without new privileges", name)
		case s.Image != "freshrelay:local" && !pinned.MatchString(s.Image):
			t.Errorf("%s: the image %s has no full version", name, s.Image)
		case s.Deploy == nil || s.Deploy.Resources.Limits == nil || s.Deploy.Resources.Limits.MemoryBytes == 0 || s.Deploy.Resources.Limits.NanoCPUs == 0:
			t.Errorf("%s has no limits", name)
		case s.HealthCheck == nil && s.Image != "freshrelay:local":
			t.Errorf("%s has no health check", name)
		case s.Restart != "unless-stopped" || s.Logging == nil || s.Logging.Options["max-size"] == "":
			t.Errorf("%s must come back by itself, and its log must not fill the disk", name)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" && name != "caddy" {
				t.Errorf("%s publishes %s to everybody", name, port.Published)
			}
			if port.Target == 8081 {
				t.Errorf("%s publishes the admin listener", name)
			}
		}
		for key, value := range s.Environment {
			if value != nil && *value != "" && regexp.MustCompile(`(KEY|SECRET|PASSWORD|TOKEN)S?$`).MatchString(key) {
				t.Errorf("%s: %s is a secret; let a file hold it", name, key)
			}
		}
	}
}

// TestComposeWorkersScale: several workers share no port, no name and no directory.
func TestComposeWorkersScale(t *testing.T) {
	t.Parallel()
	worker := project(t, nil).Services["worker"]
	if len(worker.Ports) > 0 || worker.ContainerName != "" || len(worker.Volumes) > 0 || worker.Environment["FRESHRELAY_NATS_URL"] == nil {
		t.Errorf("two workers cannot live beside each other: ports %v, name %q, volumes %v", worker.Ports, worker.ContainerName, worker.Volumes)
	}
	var prometheus struct {
		ScrapeConfigs []struct {
			JobName string `yaml:"job_name"`
			DNS     []struct {
				Names []string
				Type  string
				Port  int
			} `yaml:"dns_sd_configs"`
		} `yaml:"scrape_configs"`
	}
	readLoosely(t, "prometheus/prometheus.yml", &prometheus)
	dns := prometheus.ScrapeConfigs[0].DNS[0]
	for _, name := range []string{"ingest", "worker", "sandbox"} {
		if !slices.Contains(dns.Names, name) || dns.Port != 8081 || dns.Type != "A" {
			t.Errorf("Prometheus does not find all processes of %s: %+v", name, dns)
		}
	}
}

// TestComposeConfiguresFreshrelay lets the program's own loader read what each service is given: the example's file, the
// environment, the secrets.
func TestComposeConfiguresFreshrelay(t *testing.T) {
	t.Parallel()
	for _, environment := range []map[string]string{
		{}, {"RELAY_DOMAIN": "relay.example.com"}, clusterEnvironment(t),
	} {
		p := project(t, environment, "*")
		for _, name := range []string{"ingest", "worker"} {
			dir := t.TempDir()
			cfg, err := config.Load(loadOptions(t, dir, p, p.Services[name]))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if want := p.Environment["NATS_URL"]; cfg.NATS.URL != want && (want != "" || cfg.NATS.URL != "nats://nats:4222") {
				t.Errorf("%s: nats.url is %q", name, cfg.NATS.URL)
			}
			if cfg.NATS.Durability != config.DurabilityFsync || cfg.DataDir != "/data" || cfg.Admin.Listen != ":8081" || cfg.Listen != ":8080" {
				t.Errorf("%s: %+v", name, cfg)
			}
			if domain := environment["RELAY_DOMAIN"]; name == "ingest" && domain != "" && cfg.Public() != "https://"+domain {
				t.Errorf("the public address is %q", cfg.Public())
			}
		}
	}
}

// loadOptions put a container's files below dir and its environment into the loader's.
func loadOptions(t *testing.T, dir string, p *types.Project, s types.ServiceConfig) config.Options {
	t.Helper()
	text := read(t, "../examples/freshrelay.yaml")
	environment := imageEnvironment(t)
	for key, value := range s.Environment {
		if value != nil && strings.HasPrefix(key, "FRESHRELAY_") {
			environment[key] = *value
		}
	}
	for _, secret := range s.Secrets {
		inside := path.Join("/run/secrets", secret.Source)
		file := filepath.Join(dir, secret.Source)
		write(t, file, "k-"+strings.Repeat("0123456789", 4))
		text = strings.ReplaceAll(text, inside, file)
		for key, value := range environment {
			environment[key] = strings.ReplaceAll(value, inside, file)
		}
	}
	if strings.Contains(text, "/run/secrets/") {
		t.Errorf("%s: the example's configuration wants a secret that compose does not give", s.Name)
	}
	for _, c := range s.Configs {
		if p.Configs[c.Source].File == "" || c.Target != environment["FRESHRELAY_CONFIG"] {
			t.Errorf("%s: the configuration is mounted at %s and looked for at %s", s.Name, c.Target, environment["FRESHRELAY_CONFIG"])
		}
	}
	environment["FRESHRELAY_CONFIG"] = filepath.Join(dir, "freshrelay.yaml")
	write(t, environment["FRESHRELAY_CONFIG"], text)
	o := config.Options{Dir: dir}
	for key, value := range environment {
		o.Environ = append(o.Environ, key+"="+value)
	}
	return o
}

// TestUnitConfiguresFreshrelay lets the loader read what the unit gives: the example's file, its environment, its credentials.
func TestUnitConfiguresFreshrelay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := config.Options{Dir: dir}
	for line := range strings.Lines(read(t, "systemd/freshrelay.service")) {
		line = strings.TrimSpace(line)
		if credential, ok := strings.CutPrefix(line, "LoadCredential="); ok {
			name, _, _ := strings.Cut(credential, ":")
			write(t, filepath.Join(dir, name), "k-"+strings.Repeat("0123456789", 4)+"\n")
		}
		if pairs, ok := strings.CutPrefix(line, "Environment="); ok {
			for pair := range strings.FieldsSeq(strings.ReplaceAll(pairs, "%d", dir)) {
				o.Environ = append(o.Environ, strings.Replace(pair, "/etc/freshrelay/freshrelay.yaml", filepath.Join(dir, "freshrelay.yaml"), 1))
			}
		}
	}
	write(t, filepath.Join(dir, "freshrelay.yaml"), read(t, "../examples/freshrelay.yaml"))
	cfg, err := config.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.DataDir != "/var/lib/freshrelay" || cfg.Freshmarketer.APIKey == "" || len(cfg.Sources[0].WriteKeys) != 1 || len(cfg.Sources[0].WebhookSecrets) != 1 {
		t.Errorf("data in %s, %d write keys, %d secrets", cfg.DataDir, len(cfg.Sources[0].WriteKeys), len(cfg.Sources[0].WebhookSecrets))
	}
}

// TestComposeNetworks: the broker has no way out and nothing of it is published; only caddy meets the world.
func TestComposeNetworks(t *testing.T) {
	t.Parallel()
	p := project(t, nil, "*")
	if !p.Networks["inside"].Internal {
		t.Error("the inner network leads outside")
	}
	for name, s := range p.Services {
		if strings.HasPrefix(name, "nats") && (len(s.Ports) > 0 || !slices.Equal(slices.Collect(maps.Keys(s.Networks)), []string{"inside"})) {
			t.Errorf("%s can be reached from outside", name)
		}
	}
	shared := 0 // a process that can be found on two networks would be scraped twice
	for name := range p.Services["prometheus"].Networks {
		if _, both := p.Services["worker"].Networks[name]; both {
			shared++
		}
	}
	if shared != 1 {
		t.Errorf("Prometheus and the worker share %d networks", shared)
	}
	subnet, err := netip.ParsePrefix(p.Networks["door"].Ipam.Config[0].Subnet)
	if err != nil {
		t.Fatal(err)
	}
	trusted := p.Services["ingest"].Environment["FRESHRELAY_TRUSTED_PROXIES"]
	if trusted == nil || *trusted != subnet.String() {
		t.Errorf("caddy stands in %v, and ingest trusts %v", subnet, trusted)
	}
}

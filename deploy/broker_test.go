package deploy_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// TestBrokerConfigurations lets the server's own parser read them, and looks for what freshrelay rests on.
func TestBrokerConfigurations(t *testing.T) {
	t.Setenv("NATS_NODE", "nats-2")
	for _, name := range []string{"nats/nats.conf", "nats/cluster.conf"} {
		opts, err := server.ProcessConfigFile(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !opts.SyncAlways || !opts.JetStream || opts.StoreDir != "/data" {
			t.Errorf("%s: sync always %v, JetStream %v, store %s", name, opts.SyncAlways, opts.JetStream, opts.StoreDir)
		}
		if strings.Contains(name, "cluster") && (opts.ServerName != "nats-2" || len(opts.Routes) != 3 || opts.Cluster.Name == "") {
			t.Errorf("%s: name %s, routes %v", name, opts.ServerName, opts.Routes)
		}
	}
}

// TestCaddyfile: nothing but what takes events is handed on.
func TestCaddyfile(t *testing.T) {
	t.Parallel()
	text := read(t, "caddy/Caddyfile")
	if !strings.Contains(text, "@events path /webhook/* /v1/*\n") || strings.Count(text, "reverse_proxy") != 1 || strings.Contains(text, "8081") {
		t.Error("the Caddyfile must hand on /webhook/* and /v1/* to ingest:8080, and nothing else")
	}
	caddy := tool(t, "caddy")
	cmd := exec.CommandContext(t.Context(), caddy, "adapt", "--validate", "--config", "caddy/Caddyfile", "--adapter", "caddyfile")
	cmd.Env = append(cmd.Environ(), "RELAY_DOMAIN=relay.example.com", "HOME="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestUnit asks systemd what it thinks of the unit.
func TestUnit(t *testing.T) {
	t.Parallel()
	analyze := tool(t, "systemd-analyze")
	unit := filepath.Join(t.TempDir(), "freshrelay.service")
	write(t, unit, strings.ReplaceAll(read(t, "systemd/freshrelay.service"), "/usr/local/bin/freshrelay", "/bin/true"))
	run(t, analyze, "verify", "--man=no", unit)
	// 10 is a service without any protection. The network and a state directory are what is left.
	run(t, analyze, "security", "--offline=yes", "--threshold=20", unit)
}

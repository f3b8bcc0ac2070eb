package deploy_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"go.yaml.in/yaml/v3"

	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// liveRig is what compose starts, as processes on this machine.
type liveRig struct {
	t                   *testing.T
	prometheus, sandbox string // base URLs
	ingest, alone       target // that of the services, and that of a process by itself with an embedded broker
	log                 *logBuffer
}

type target struct{ url, key, admin string }

// logBuffer holds what all processes say.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const (
	liveKey      = "an-api-key-for-the-live-test"
	liveWriteKey = "wk-for-the-live-test-0123456789"
)

func startLive(t *testing.T) *liveRig {
	t.Helper()
	prometheus := tool(t, "prometheus")
	r := &liveRig{t: t, log: &logBuffer{}}
	dir := t.TempDir()
	program := filepath.Join(dir, "freshrelay")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/freshrelay")
	build.Dir = ".." // its module
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	broker := r.startBroker(filepath.Join(dir, "nats"))

	sandbox := queuetest.Address(t)
	r.sandbox = "http://" + sandbox
	r.start(dir, program, nil, "sandbox", "--listen", sandbox, "--api-key", liveKey)
	token := filepath.Join(dir, "admin-token") // one for all, which nobody can write: as a secret of compose
	write(t, token, strings.Repeat("0123456789abcdef", 4)+"\n")
	if err := os.Chmod(token, 0o400); err != nil {
		t.Fatal(err)
	}
	cfg := filepath.Join(dir, "freshrelay.yaml")
	write(t, cfg, `
freshmarketer: {domain: acme, api_key: `+liveKey+`, base_url: "`+r.sandbox+`", quota: {per_hour: 50000, per_minute: 5000, reserve: 0.1}}
sources: [{name: website, write_keys: [`+liveWriteKey+`]}]
nats: {url: "`+broker+`", durability: fsync, partitions: 4, max_bytes: 1GiB}
admin: {token_file: "`+token+`"}
`)
	r.ingest = r.serve(dir, program, cfg, "ingest")
	worker := r.serve(dir, program, cfg, "worker")
	r.alone = r.serve(dir, program, "", "all")
	r.up(r.sandbox + "/_sandbox/faults")
	r.fault(http.MethodPost, r.poison())
	r.startPrometheus(prometheus, filepath.Join(dir, "prometheus"), map[string][]string{
		"freshrelay": {r.ingest.admin, worker.admin}, "freshrelay-alone": {r.alone.admin},
	})
	return r
}

// startBroker runs a server with the shipped configuration, but for its addresses and its directory.
func (r *liveRig) startBroker(dir string) (address string) {
	r.t.Helper()
	opts, err := server.ProcessConfigFile("nats/nats.conf")
	if err != nil {
		r.t.Fatal(err)
	}
	opts.StoreDir, opts.Host, opts.Port, opts.HTTPPort, opts.NoSigs = dir, "127.0.0.1", server.RANDOM_PORT, 0, true
	s, err := server.NewServer(opts)
	if err != nil {
		r.t.Fatal(err)
	}
	s.Start()
	r.t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s.ClientURL()
}

// serve starts a freshrelay process; without a configuration it is one with a sandbox of its own.
func (r *liveRig) serve(dir, program, cfg, role string) target {
	r.t.Helper()
	ingest, admin := queuetest.Address(r.t), queuetest.Address(r.t)
	args := []string{"serve", "--listen", ingest, "--admin-listen", admin, "--data-dir", filepath.Join(dir, role)}
	to := target{"http://" + ingest, liveWriteKey, admin}
	if cfg == "" {
		args = append(args, "--sandbox", "--sandbox-listen", queuetest.Address(r.t))
		to.key = "wk_website"
	} else {
		args = append(args, "--config", cfg, "--role", role)
	}
	r.start(dir, program, []string{"FRESHRELAY_LOG_FORMAT=json"}, args...)
	r.up("http://" + admin + "/readyz")
	if cfg != "" { // the health command of compose
		run(r.t, program, "status", "--config", cfg, "--admin-url", "http://"+admin)
	}
	return to
}

// startPrometheus runs it with the shipped configuration; only targets and intervals are others.
func (r *liveRig) startPrometheus(program, dir string, jobs map[string][]string) {
	r.t.Helper()
	if err := os.CopyFS(dir, os.DirFS("prometheus")); err != nil {
		r.t.Fatal(err)
	}
	file := filepath.Join(dir, "prometheus.yml")
	cfg := readConfig(r.t, file)
	// A scrape that is late on a busy machine must not end an alert that is about to fire: it has 5 s.
	cfg["global"] = map[string]any{"scrape_interval": "5s", "scrape_timeout": "5s", "evaluation_interval": "2s"}
	var scrapes []any
	for job, targets := range jobs {
		scrapes = append(scrapes, map[string]any{"job_name": job, "static_configs": []any{map[string]any{"targets": targets}}})
	}
	cfg["scrape_configs"] = scrapes
	text, err := yaml.Marshal(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	write(r.t, file, string(text))
	address := queuetest.Address(r.t)
	r.prometheus = "http://" + address
	r.start(dir, program, nil, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")
	r.up(r.prometheus + "/-/ready")
}

// start runs a program until the test ends; it dies with the test.
func (r *liveRig) start(dir, program string, environ []string, args ...string) {
	r.t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(r.t.Context()), program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, r.log, r.log
	cmd.Env = append(cmd.Environ(), environ...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
}

// up waits until an address answers with success.
func (r *liveRig) up(address string) {
	r.t.Helper()
	await(r.t, address+" answers", func() bool {
		resp, err := http.Get(address)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, r.log)
}

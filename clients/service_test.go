//go:build clients

package clients_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// service is the real program in a process of its own, delivering to a sandbox account in this one.
type service struct {
	t      *testing.T
	ingest string // base URLs
	admin  string
	token  string
	box    *sandbox.Sandbox
	last   admin.Status // as of settled
}

// startService returns once the program is ready. It does not know its public URL: settings name the host that was asked.
func startService(ctx context.Context, t *testing.T) *service {
	t.Helper()
	box, err := sandbox.New(sandbox.Options{APIKeys: []string{"key-of-the-clients-test"}})
	if err != nil {
		t.Fatal(err)
	}
	account := httptest.NewServer(box.Handler())
	t.Cleanup(account.Close)
	dir := t.TempDir()
	file := filepath.Join(dir, "freshrelay.yaml")
	text := fmt.Sprintf(`
data_dir: %s
listen: 127.0.0.1:0
admin: {listen: 127.0.0.1:0}
nats: {max_bytes: 128MiB}
sources: [{name: clients, write_keys: [%s]}]
freshmarketer: {base_url: %q, api_key: key-of-the-clients-test, quota: {per_hour: 0, per_minute: 0, reserve: 0}}
log: {level: info, format: json}
`, filepath.Join(dir, "data"), writeKey, account.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, box: box}
	s.run(ctx, file)
	token, err := os.ReadFile(filepath.Join(dir, "data", "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	s.token = strings.TrimSpace(string(token))
	return s
}

// run starts the program, waits for its addresses, and sees to it that it is stopped by SIGTERM and exits with 0.
func (s *service) run(ctx context.Context, file string) {
	s.t.Helper()
	cmd := exec.Command(program, "serve", "--config", file) // stopped by SIGTERM, in Cleanup
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	kill := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // the test has run out of time; it may be gone already
	ready := make(chan struct{})
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			name, url, _ := strings.Cut(lines.Text(), " ")
			switch name {
			case "ingest":
				s.ingest = strings.TrimSpace(url)
			case "admin":
				s.admin = strings.TrimSpace(url)
				close(ready)
			}
		}
		_, _ = io.Copy(io.Discard, stdout) // whatever a line too long has left; its end is all that matters
	}()
	s.t.Cleanup(func() {
		if kill() {
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone already; Wait says so
		}
		<-drained
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("the program ended badly: %v", err)
		}
		if s.t.Failed() {
			s.t.Logf("the program said:\n%s", stderr.String())
		}
	})
	select {
	case <-ready:
	case <-drained:
		s.t.Fatal("the program ended before it was ready")
	case <-ctx.Done():
		s.t.Fatal("the program was not ready in time")
	}
}

// program is the real program, built once for all tests.
var program string

func TestMain(m *testing.M) {
	if err := buildAndRun(m); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func buildAndRun(m *testing.M) (err error) {
	dir, err := os.MkdirTemp("", "freshrelay-clients-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program = filepath.Join(dir, "freshrelay")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/freshrelay").CombinedOutput(); err != nil {
		return fmt.Errorf("building the program: %w\n%s", err, out)
	}
	if m.Run() != 0 {
		return errors.New("not every client delivers")
	}
	return nil
}

// settled waits until at least want events have been accepted and nothing is pending.
func (s *service) settled(ctx context.Context, want int64) admin.Status {
	s.t.Helper()
	for {
		if err := json.Unmarshal(s.get(ctx, "/api/status"), &s.last); err != nil {
			s.t.Fatalf("status: %v", err)
		}
		if l := s.last.Ledger; l.Accepted >= want && l.Pending == 0 && l.SettledReading {
			return s.last
		}
		if !wait(ctx) {
			s.t.Fatalf("%d events never settled: %+v", want, s.last)
		}
	}
}

// dropped waits until want calls of a type were answered with 200 and not stored because nobody asked for them, and
// returns how many there are. They are counted after the answer's events are stored.
func (s *service) dropped(ctx context.Context, typ string, want int) int {
	s.t.Helper()
	line := regexp.MustCompile(`(?m)^freshrelay_events_total\{outcome="dropped",reason="not_forwarded",type="` + typ + `"\} (\d+)$`)
	for {
		n := 0
		if m := line.FindSubmatch(s.get(ctx, "/metrics")); m != nil {
			var err error
			if n, err = strconv.Atoi(string(m[1])); err != nil {
				s.t.Fatal(err)
			}
		}
		if n >= want || !wait(ctx) {
			return n
		}
	}
}

// wait is the pause between two looks; false when time is up.
func wait(ctx context.Context) bool {
	select {
	case <-time.After(50 * time.Millisecond):
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *service) get(ctx context.Context, path string) []byte {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.admin+path, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s: %s, %v\n%s", path, resp.Status, err, body)
	}
	return body
}

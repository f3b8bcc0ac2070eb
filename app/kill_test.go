package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

const killKey = "key-of-the-kill-test"

// killRig runs the real program as a process of its own, against a sandbox in this one, and kills it.
type killRig struct {
	t       *testing.T
	program string
	file    string
	listen  string
	adminAt string
	box     *sandbox.Sandbox

	killing  sync.Mutex
	mu       sync.Mutex
	cmd      *exec.Cmd
	exited   chan struct{}
	ended    bool
	kills    int
	stderr   bytes.Buffer
	effects  atomic.Int64
	inEffect atomic.Int64       // kills between an effect and its commit
	gaveUp   context.CancelFunc // the process ended by itself: the test is over
	killAt   map[int64]bool     // effects after which the process is killed before it is answered
}

// freeAddr is an address nobody listens on, for a process that is to come back on the same one.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "freshrelay")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../cmd/freshrelay").CombinedOutput()
	if err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	return program
}

func newKillRig(t *testing.T, killAt map[int64]bool) (*killRig, context.Context) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	k := &killRig{t: t, program: buildProgram(t), listen: freeAddr(t), adminAt: freeAddr(t), killAt: killAt, gaveUp: cancel}
	box, err := sandbox.New(sandbox.Options{History: true, APIKeys: []string{killKey}, OnEffect: func(sandbox.Call) {
		if k.killAt[k.effects.Add(1)] {
			k.inEffect.Add(1)
			k.kill()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	k.box = box
	// Slow enough for the calls of a user to pile up, so that kills hit merged changes.
	if err := box.AddFault(sandbox.Fault{Percent: 100, Delay: 5 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box.Handler())
	t.Cleanup(server.Close)
	dir := t.TempDir()
	k.file = filepath.Join(dir, "freshrelay.yaml")
	text := fmt.Sprintf(`
data_dir: %s
listen: %s
admin: {listen: %s}
nats: {max_bytes: 128MiB}
sources: [{name: website, write_keys: [wk_test_kill]}]
freshmarketer: {base_url: %q, api_key: %s}
log: {level: warn, format: json}
retry: {initial: 50ms, max: 1s, max_age: 15m}
`, filepath.Join(dir, "data"), k.listen, k.adminAt, server.URL, killKey)
	if err := os.WriteFile(k.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	k.start()
	t.Cleanup(k.end)
	return k, ctx
}

func (k *killRig) start() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return
	}
	cmd := exec.Command(k.program, "serve", "--config", k.file) // it ends by kill
	cmd.Stderr = &k.stderr
	if err := cmd.Start(); err != nil {
		k.t.Error(err)
		return
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		if err := cmd.Wait(); cmd.ProcessState.Exited() && !cmd.ProcessState.Success() {
			k.t.Errorf("the process ended by itself: %v", err)
			k.gaveUp()
		}
	}()
	k.cmd, k.exited = cmd, exited
}

// kill kills the process, waits until it is gone, and starts it anew.
func (k *killRig) kill() {
	k.killing.Lock() // one at a time: the next one kills the process that follows
	defer k.killing.Unlock()
	k.mu.Lock()
	cmd, exited := k.cmd, k.exited
	k.kills++
	k.mu.Unlock()
	if err := cmd.Process.Kill(); err != nil {
		k.t.Errorf("killing: %v", err)
	}
	<-exited
	k.start()
}

func (k *killRig) end() {
	k.mu.Lock()
	k.ended = true
	cmd, exited := k.cmd, k.exited
	k.mu.Unlock()
	_ = cmd.Process.Kill() // it is gone already after a good run
	<-exited
	if k.t.Failed() {
		k.t.Logf("the process said:\n%s", k.stderr.String())
	}
}

// deliver posts one call until it is accepted, as Segment's clients do: the same call, the same message id.
func (k *killRig) deliver(ctx context.Context, user string, seq int) {
	body, err := json.Marshal(map[string]any{
		"userId": user, "messageId": fmt.Sprintf("%s-%d", user, seq), "timestamp": time.Now().UTC().Format(time.RFC3339Nano),
		"traits": map[string]any{"email": user + "@example.test", "seq": seq, "plan": fmt.Sprint("plan ", seq)},
	})
	if err != nil {
		k.t.Error(err)
		return
	}
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+k.listen+"/v1/identify", bytes.NewReader(body))
		if err != nil {
			k.t.Error(err)
			return
		}
		req.SetBasicAuth("wk_test_kill", "")
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// The process is killed in the middle of 2,000 identifies for 200 users: right after an effect and before its commit,
// and at random moments. Everything accepted is applied, each user's last state is right, nothing went backwards.
func TestKilledProcessesLoseNothingAndWriteNothingBackwards(t *testing.T) {
	const users, each, seed = 200, 10, 20261123
	rng := rand.New(rand.NewPCG(seed, seed))
	killAt := map[int64]bool{}
	for range 5 {
		killAt[20+rng.Int64N(400)] = true
	}
	k, ctx := newKillRig(t, killAt)
	var wg sync.WaitGroup
	for u := range users {
		wg.Go(func() {
			for seq := range each {
				k.deliver(ctx, fmt.Sprint("user-", u), seq)
			}
		})
	}
	stop := make(chan struct{})
	random := make(chan struct{})
	go func() { // random moments, ingest included
		defer close(random)
		for range 3 {
			select {
			case <-time.After(time.Duration(200+rng.IntN(600)) * time.Millisecond):
				k.kill()
			case <-stop:
				return
			}
		}
	}()
	wg.Wait()
	close(stop)
	<-random
	k.drained(ctx, users*each)
	if n := int(k.inEffect.Load()); n != len(killAt) || n < 4 {
		t.Errorf("%d of %d kills came between an effect and its commit", n, len(killAt))
	}
	t.Logf("%d kills, %d of them between an effect and its commit; %d effects", k.kills, k.inEffect.Load(), k.effects.Load())
	k.check(users, each)
}

// drained waits until the process, in whatever incarnation, has delivered everything, and then stops it politely.
func (k *killRig) drained(ctx context.Context, accepted int64) {
	k.t.Helper()
	st := k.settled(ctx)
	if l := st.Ledger; l.Dead != 0 || l.Accepted < accepted || l.Delivered != accepted || l.Difference != 0 {
		k.t.Errorf("ledger %+v, discards %+v", l, st.Discards)
	}
	k.mu.Lock()
	k.ended = true
	cmd, exited := k.cmd, k.exited
	k.mu.Unlock()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		k.t.Error(err)
	}
	<-exited
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		k.t.Errorf("exit code %d after SIGTERM", code)
	}
}

// settled waits until nothing is pending.
func (k *killRig) settled(ctx context.Context) admin.Status {
	k.t.Helper()
	var st admin.Status
	for !k.status(ctx, &st) || st.Ledger.Pending > 0 || !st.Ledger.SettledReading {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			k.t.Fatalf("never settled: %+v", st)
		}
	}
	return st
}

// status asks the process; false while it is between two lives.
func (k *killRig) status(ctx context.Context, st *admin.Status) bool {
	token, err := os.ReadFile(filepath.Join(filepath.Dir(k.file), "data", "admin.token"))
	if err != nil {
		return false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+k.adminAt+"/api/status", http.NoBody)
	if err != nil {
		k.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(st) == nil
}

func (k *killRig) check(users, each int) {
	k.t.Helper()
	contacts := k.box.Contacts()
	if len(contacts) != users {
		k.t.Errorf("%d contacts for %d users", len(contacts), users)
	}
	for _, c := range contacts {
		if got := c.Custom["cf_seq"]; got != json.Number(fmt.Sprint(each-1)) {
			k.t.Errorf("%s ends with %v", c.ExternalID, got)
		}
		last := int64(-1)
		for _, s := range k.box.History(c.ID) {
			n, ok := s.Contact.Custom["cf_seq"].(json.Number)
			if !ok {
				continue
			}
			v, err := n.Int64()
			if err != nil {
				k.t.Fatal(err)
			}
			if v < last {
				k.t.Errorf("%s went from %d back to %d", c.ExternalID, last, v)
			}
			last = v
		}
	}
}

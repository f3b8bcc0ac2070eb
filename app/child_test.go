package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

const (
	childAPIKey   = "key-of-the-children"
	childWriteKey = "wk_test_child"
)

// child is the real program as a process of its own. It can be started again after its end: one life follows another on
// the same directory and the same addresses.
type child struct {
	t       testing.TB
	program string
	dir     string // data directory and configuration file
	listen  string
	adminAt string
	environ []string // besides the test's own
	args    []string // of serve, besides the configuration

	cmd    *exec.Cmd
	exited chan struct{}
	stderr *syncBuffer // of the present life
}

// syncBuffer takes what a process says while somebody reads it.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// childAPI is a sandbox that children deliver to, and its address.
func childAPI(t testing.TB, opt sandbox.Options, faults ...sandbox.Fault) (*sandbox.Sandbox, string) {
	t.Helper()
	box, server := childServer(t, opt, faults...)
	return box, server.URL
}

// childServer is childAPI for children that are killed: who starts the next one can wait until the last call of the dead one is over.
func childServer(t testing.TB, opt sandbox.Options, faults ...sandbox.Fault) (*sandbox.Sandbox, *sandboxtest.Server) {
	t.Helper()
	opt.APIKeys = []string{childAPIKey}
	box, err := sandbox.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		if err := box.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}
	return box, sandboxtest.NewServer(t, box.Handler())
}

// newChild prepares a process that keeps its store in dir and delivers to api. more is added to its configuration.
func newChild(t testing.TB, program, dir, api, more string) *child {
	t.Helper()
	c := &child{t: t, program: program, dir: dir, listen: queuetest.Address(t), adminAt: queuetest.Address(t)}
	c.configure(api, more)
	return c
}

// configure writes what the next life goes by.
func (c *child) configure(api, more string) {
	c.t.Helper()
	text := fmt.Sprintf(`
data_dir: %s
listen: %s
admin: {listen: %s}
sources: [{name: website, write_keys: [%s]}]
freshmarketer: {base_url: %q, api_key: %s, quota: {per_hour: 0, per_minute: 0, reserve: 0}}
log: {level: warn, format: json}
%s`, c.data(), c.listen, c.adminAt, childWriteKey, api, childAPIKey, more)
	if err := os.WriteFile(c.file(), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *child) data() string { return filepath.Join(c.dir, "data") }
func (c *child) file() string { return filepath.Join(c.dir, "freshrelay.yaml") }

// start begins a life. plan is what is to happen at which failpoint, for a program built with them.
func (c *child) start(plan string) {
	c.t.Helper()
	c.stderr = new(syncBuffer)
	c.cmd = exec.Command(c.program, append([]string{"serve", "--config", c.file()}, c.args...)...) // it ends by a signal
	c.cmd.Stderr = c.stderr
	c.cmd.Env = append(append(os.Environ(), c.environ...), failpoint.Variable+"="+plan)
	c.exited = launch(c.t, c.cmd)
}

// launch starts a program that ends with the test at the latest; exited is closed then. How it ended is in ProcessState.
func launch(t testing.TB, cmd *exec.Cmd) (exited chan struct{}) {
	t.Helper()
	queuetest.Tie(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited = make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // gone already after a good run
		<-exited
	})
	return exited
}

// signal sends a signal and waits for the process's end; not for SIGSTOP.
func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Errorf("%v: %v", s, err)
	}
	<-c.exited
}

// over says whether the process has ended.
func (c *child) over() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// killed says whether the life that is over was ended by SIGKILL.
func (c *child) killed() bool {
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// says waits until the process has said that: what it writes is read from a pipe, and may come after the answer it belongs to.
func (c *child) says(parent context.Context, text string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(parent, processPatience)
	defer cancel()
	for !strings.Contains(c.stderr.String(), text) {
		if ctx.Err() != nil || c.over() && !strings.Contains(c.stderr.String(), text) {
			c.t.Errorf("the log does not say %q:\n%s", text, c.stderr)
			return
		}
		pause(ctx, 5*time.Millisecond)
	}
}

// identify is the body of one call: user's seq-th, the same bytes whenever it is repeated.
// identify is a call with the traits seq and, unless it is empty, plan.
func identify(user string, seq int, plan string) []byte {
	number := strconv.Itoa(seq)
	if plan != "" {
		number += fmt.Sprintf(`,"plan":%q`, plan)
	}
	return identifyWith(user, seq, number)
}

// identifyWith takes the value of seq as it is written.
func identifyWith(user string, seq int, number string) []byte {
	at := time.Date(2026, 11, 1, 12, 0, 0, seq*int(time.Millisecond), time.UTC)
	return fmt.Appendf(nil, `{"userId":%q,"messageId":"%s-%d","timestamp":%q,"traits":{"email":"%s@example.test","seq":%s}}`,
		user, user, seq, at.Format(time.RFC3339Nano), user, number)
}

// post sends a call once and returns the answer's status, 0 if there was none.
func (c *child) post(ctx context.Context, body []byte) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.listen+"/v1/identify", bytes.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return 0
	}
	req.SetBasicAuth(childWriteKey, "")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// deliver posts a call until it is accepted, as Segment's clients do. It says how often it had to.
func (c *child) deliver(ctx context.Context, body []byte) (tries int) {
	for ctx.Err() == nil {
		tries++
		if c.post(ctx, body) == http.StatusOK {
			return tries
		}
		pause(ctx, 20*time.Millisecond)
	}
	return tries
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// ask calls the admin API; false while the process is between two lives, or refuses.
func (c *child) ask(ctx context.Context, method, path, body string, into any) bool {
	token, err := os.ReadFile(filepath.Join(c.data(), "admin.token"))
	if err != nil {
		return false
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.adminAt+path, strings.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return false
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(into) == nil
}

// settled waits until nothing is pending.
func (c *child) settled(ctx context.Context) admin.Status {
	c.t.Helper()
	st := c.untilSettled(ctx)
	if ctx.Err() != nil {
		c.t.Fatalf("never settled: %+v", st)
	}
	return st
}

// untilSettled is settled, or what was known when ctx ended.
func (c *child) untilSettled(ctx context.Context) (st admin.Status) {
	for ctx.Err() == nil && (!c.ask(ctx, http.MethodGet, "/api/status", "", &st) || st.Ledger.Pending > 0 || !st.Ledger.SettledReading) {
		pause(ctx, 50*time.Millisecond)
	}
	return st
}

// replay sends up to n dead letters again, 0: all. It may meet a process that is dying.
func (c *child) replay(ctx context.Context, n int) {
	var list admin.LetterList
	for !c.ask(ctx, http.MethodGet, "/api/letters", "", &list) {
		if c.over() || ctx.Err() != nil {
			return
		}
		pause(ctx, 50*time.Millisecond)
	}
	request := admin.ReplayRequest{Selection: admin.Selection{All: n == 0}}
	for _, l := range list.Letters[:min(n, len(list.Letters))] {
		request.IDs = append(request.IDs, l.ID)
	}
	body, err := json.Marshal(request)
	if err != nil {
		c.t.Error(err)
	}
	var out admin.Replay
	c.ask(ctx, http.MethodPost, "/api/replays", string(body), &out)
}

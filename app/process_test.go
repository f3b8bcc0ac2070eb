package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// processPatience ends a test that stands still.
const processPatience = 10 * time.Minute

// post lets so many users send their first call.
func (c *child) postUsers(ctx context.Context, name string, n int) (users []string) {
	c.t.Helper()
	for u := range n {
		user := fmt.Sprint(name, "-", u)
		c.deliver(ctx, identify(user, u, ""))
		users = append(users, user)
	}
	return users
}

// While a start reads the store, /readyz is red and says how much there is to read and how long it has taken; then it is green.
// The store is large enough to be seen at it, and killed, so that the broker reads all of it.
func TestAProcessThatReadsItsStoreSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), processPatience)
	defer cancel()
	_, api := childAPI(t, sandbox.Options{}, sandbox.Fault{Percent: 100, Status: http.StatusServiceUnavailable})
	c := newChild(t, buildProgram(t), t.TempDir(), api, "")
	c.start("")
	c.ready(ctx)
	c.backlog(http.DefaultClient, 20_000)
	const lives = 10 // a life in which nobody was quick enough to see it proves nothing
	for life := range lives {
		c.signal(syscall.SIGKILL)
		stored := queue.StoredBytes(c.data())
		c.start("")
		seen := c.readiness(ctx)
		if last := seen[len(seen)-1]; !last.Ready || last.Recovering != nil {
			t.Fatalf("life %d ends with %+v\n%s", life, last, c.stderr)
		}
		if len(seen) == 1 {
			continue
		}
		for i, r := range seen[:len(seen)-1] {
			if r.Ready || r.Recovering == nil || r.Reason != "recovering the store" || r.Recovering.Bytes < stored/2 || r.Recovering.Bytes < 2<<20 {
				t.Errorf("of %d bytes: %+v, %+v", stored, r, r.Recovering)
			} else if i > 0 && r.Recovering.Seconds <= seen[i-1].Recovering.Seconds {
				t.Errorf("after %v s it says %v s", seen[i-1].Recovering.Seconds, r.Recovering.Seconds)
			}
		}
		return
	}
	t.Errorf("in %d starts nobody saw the store being read", lives)
}

// readiness is what /readyz answers in a row from the first answer to the first that is green.
func (c *child) readiness(ctx context.Context) (seen []admin.Readiness) {
	c.t.Helper()
	for ctx.Err() == nil && !c.over() {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.adminAt+"/readyz", http.NoBody)
		if err != nil {
			c.t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			continue // it does not listen yet
		}
		var r admin.Readiness
		err = json.NewDecoder(resp.Body).Decode(&r)
		resp.Body.Close()
		if err != nil || r.Ready != (resp.StatusCode == http.StatusOK) || !r.Ready && resp.StatusCode != http.StatusServiceUnavailable {
			c.t.Errorf("%s: %+v, %v", resp.Status, r, err)
		}
		if seen = append(seen, r); r.Ready {
			return seen
		}
	}
	c.t.Fatalf("never ready: %+v\n%s", seen, c.stderr)
	return nil
}

// The key of an encrypted store is changed by the configuration: one start with both files. What was accepted under the old key is
// delivered under the new one, the old one opens nothing any more, and no life leaves a userId readable on the disk.
func TestAStoresKeyIsChangedByTheConfiguration(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), processPatience)
	defer cancel()
	box, api := childAPI(t, sandbox.Options{})
	if err := box.AddFault(sandbox.Fault{Percent: 100, Status: http.StatusServiceUnavailable}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keys := map[string]string{}
	for _, name := range []string{"first", "second"} {
		keys[name] = filepath.Join(dir, name+".key")
		if err := os.WriteFile(keys[name], []byte(strings.Repeat(name, 8)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	only := func(key string) string { return fmt.Sprintf("nats: {encryption_key_file: %s}\n", keys[key]) }
	c := newChild(t, buildProgram(t), dir, api, only("first"))
	c.start("")
	c.ready(ctx)
	users := c.postUsers(ctx, "sealed-user-before", 20)
	c.signal(syscall.SIGTERM)
	c.hides(t, "sealed-user")

	c.configure(api, fmt.Sprintf("nats: {encryption_key_file: %s, encryption_old_key_file: %s}\n", keys["second"], keys["first"]))
	c.start("")
	c.ready(ctx)
	users = append(users, c.postUsers(ctx, "sealed-user-with-both", 20)...)
	c.signal(syscall.SIGKILL) // the key is changed by then
	c.hides(t, "sealed-user")

	c.configure(api, only("first"))
	c.start("")
	<-c.exited
	if code := c.cmd.ProcessState.ExitCode(); code <= 0 || code == exitRestart || !strings.Contains(c.stderr.String(), "it is not the one the store is sealed with") {
		t.Errorf("the old key: exit code %d\n%s", code, c.stderr)
	}

	c.configure(api, only("second"))
	box.ClearFaults()
	c.start("")
	c.ready(ctx)
	users = append(users, c.postUsers(ctx, "sealed-user-after", 20)...)
	if l := c.settled(ctx).Ledger; l.Delivered != 60 || l.Difference != 0 {
		t.Errorf("%+v", l)
	}
	arrived(t, box, users)
	c.signal(syscall.SIGTERM)
	c.hides(t, "sealed-user")
}

// hides fails if a file of the data directory holds a text.
func (c *child) hides(t *testing.T, text string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(c.data(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if files++; bytes.Contains(data, []byte(text)) {
			t.Errorf("%s holds %q", path, text)
		}
		return err
	})
	if err != nil || files < 5 {
		t.Errorf("%d files, %v", files, err)
	}
}

// One process only takes calls in, another only delivers, on one broker. Neither does the other's work, each tells the whole account,
// and a worker that is killed is replaced by the next.
func TestADoorAndAWorkerAreTwoProcesses(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), processPatience)
	defer cancel()
	box, api := slowSandbox(t)
	program := buildProgram(t)
	nats := fmt.Sprintf("nats: {url: %q, durability: fsync, partitions: 4, max_bytes: 128MiB}\n", queuetest.URLs(queuetest.Servers(t, 1)))
	door, worker := newChild(t, program, t.TempDir(), api, nats), newChild(t, program, t.TempDir(), api, nats)
	door.args, worker.args = []string{"--role", "ingest"}, []string{"--role", "worker"}
	door.start("")
	door.ready(ctx)
	users := door.postUsers(ctx, "before", 30)
	var st admin.Status
	if !door.ask(ctx, http.MethodGet, "/api/status", "", &st) || st.Ledger.Accepted != 30 || st.Sends || len(st.Unowned) != 4 || len(box.Contacts()) != 0 {
		t.Errorf("without a worker: %+v, %d contacts", st, len(box.Contacts()))
	}
	worker.start("")
	worker.ready(ctx)
	if status := worker.post(ctx, identify("nobody", 0, "")); status != 0 {
		t.Errorf("the worker takes calls in: %d", status)
	}
	users = append(users, door.postUsers(ctx, "with", 30)...)
	worker.signal(syscall.SIGKILL)
	users = append(users, door.postUsers(ctx, "without", 30)...)
	worker.start("")
	for ; ctx.Err() == nil && (len(st.Unowned) > 0 || st.Ledger.Delivered < int64(len(users))); pause(ctx, 100*time.Millisecond) {
		door.ask(ctx, http.MethodGet, "/api/status", "", &st)
	}
	if l := worker.settled(ctx).Ledger; l.Accepted != 90 || l.Delivered != 90 || l.Difference != 0 {
		t.Errorf("the worker says %+v", l)
	}
	if l := door.settled(ctx).Ledger; l.Accepted != 90 || l.Delivered != 90 || l.Difference != 0 {
		t.Errorf("the door says %+v", l)
	}
	arrived(t, box, users)
	for name, c := range map[string]*child{"door": door, "worker": worker} {
		if c.signal(syscall.SIGTERM); c.cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("%s: %v\n%s", name, c.cmd.ProcessState, c.stderr)
		}
	}
}

// STATE is nearly full: who has a record goes on, new users get 503 and the log says why. With more room by the configuration they are
// taken again, and nothing accepted is lost.
func TestANearlyFullStateTurnsNewUsersAwayUntilItHasRoom(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), processPatience)
	defer cancel()
	box, api := childAPI(t, sandbox.Options{})
	c := newChild(t, buildProgram(t), t.TempDir(), api, "nats: {max_bytes: 64MiB}\n")
	c.start("")
	c.ready(ctx)
	known := c.postUsers(ctx, "known", 10)
	c.settled(ctx)
	c.signal(syscall.SIGTERM)
	c.fillState(ctx, strings.TrimPrefix(api, "http://"), 85)

	c.start("")
	c.ready(ctx)
	for n, user := range known {
		if status := c.post(ctx, identify(user, 100+n, "")); status != http.StatusOK {
			t.Errorf("a known user got %d", status)
		}
		if status := c.post(ctx, identify(fmt.Sprint("new-", n), n, "")); status != http.StatusServiceUnavailable {
			t.Errorf("a new user got %d", status)
		}
	}
	c.says(ctx, "STATE is nearly full")
	if st := c.settled(ctx); st.StoreFull["state"] < 80 || st.Ledger.Delivered != 20 {
		t.Errorf("%+v", st)
	}
	c.signal(syscall.SIGTERM)

	c.configure(api, "nats: {max_bytes: 128MiB}\n")
	c.start("")
	c.ready(ctx)
	all := append(known, c.postUsers(ctx, "new", 10)...)
	if st := c.settled(ctx); st.StoreFull["state"] >= 80 || st.Ledger.Accepted != 30 || st.Ledger.Delivered != 30 || st.Ledger.Difference != 0 {
		t.Errorf("%+v", st)
	}
	arrived(t, box, all)
	if c.signal(syscall.SIGTERM); c.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("%v:\n%s", c.cmd.ProcessState, c.stderr)
	}
}

// fillState puts something into STATE between two lives, until it is so full (percent).
func (c *child) fillState(ctx context.Context, account string, percent uint64) {
	c.t.Helper()
	s, err := queue.Open(ctx, queue.Config{Dir: c.data(), Account: account})
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			c.t.Error(err)
		}
	}()
	for n := 0; ; n++ {
		sizes, err := s.Sizes(ctx)
		if err != nil {
			c.t.Fatal(err)
		}
		if size := sizes["STATE"]; size.Bytes*100 >= size.Limit*percent {
			return
		}
		if _, err := s.PutState(ctx, fmt.Sprint("filler.", n), make([]byte, 200<<10), 0); err != nil {
			c.t.Fatal(err)
		}
	}
}

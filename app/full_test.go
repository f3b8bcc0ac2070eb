package app_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// exitRestart is the exit code that tells a supervisor to start the service again.
const exitRestart = 5

// smallDisk is a tmpfs of that size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: a small disk takes root, to mount a tmpfs")
	}
	at := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", at).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: no tmpfs can be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return at
}

// ballast writes a file that leaves so much of the disk free.
func ballast(t *testing.T, disk string, free int64) (remove func()) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(disk, &fs); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(disk, "ballast")
	size := int64(fs.Bavail)*fs.Bsize - free
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) { // others write, too
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// accepted posts calls of users of their own until stop says so, and returns the users of those that were acknowledged.
func (c *child) accepted(ctx context.Context, name string, stop func(n, status int) bool) (users []string) {
	c.t.Helper()
	for n := 0; ctx.Err() == nil; n++ {
		user := name + "-" + strings.Repeat("x", 100) + "-" + string(rune('a'+n%26)) + time.Duration(n).String()
		status := c.post(ctx, identify(user, n, strings.Repeat("plan ", 5000)))
		if status == http.StatusOK {
			users = append(users, user)
		}
		if stop(n, status) {
			return users
		}
	}
	return users
}

// arrived checks that every user has a contact.
func arrived(t *testing.T, box *sandbox.Sandbox, users []string) {
	t.Helper()
	have := map[string]bool{}
	for _, c := range box.Contacts() {
		have[c.ExternalID] = true
	}
	missing := 0
	for _, user := range users {
		if !have[user] {
			missing++
		}
	}
	t.Logf("%d calls accepted, %d missing", len(users), missing)
	if missing > 0 || len(users) == 0 {
		t.Errorf("%d of %d accepted calls are missing", missing, len(users))
	}
}

// Somebody else fills the disk: events are refused in time, the log says why, and with space again everything goes on.
func TestADiskThatFillsUpIsLeftAlone(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "160m")
	box, api := slowSandbox(t)
	c := newChild(t, buildProgram(t), disk, api, "nats: {max_bytes: 64MiB}\n")
	c.start("")
	ctx := t.Context()
	c.ready(ctx)
	users := c.accepted(ctx, "before", func(n, _ int) bool { return n == 100 })
	remove := ballast(t, disk, 8<<20)
	users = append(users, c.accepted(ctx, "while", func(_, status int) bool { return status == http.StatusServiceUnavailable })...)
	if c.readyz(ctx) != http.StatusServiceUnavailable {
		t.Error("ready though nothing can be stored")
	}
	c.says(ctx, "the disk is nearly full")
	remove()
	users = append(users, c.accepted(ctx, "after", func(_, status int) bool { return status == http.StatusOK })...)
	c.settled(ctx)
	arrived(t, box, users)
	if c.signal(syscall.SIGTERM); c.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("%v:\n%s", c.cmd.ProcessState, c.stderr)
	}
}

// The disk is full before anybody looks, and the broker's writes fail. It says so and ends for its supervisor; with space
// again, the next start has everything that was accepted.
func TestAFullDiskEndsTheProcessForItsSupervisor(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "160m")
	box, api := slowSandbox(t)
	c := newChild(t, buildProgram(t, "-tags", "failpoints"), disk, api, "nats: {max_bytes: 64MiB}\n")
	c.environ = []string{failpoint.NoRoomVariable + "=1"}
	c.start("")
	ctx := t.Context()
	c.ready(ctx)
	users := c.accepted(ctx, "before", func(n, _ int) bool { return n == 100 })
	remove := ballast(t, disk, 0)
	users = append(users, c.accepted(ctx, "while", func(int, int) bool { return c.over() })...)
	if code := c.cmd.ProcessState.ExitCode(); code != exitRestart || !strings.Contains(c.stderr.String(), "had no answer: see whether the disk is full") {
		t.Errorf("exit code %d:\n%s", code, c.stderr)
	}
	remove()
	c.start("")
	c.settled(ctx)
	arrived(t, box, users)
}

// The log reaches its limit: refused, said, and by delivering it heals.
func TestAFullLogRefusesAndHeals(t *testing.T) {
	t.Parallel()
	box, api := slowSandbox(t)
	box.ClearFaults()
	if err := box.AddFault(sandbox.Fault{Percent: 100, Status: http.StatusServiceUnavailable}); err != nil {
		t.Fatal(err)
	}
	c := newChild(t, buildProgram(t), t.TempDir(), api, "nats: {max_bytes: 64MiB}\nretry: {initial: 50ms, max: 200ms, max_age: 15m}\n")
	c.start("")
	ctx := t.Context()
	c.ready(ctx)
	// A disk that stands still for seconds refuses calls as well: the log is full when it is not ready, either.
	users := c.accepted(ctx, "before", func(_, status int) bool {
		return status == http.StatusServiceUnavailable && c.readyz(ctx) == http.StatusServiceUnavailable
	})
	c.says(ctx, "size limit")
	box.ClearFaults()
	users = append(users, c.accepted(ctx, "after", func(_, status int) bool { return status == http.StatusOK })...)
	st := c.settled(ctx)
	if st.Ledger.Difference != 0 || st.Ledger.Delivered != int64(len(users)) {
		t.Errorf("%d calls were accepted, the ledger is %+v", len(users), st.Ledger)
	}
	arrived(t, box, users)
}

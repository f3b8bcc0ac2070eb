package app_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

var powerCuts = flag.Int("power.cuts", 1, "power-cut test: how many cuts; `make test-power` makes five and more")

// A power cut at full load. The store is on a file system of its own, in an image file; the process is stopped in the middle
// of its writing, and the image is copied: the copy holds what had reached the disk, and nothing of what the kernel or the
// process still had in memory. A new process on the copy must have every call that was acknowledged.
func TestAPowerCutLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	program := buildProgram(t, "-tags", "failpoints")
	for n := range *powerCuts {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			acked, lost := cutPower(t, program)
			t.Logf("%d calls acknowledged, %d lost", acked, lost)
			if acked < fewAcked || lost > 0 {
				t.Errorf("%d of %d acknowledged calls are lost", lost, acked)
			}
		})
	}
}

// The same without fsync: if nothing were lost then, the test above would show nothing.
func TestAPowerCutWithoutFsyncLosesEvents(t *testing.T) {
	t.Parallel()
	acked, lost := cutPower(t, buildProgram(t, "-tags", "failpoints"), failpoint.NoSyncVariable+"=1")
	t.Logf("%d calls acknowledged, %d lost", acked, lost)
	if lost == 0 {
		t.Errorf("of %d calls that no fsync covered none is lost: the test cannot tell", acked)
	}
}

// fewAcked is less than a power cut must come after: with fewer calls it shows nothing.
const fewAcked = 200

// freeze stops the process and waits until each of its threads stands still. A signal is on its way for a while: what went on meanwhile
// would be acknowledged, and not be in the copy.
func (c *child) freeze() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		c.t.Error(err)
	}
	for moving := true; moving; pause(c.t.Context(), time.Millisecond) {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.cmd.Process.Pid))
		if err != nil || len(stats) == 0 {
			c.t.Fatalf("the threads of the process: %v", err)
		}
		moving = slices.ContainsFunc(stats, func(stat string) bool {
			text, err := os.ReadFile(stat)
			state := text[bytes.LastIndexByte(text, ')')+1:] // after the program's name
			return err == nil && !bytes.HasPrefix(state, []byte(" T"))
		})
	}
}

// cutPower has calls of many users accepted until the power is cut, and counts those that never arrive.
func cutPower(t *testing.T, program string, environ ...string) (acked, lost int) {
	t.Helper()
	box, api := slowSandbox(t)
	image := filepath.Join(t.TempDir(), "disk")
	disk := makeDisk(t, image)
	before := newChild(t, program, disk, api, "nats: {max_bytes: 128MiB}\n")
	before.environ = environ
	before.start("")
	ctx := t.Context()
	before.ready(ctx)
	run(t, "sync", "--file-system", disk) // the streams themselves: what is to be lost or kept are events
	users := floodUntil(ctx, before, "cut", func(acked func() int) {
		pause(ctx, 1500*time.Millisecond)
		for acked() < 2*fewAcked && ctx.Err() == nil {
			pause(ctx, 10*time.Millisecond)
		}
		before.freeze()
		run(t, "cp", "--sparse=always", image, image+".cut")
	})
	if err := box.AddFault(sandbox.Fault{Percent: 100, Status: http.StatusUnauthorized}); err != nil { // the dead process sends no more
		t.Fatal(err)
	}
	before.signal(syscall.SIGKILL)
	box.ClearFaults()

	after := newChild(t, program, mountDisk(t, image+".cut"), api, "nats: {max_bytes: 128MiB}\n")
	after.environ = environ
	after.start("")
	if !after.drains(ctx) {
		t.Logf("the process cannot start with what is left: %s", after.stderr)
	} else {
		after.signal(syscall.SIGTERM)
	}
	return len(users), missing(box, users)
}

// missing counts the users without a contact.
func missing(box *sandbox.Sandbox, users []string) (n int) {
	arrived := map[string]bool{}
	for _, c := range box.Contacts() {
		arrived[c.ExternalID] = true
	}
	for _, user := range users {
		if !arrived[user] {
			n++
		}
	}
	return n
}

// slowSandbox is slow enough for a backlog.
func slowSandbox(t *testing.T) (*sandbox.Sandbox, string) {
	t.Helper()
	return childAPI(t, sandbox.Options{}, sandbox.Fault{Percent: 100, Delay: 20 * time.Millisecond})
}

// drains waits until nothing is pending; false if the process ends before.
func (c *child) drains(parent context.Context) bool {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	go func() {
		select {
		case <-c.exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	return c.untilSettled(ctx).Ledger.SettledReading && ctx.Err() == nil
}

// ready waits until a process can store events.
func (c *child) ready(ctx context.Context) {
	c.t.Helper()
	for ctx.Err() == nil {
		if c.readyz(ctx) == http.StatusOK {
			return
		}
		if c.over() {
			c.t.Fatalf("the process did not start: %v\n%s", c.cmd.ProcessState, c.stderr)
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// readyz is the status of the answer, 0 if there is none.
func (c *child) readyz(ctx context.Context) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.adminAt+"/readyz", http.NoBody)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// floodUntil posts calls, each of a user of its own named after life, over 32 connections until cut returns. It returns the users whose calls
// were acknowledged.
func floodUntil(parent context.Context, c *child, life string, cut func(acked func() int)) (acked []string) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for w := range 32 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				user := fmt.Sprintf("%s-user-%d-%d", life, w, n)
				if c.post(ctx, identify(user, n, "plan")) == http.StatusOK {
					mu.Lock()
					acked = append(acked, user)
					mu.Unlock()
				}
			}
		})
	}
	cut(func() int { mu.Lock(); defer mu.Unlock(); return len(acked) })
	cancel()
	wg.Wait()
	return acked
}

// makeDisk makes an ext4 file system in an image file and mounts it; without the means the test is skipped.
func makeDisk(t *testing.T, image string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: a file system of its own takes root and loop mounts")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(512 << 20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	run(t, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
	return mountDisk(t, image)
}

func mountDisk(t *testing.T, image string) string {
	t.Helper()
	at := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "loop", image, at).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: no loop mounts here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return at
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", name, err, out)
	}
}

package app_test

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/freshrelay/freshrelay/failpoint"
)

// Stored, then 200. The process stands still with a pack that it has not stored, while everything else in it goes on, and
// dies then: whoever was answered meanwhile was answered too early, and is missed after the next start. A kill alone would not
// do: the answer would die with the process.
func TestNothingIsAnsweredBeforeItIsStored(t *testing.T) {
	t.Parallel()
	box, api := slowSandbox(t)
	c := newChild(t, buildProgram(t, "-tags", "failpoints"), t.TempDir(), api, "nats: {max_bytes: 128MiB}\n")
	ctx := t.Context()
	var users []string
	for _, passing := range []int{5, 20} {
		c.start(fmt.Sprintf("%s=%d:hold", failpoint.PublishBefore, passing))
		c.ready(ctx)
		users = append(users, floodUntil(ctx, c, fmt.Sprint("life-", passing), func(func() int) { <-c.exited })...)
		if !c.killed() {
			t.Fatalf("the process was to die while it held a pack: %v\n%s", c.cmd.ProcessState, c.stderr)
		}
	}
	c.start("")
	c.settled(ctx)
	if n := missing(box, users); n > 0 || len(users) < 10 {
		t.Errorf("%d of %d acknowledged calls are lost", n, len(users))
	}
	c.signal(syscall.SIGTERM)
}

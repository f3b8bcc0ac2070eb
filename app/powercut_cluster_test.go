package app_test

import (
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

var powerServers = flag.Int("power.servers", 0, "power-cut test of three NATS servers: how many cuts; `make test-power` makes three")

// All three NATS servers lose their power at once, at full load: each has a file system of its own, all are stopped within
// milliseconds, and they start again from what had reached their disks. What was acknowledged is there.
func TestAPowerCutOnAllServersLosesNothingAcknowledged(t *testing.T) {
	if *powerServers == 0 {
		t.Skip("SKIPPED: three servers and their disks take a while: make test-power")
	}
	program := buildProgram(t, "-tags", "failpoints")
	for n := range *powerServers {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			acked, lost := cutAllServers(t, program, true)
			t.Logf("%d calls acknowledged, %d lost", acked, lost)
			if acked < 50 || lost > 0 {
				t.Errorf("%d of %d acknowledged calls are lost", lost, acked)
			}
		})
	}
}

// The same without sync_interval: always. If nothing were lost then, the test above would show nothing.
func TestAPowerCutOnAllServersWithoutFsyncLosesEvents(t *testing.T) {
	if *powerServers == 0 {
		t.Skip("SKIPPED: three servers and their disks take a while: make test-power")
	}
	acked, lost := cutAllServers(t, buildProgram(t, "-tags", "failpoints"), false)
	t.Logf("%d calls acknowledged, %d lost", acked, lost)
	if lost == 0 {
		t.Errorf("of %d calls that no fsync covered none is lost: the test cannot tell", acked)
	}
}

func cutAllServers(t *testing.T, program string, sync bool) (acked, lost int) {
	t.Helper()
	box, api := slowSandbox(t)
	images, disks := make([]string, 3), make([]string, 3)
	for i := range images {
		images[i] = filepath.Join(t.TempDir(), "disk")
		disks[i] = makeDisk(t, images[i])
	}
	servers := queuetest.ServersIn(t, disks, sync)
	c := newChild(t, program, t.TempDir(), api, fmt.Sprintf("nats: {url: %q, durability: fsync, replicas: 3, partitions: 4, max_bytes: 128MiB}\n", queuetest.URLs(servers)))
	c.environ = []string{failpoint.LeaseVariable + "=" + clusterLease.String(), "FRESHRELAY_FRESHMARKETER_TIMEOUT=1s"}
	c.start("")
	ctx := t.Context()
	c.ready(ctx)
	users := floodUntil(ctx, c, "cut", func(acked func() int) {
		pause(ctx, 5*time.Second)
		for acked() < 100 && ctx.Err() == nil {
			pause(ctx, 10*time.Millisecond)
		}
		for _, s := range servers {
			s.Freeze()
		}
		for _, image := range images {
			run(t, "cp", "--sparse=always", image, image+".cut")
		}
	})
	if err := box.AddFault(sandbox.Fault{Percent: 100, Status: http.StatusUnauthorized}); err != nil { // the dead process sends no more
		t.Fatal(err)
	}
	c.signal(syscall.SIGKILL)
	box.ClearFaults()
	for i, s := range servers {
		s.Kill()
		s.Move(mountDisk(t, images[i]+".cut"))
		s.Start()
	}
	queuetest.Ready(t, servers)
	c.start("")
	if !c.drains(ctx) {
		t.Logf("the process cannot go on with what is left: %s", c.stderr)
	} else {
		c.signal(syscall.SIGTERM)
	}
	for _, s := range servers {
		s.Kill() // before its disk goes
	}
	return len(users), missing(box, users)
}

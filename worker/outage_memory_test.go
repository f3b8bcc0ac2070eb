package worker_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// heap is what the process holds, in MiB, but for the broker's buffers of blocks of its log: it lets go of them ten seconds after their
// last use, by a clock of its own, which goes on in real time. A day takes less here.
func heap(t *testing.T) float64 {
	t.Helper()
	for range 3 { // what was in a pool, and the profile, are two behind
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(int64(m.HeapAlloc)-buffers(t)) / (1 << 20)
}

// buffers is how much the broker has in buffers of blocks. They are so large that the profile has every one.
func buffers(t *testing.T) (held int64) {
	t.Helper()
	records := make([]runtime.MemProfileRecord, 50_000)
	n, ok := runtime.MemProfile(records, false)
	if !ok {
		t.Fatalf("%d records of the profile", n)
	}
	for _, r := range records[:n] {
		for frames := runtime.CallersFrames(r.Stack()); ; {
			frame, more := frames.Next()
			if strings.HasSuffix(frame.Function, ".getMsgBlockBuf") {
				held += r.InUseBytes()
			}
			if !more {
				break
			}
		}
	}
	return held
}

// Calls come in all through an outage, with the smallest plan's quota. They do not pile up in memory, none is given up, and
// afterwards everybody ends with the newest. FRESHRELAY_LONG=1 takes a whole day, and alone in its process measures the heap.
func TestAnOutageDoesNotGrowInMemory(t *testing.T) {
	hours, readAhead, long := 2, 256<<10, os.Getenv("FRESHRELAY_LONG") != ""
	if long {
		hours, readAhead = 24, 8<<20
	}
	bubble(t, sandbox.Options{History: true, BulkWait: time.Second, BulkDuration: 3 * time.Second}, func(t *testing.T, r *rig) {
		const users, perMinute = 120, 40
		r.quota, r.readAhead, r.maxBytes = worker.DefaultQuota(), readAhead, 1<<30
		r.restart()
		r.load(users, 1)
		r.drain(time.Hour)
		r.fault(sandbox.Fault{Percent: 100, Status: 503})
		before, sent, most := 0.0, 0, 0
		for minute := range hours * 60 {
			entries := make([]queue.Entry, perMinute)
			for i := range entries {
				entries[i] = r.identify(fmt.Sprint("u", sent%users), map[string]any{"seq": sent/users + 1, "plan": "p"})
				sent++
			}
			r.publish(entries...)
			time.Sleep(time.Minute)
			most = max(most, r.pool.Depth().ReadAhead)
			if before == 0 && most > readAhead*9/10 || minute == hours*30 {
				before = heap(t)
			}
		}
		after := heap(t)
		t.Logf("%d calls in %d h: at most %d KiB of them in memory; heap %.1f MiB, in the end %.1f MiB", sent, hours, most>>10, before, after)
		if most > readAhead+64<<10 {
			t.Errorf("%d bytes in memory, the bound is %d", most, readAhead)
		}
		if long && after > before+2 {
			t.Errorf("the heap grew from %.1f MiB to %.1f MiB", before, after)
		}
		r.box.ClearFaults()
		if l := r.drain(24 * time.Hour); l.Dead != 0 || l.Delivered != int64(users+sent) {
			t.Errorf("ledger %+v", l)
		}
		r.upToDate(users, sent/users+1)
		r.neverBackwards("cf_seq")
	})
}

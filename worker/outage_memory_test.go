package worker_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// heap is what the process holds, in MiB. A collection leaves what was put into a pool, such as the broker's 4 MiB buffers; the
// second one takes it.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
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
				before = heap()
			}
		}
		after := heap()
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

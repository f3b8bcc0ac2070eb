package queue

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	sizeMessages = flag.Int("size.messages", 100_000, "BenchmarkSize: messages in the log; docs/benchmarks.md has it for 30,000,000")
	sizeUsers    = flag.Int("size.users", 20_000, "BenchmarkSize: records in STATE")
	sizeDir      = flag.String("size.dir", "", "BenchmarkSize: keeps the store there; a second run opens it in a fresh process and measures that alone")
	fullBytes    = flag.Int64("full.bytes", 128<<20, "BenchmarkFull: room of the whole store, 60 % of it the log's")
	roundRecords = flag.Int("rounds.records", 20_000, "BenchmarkRounds: records that are rewritten")
	rounds       = flag.Int("rounds.n", 5, "BenchmarkRounds: how often")
)

// disk is what a directory holds.
func disk(tb testing.TB, dir string) (files int, mb float64) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the broker is at work
		}
		if err != nil || d.IsDir() {
			return err
		}
		if info, err := d.Info(); err == nil {
			files, mb = files+1, mb+float64(info.Size())/(1<<20)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return files, mb
}

// memory is the resident memory of this process, broker included, and its heap after a collection, in MB.
func memory(tb testing.TB) (rss, heap float64) {
	tb.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return math.NaN(), float64(m.HeapAlloc) / (1 << 20)
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	if err != nil {
		tb.Fatal(err)
	}
	return pages * float64(os.Getpagesize()) / (1 << 20), float64(m.HeapAlloc) / (1 << 20)
}

// BenchmarkSize fills the log with packs of one small event each and STATE with small records, closes the store and opens it
// again. The filling takes no part in the figures; without fsync (-tags failpoints, FAILPOINTS_NO_SYNC=1) it is quick.
func BenchmarkSize(b *testing.B) {
	dir := *sizeDir
	if dir == "" {
		dir = b.TempDir()
	}
	if _, err := os.Stat(filepath.Join(dir, "jetstream")); err != nil {
		fill(b, dir)
	}
	files, mb := disk(b, dir)
	before, _ := memory(b)
	began := time.Now()
	s, err := Open(context.Background(), Config{Dir: dir, MaxBytes: 64 << 30, Account: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	after, heap := memory(b)
	for name, stream := range map[string]jetstream.Stream{"EVENTS": s.events, "STATE": s.state} {
		info, err := stream.Info(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.State.Msgs), name+"-messages")
	}
	b.ReportMetric(float64(files), "files")
	b.ReportMetric(mb, "disk-MB")
	b.ReportMetric(took.Seconds(), "s-to-open")
	b.ReportMetric(before, "RSS-before-MB")
	b.ReportMetric(after, "RSS-open-MB")
	b.ReportMetric(heap, "heap-MB")
	b.ReportMetric(0, "ns/op")
	if err := s.Close(); err != nil {
		b.Error(err)
	}
}

// fill publishes past the publisher: one message after the other, many on their way.
func fill(b *testing.B, dir string) {
	b.Helper()
	s, err := Open(context.Background(), Config{Dir: dir, MaxBytes: 64 << 30, Account: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	send := func(count int, message func(n int) *nats.Msg) {
		window := 4096
		acks := []jetstream.PubAckFuture{}
		for n := range count {
			ack, err := s.js.PublishMsgAsync(message(n))
			if err != nil {
				b.Fatal(err)
			}
			if acks = append(acks, ack); len(acks) == window || n == count-1 {
				for _, ack := range acks {
					select {
					case <-ack.Ok():
					case err := <-ack.Err():
						b.Fatal(err)
					}
				}
				acks = acks[:0]
			}
		}
	}
	send(*sizeMessages, func(n int) *nats.Msg {
		msg := nats.NewMsg(s.names.packs(logID{}))
		msg.Data = encodePack([]packed{{kind: KindEvent, digest: s.identity.digest(strconv.Itoa(n % 50_000)), data: []byte("x")}})
		setTotals(msg, uint64(n+1), uint64(n+1))
		return msg
	})
	send(*sizeUsers, func(n int) *nats.Msg {
		return &nats.Msg{Subject: s.names.user(s.User(strconv.Itoa(n))), Data: make([]byte, 100), Header: nats.Header{}}
	})
	b.Logf("filled in %v", time.Since(began).Round(time.Second))
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// publishFor has 64 callers store events of 1 KB, up to n or until the log is full. It returns the rate.
func publishFor(b *testing.B, s *Store, n int) (rate float64, full bool) {
	b.Helper()
	began, data := time.Now(), make([]byte, 1<<10)
	var mu sync.Mutex
	left, stored := n, 0
	var wg sync.WaitGroup
	for c := range 64 {
		wg.Go(func() {
			for {
				mu.Lock()
				if left--; left < 0 || full {
					mu.Unlock()
					return
				}
				mu.Unlock()
				err := s.Publish(context.Background(), []Entry{{UserID: fmt.Sprint(c), Data: data}})
				mu.Lock()
				switch {
				case err == nil:
					stored++
				case errors.Is(err, ErrFull):
					full = true
				default:
					b.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return float64(stored) / time.Since(began).Seconds(), full
}

// BenchmarkFull stores into an empty log, fills it until it refuses, drains it, and stores again.
func BenchmarkFull(b *testing.B) {
	const probe = 20_000
	s, err := Open(context.Background(), Config{Dir: b.TempDir(), MaxBytes: *fullBytes, Account: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	before, _ := publishFor(b, s, probe)
	filling, full := publishFor(b, s, math.MaxInt)
	info, err := s.events.Info(context.Background())
	if err != nil || !full {
		b.Fatalf("never full: %v", err)
	}
	b.ReportMetric(float64(info.State.Bytes)/float64(info.Config.MaxBytes), "full-share")
	p := s.Partition()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	began := time.Now()
	go func() {
		ended <- p.Run(ctx, func(_ context.Context, items []Item) error {
			positions := make([]uint64, len(items))
			for i, it := range items {
				positions[i] = it.Position
			}
			p.Commit(&Settlement{Positions: positions, Tally: Tally{{Type: "identify", Outcome: Delivered}: len(items)}, Done: func(uint64, error) {}})
			return nil
		})
	}()
	var l Ledger
	for l.Delivered == 0 || l.Pending > 0 {
		if l, err = s.Ledger(ctx); err != nil {
			b.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.ReportMetric(float64(l.Delivered)/time.Since(began).Seconds(), "drained/s")
	time.Sleep(3 * trimEvery) // until the room is there again
	after, _ := publishFor(b, s, probe)
	if l, err = s.Ledger(ctx); err != nil || l.Difference() != 0 {
		b.Errorf("%+v, %v", l, err)
	}
	b.ReportMetric(before, "before/s")
	b.ReportMetric(filling, "filling/s")
	b.ReportMetric(after, "after/s")
	b.ReportMetric(0, "ns/op")
	cancel()
	if err := errors.Join(<-ended, s.Close()); err != nil {
		b.Error(err)
	}
}

// BenchmarkRounds rewrites the same records round after round, as hours of traffic of the same users do, and prints after each
// what lies on disk and in memory. Old revisions are compacted in the background.
func BenchmarkRounds(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(context.Background(), Config{Dir: dir, MaxBytes: 8 << 30, Account: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	revs := make([]uint64, *roundRecords)
	record := make([]byte, 1<<10)
	b.Logf("%6s %10s %8s %10s %10s %10s", "round", "records/s", "files", "disk MB", "heap MB", "RSS MB")
	for round := range *rounds {
		rate := rewrite(b, s, revs, record)
		files, mb := disk(b, dir)
		rss, heap := memory(b)
		if round < 5 || round%max(1, *rounds/20) == 0 || round == *rounds-1 {
			b.Logf("%6d %10.0f %8d %10.0f %10.0f %10.0f", round+1, rate, files, mb, heap, rss)
		}
		if round == *rounds-1 {
			b.ReportMetric(rate, "last-records/s")
			b.ReportMetric(float64(files), "files")
			b.ReportMetric(mb, "disk-MB")
			b.ReportMetric(heap, "heap-MB")
		}
	}
	b.ReportMetric(0, "ns/op")
	if err := s.Close(); err != nil {
		b.Error(err)
	}
}

package queue_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// rawRate is how often a second this disk takes 1 KB with fsync, one after the other. Every figure is compared with it.
func rawRate(b *testing.B) float64 {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block, n := make([]byte, 1<<10), 0
	began := time.Now()
	for time.Since(began) < time.Second {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		n++
	}
	return float64(n) / time.Since(began).Seconds()
}

func onServers(b *testing.B, servers []*queuetest.Server, prefix string, partitions int, packs, events *atomic.Int64) *queue.Store {
	b.Helper()
	s, err := queue.Open(b.Context(), queue.Config{
		Prefix: prefix, Account: "sandbox", Partitions: partitions, MaxBytes: 2 << 30, Logger: zap.NewNop(),
		External:  &queue.External{URL: queuetest.URLs(servers), Replicas: len(servers), Durability: queue.DurabilityFsync},
		OnPublish: func(_ time.Duration, n int) { packs.Add(1); events.Add(int64(n)) },
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// Events of 1 KB from 256 callers into one or three nats-server processes on this machine, which sync always, over one
// partition and over sixteen; at the end the commits of an owner of all partitions, 64 records at once.
func BenchmarkCluster(b *testing.B) {
	for _, replicas := range []int{3, 1} {
		servers := queuetest.Servers(b, replicas)
		for _, partitions := range []int{1, 16} {
			name := fmt.Sprintf("replicas=%d/partitions=%d", replicas, partitions)
			prefix := strings.NewReplacer("=", "", "/", "-").Replace(name)
			var packs, events atomic.Int64
			b.Run(name+"/publish", func(b *testing.B) {
				benchPublish(b, onServers(b, servers, prefix, partitions, &packs, &events), &packs, &events)
			})
			b.Run(name+"/commit", func(b *testing.B) {
				benchCommit(b, onServers(b, servers, prefix, partitions, &packs, &events), partitions)
			})
		}
	}
}

func benchPublish(b *testing.B, s *queue.Store, packs, events *atomic.Int64) {
	raw := rawRate(b)
	const callers = 256
	data := make([]byte, 1<<10)
	packs.Store(0)
	events.Store(0)
	work := make(chan int)
	var wg sync.WaitGroup
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for i := range work {
				if err := s.Publish(context.Background(), []queue.Entry{{UserID: fmt.Sprint(i), Data: data}}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range b.N {
		work <- i
	}
	close(work)
	wg.Wait()
	rate := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(rate, "events/s")
	b.ReportMetric(float64(events.Load())/float64(max(packs.Load(), 1)), "events/pack")
	b.ReportMetric(raw, "raw-fsyncs/s")
	b.ReportMetric(rate/raw, "x-raw")
	b.ReportMetric(0, "ns/op")
}

func benchCommit(b *testing.B, s *queue.Store, partitions int) {
	raw := rawRate(b)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	owned := make(chan *queue.Partition, partitions)
	go func() {
		done <- s.Own(ctx, func(ctx context.Context, p *queue.Partition) error { owned <- p; <-ctx.Done(); return nil })
	}()
	parts := map[int]*queue.Partition{}
	for range partitions {
		p := <-owned
		parts[p.Number()] = p
	}
	const users = 64
	record := make([]byte, 1<<10)
	work := make(chan struct{})
	var wg sync.WaitGroup
	b.ResetTimer()
	for i := range users {
		user := s.User(fmt.Sprint(i))
		var p *queue.Partition
		for _, part := range parts {
			if part.Owns(user) {
				p = part
			}
		}
		wg.Go(func() {
			_, rev, err := p.Record(context.Background(), user) // of the round before
			if err != nil {
				b.Error(err)
			}
			answer := make(chan error, 1)
			for range work {
				p.Commit(&queue.Settlement{User: user, Record: record, Rev: rev, Done: func(r uint64, err error) { rev = r; answer <- err }})
				if err := <-answer; err != nil {
					b.Error(err)
				}
			}
		})
	}
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
	rate := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(rate, "records/s")
	b.ReportMetric(raw, "raw-fsyncs/s")
	b.ReportMetric(0, "ns/op")
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}

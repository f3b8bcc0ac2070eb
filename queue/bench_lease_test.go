package queue_test

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

var leaseLoad = flag.Duration("lease.load", 20*time.Second, "BenchmarkRenewals: how long the load lasts")

// BenchmarkRenewals has one process own sixteen partitions while 512 users' settlements queue up before its committer and 64 callers
// publish: the least that was left of any lease, and how often one had less than half. A lease is 30 s and is renewed after 8 s.
func BenchmarkRenewals(b *testing.B) {
	const partitions, users, publishers = 16, 512, 64
	servers := queuetest.Servers(b, 1)
	var packs, events, commits atomic.Int64
	s := onServers(b, servers, "renewals", partitions, &packs, &events)
	ctx, stop := context.WithCancel(b.Context())
	owned, ended := make(chan *queue.Partition, 10*partitions), make(chan error, 1)
	go func() {
		ended <- s.Own(ctx, func(ctx context.Context, p *queue.Partition) error { owned <- p; <-ctx.Done(); return nil })
	}()
	parts := make([]*queue.Partition, partitions)
	for range partitions {
		p := <-owned
		parts[p.Number()] = p
	}
	loadCtx, unload := context.WithTimeout(ctx, *leaseLoad)
	defer unload()
	var load sync.WaitGroup
	for u := range users {
		user := s.User(fmt.Sprint("user", u))
		for _, p := range parts {
			if !p.Owns(user) {
				continue
			}
			load.Go(func() {
				answers := make(chan error, 1)
				for rev := uint64(0); loadCtx.Err() == nil; commits.Add(1) {
					p.Commit(&queue.Settlement{User: user, Record: make([]byte, 1<<10), Rev: rev, Done: func(r uint64, err error) { rev = r; answers <- err }})
					if err := <-answers; err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
	}
	for u := range publishers {
		load.Go(func() {
			for loadCtx.Err() == nil {
				if err := s.Publish(ctx, []queue.Entry{{UserID: fmt.Sprint(u), Data: make([]byte, 1<<10)}}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	least, late := time.Hour, 0
	for loadCtx.Err() == nil {
		for _, p := range parts {
			left, _ := p.LeaseLeft()
			least = min(least, left)
			if left < 15*time.Second {
				late++
			}
		}
		select {
		case <-loadCtx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	load.Wait()
	b.ReportMetric(least.Seconds(), "least-s-left")
	b.ReportMetric(float64(late), "looks-below-half")
	b.ReportMetric(float64(len(owned)), "leases-lost")
	b.ReportMetric(float64(commits.Load())/leaseLoad.Seconds(), "records/s")
	b.ReportMetric(float64(events.Load())/leaseLoad.Seconds(), "events/s")
	b.ReportMetric(0, "ns/op")
	stop()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}

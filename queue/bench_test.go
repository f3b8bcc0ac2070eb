package queue

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func benchStore(b *testing.B, dir string, keys Encryption) *Store {
	b.Helper()
	s, err := Open(context.Background(), Config{Dir: dir, MaxBytes: 8 << 30, Account: "bench", Encryption: keys})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkPublish stores events of 1 KB by 64 callers, as packs: plain, encrypted and compressed, by turns.
func BenchmarkPublish(b *testing.B) {
	sides := map[string]*Store{
		"plain": benchStore(b, b.TempDir(), Encryption{}), "encrypted": benchStore(b, b.TempDir(), Encryption{Key: fmt.Sprintf("%032d", 1)}),
		"s2": benchStore(b, b.TempDir(), Encryption{}),
	}
	s2 := sides["s2"]
	cfg := s2.events.CachedInfo().Config
	cfg.Compression = jetstream.S2Compression
	if _, err := s2.js.UpdateStream(context.Background(), cfg); err != nil {
		b.Fatal(err)
	}
	total := map[string]time.Duration{}
	data := make([]byte, 1<<10)
	for i := range data {
		data[i] = byte("abcdefghij"[i%10])
	}
	const rounds, callers, each = 5, 64, 200
	for range rounds {
		for name, s := range sides {
			began := time.Now()
			var wg sync.WaitGroup
			for c := range callers {
				wg.Go(func() {
					for range each {
						if err := s.Publish(context.Background(), []Entry{{UserID: fmt.Sprint(c), Data: data}}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			total[name] += time.Since(began)
		}
	}
	for name, s := range sides {
		b.ReportMetric(rounds*callers*each/total[name].Seconds(), name+"/s")
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkState commits the first records of many users, then new ones of the same, and opens the store again.
func BenchmarkState(b *testing.B) {
	const users = 200_000
	dir := b.TempDir()
	s := benchStore(b, dir, Encryption{})
	revs := make([]uint64, users)
	record := make([]byte, 2500)
	for _, pass := range []string{"first", "again"} {
		b.ReportMetric(rewrite(b, s, revs, record), pass+"-records/s")
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(StoredBytes(dir))/(1<<20), "MB")
	began := time.Now()
	s = benchStore(b, dir, Encryption{})
	b.ReportMetric(time.Since(began).Seconds(), "s-to-open")
	if err := s.Close(); err != nil {
		b.Error(err)
	}
	b.ReportMetric(0, "ns/op")
}

// rewrite commits a record of each user upon its revision, and returns how many a second.
func rewrite(b *testing.B, s *Store, revs []uint64, record []byte) (rate float64) {
	b.Helper()
	began := time.Now()
	var wg sync.WaitGroup
	places := make(chan struct{}, 2*maxCommit)
	for n := range revs {
		places <- struct{}{}
		wg.Add(1)
		s.Partition().Commit(&Settlement{User: s.User(fmt.Sprint(n)), Record: record, Rev: revs[n], Done: func(rev uint64, err error) {
			if err != nil {
				b.Error(err)
			}
			revs[n] = rev
			<-places
			wg.Done()
		}})
	}
	wg.Wait()
	return float64(len(revs)) / time.Since(began).Seconds()
}

package queue_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// owning has a store own its one partition until the returned function is called.
func owning(t testing.TB, s *queue.Store) (p *queue.Partition, giveBack func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	owned, ended := make(chan *queue.Partition, 10), make(chan error, 1)
	go func() {
		ended <- s.Own(ctx, func(ctx context.Context, p *queue.Partition) error { owned <- p; <-ctx.Done(); return nil })
	}()
	return <-owned, func() {
		t.Helper()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func onReplicas(t testing.TB, servers []*queuetest.Server) *queue.Store {
	t.Helper()
	cfg := queue.Config{
		Account: "sandbox", Partitions: 1, MaxBytes: queue.MinMaxBytes,
		External: &queue.External{URL: queuetest.URLs(servers), Replicas: len(servers), Durability: queue.DurabilityFsync},
	}
	s, err := queue.Open(t.Context(), cfg)
	for tries := 0; err != nil && tries < 100; tries++ { // a server that has just come up may not have met the others
		time.Sleep(100 * time.Millisecond)
		s, err = queue.Open(t.Context(), cfg)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Three servers with replicas compare the fence before a letter is replicated, and refuse a second comparison with it while one is on
// its way. Many lanes store letters at once all the same, and one that names a former owner's fence is refused among them.
func TestReplicasKeepFormerOwnersLettersOut(t *testing.T) {
	t.Parallel()
	const lanes, each = 8, 5
	servers := queuetest.Servers(t, 3)
	first, second := onReplicas(t, servers), onReplicas(t, servers)
	nc, err := nats.Connect(queuetest.URLs(servers))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := js.Stream(t.Context(), "FRESHRELAY_DEAD")
	if err != nil {
		t.Fatal(err)
	}
	fence := func() uint64 {
		t.Helper()
		msg, err := dead.GetLastMsgForSubject(t.Context(), "freshrelay.dead.fence.0")
		if err != nil {
			t.Fatal(err)
		}
		return msg.Sequence
	}
	p, giveBack := owning(t, first)
	former := fence()
	giveBack()
	if err := p.PutLetter(t.Context(), queue.Letter{User: first.User("0"), Position: 1}, false); !errors.Is(err, queue.ErrLost) {
		t.Errorf("a letter of the former owner: %v", err)
	}
	p, giveBack = owning(t, second)
	if fence() == former {
		t.Error("the fence is the former owner's")
	}
	var all sync.WaitGroup
	for lane := range lanes {
		all.Go(func() {
			for i := range each {
				l := queue.Letter{User: second.User(fmt.Sprint(lane)), Position: uint64(i + 1), Reason: "invalid", LastTry: time.Now()}
				if err := p.PutLetter(t.Context(), l, i%2 == 0); err != nil {
					t.Errorf("lane %d, letter %d: %v", lane, i, err)
				}
			}
		})
	}
	var refused atomic.Int64
	all.Go(func() {
		for i := range lanes * each {
			subject := fmt.Sprintf("freshrelay.dead.%s.%d", second.User("late"), i+1)
			if _, err := js.Publish(t.Context(), subject, nil, jetstream.WithExpectLastSequenceForSubject(former, "freshrelay.dead.fence.0")); err != nil {
				refused.Add(1)
			}
		}
	})
	all.Wait()
	if refused.Load() != lanes*each {
		t.Errorf("%d of %d late letters were refused", refused.Load(), lanes*each)
	}
	page, err := second.Letters(t.Context(), queue.LetterQuery{Limit: 1000})
	if err != nil || page.Total != lanes*each || len(page.Letters) != page.Total {
		t.Errorf("%d letters of %d, %v", page.Total, lanes*each, err)
	}
	giveBack()
}

// BenchmarkLetter stores letters one after the other: on one server and on three, where each is read and fenced.
func BenchmarkLetter(b *testing.B) {
	for _, replicas := range []int{1, 3} {
		b.Run(fmt.Sprintf("%d servers", replicas), func(b *testing.B) {
			s := onReplicas(b, queuetest.Servers(b, replicas))
			p, giveBack := owning(b, s)
			for n := uint64(1); b.Loop(); n++ {
				if err := p.PutLetter(b.Context(), queue.Letter{User: s.User("a"), Position: n, Event: make([]byte, 1000)}, false); err != nil {
					b.Fatal(err)
				}
			}
			giveBack()
		})
	}
}

package queue_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// reading runs the partition in the background and gives its items out one by one; stop ends it.
func reading(t *testing.T, p *queue.Partition) (items <-chan queue.Item, stop func()) {
	t.Helper()
	out := make(chan queue.Item)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- p.Run(ctx, func(ctx context.Context, pack []queue.Item) error {
			for _, it := range pack {
				select {
				case out <- it:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	}()
	return out, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("reading: %v", err)
		}
	}
}

func ledger(t *testing.T, s *queue.Store, accepted, deliveredN, discarded, dead, pending int64) {
	t.Helper()
	l, err := s.Ledger(t.Context())
	got := []int64{l.Accepted, l.Delivered, l.Discarded, l.Dead, l.Pending, l.Difference()}
	if diff := cmp.Diff([]int64{accepted, deliveredN, discarded, dead, pending, 0}, got); diff != "" || err != nil {
		t.Errorf("accepted, delivered, discarded, dead, pending, difference: %s %v", diff, err)
	}
}

// Packs are settled out of order and the process ends: what is open comes again, with nothing before or after it lost,
// although the log was trimmed.
func TestOpenEventsComeAgainAfterTrimmingAndARestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		for n := range 6 {
			publish(t, s, entry("a", n), entry("b", n))
		}
		p := s.Partition()
		items, stop := reading(t, p)
		for range 12 {
			it := <-items
			if string(it.Data) == "b-3" { // stays open: it holds the floor, but not what comes after it
				continue
			}
			commit(t, p, queue.Settlement{Positions: []uint64{it.Position}, Tally: delivered(1)})
		}
		time.Sleep(10 * time.Second) // floor and trim
		ledger(t, s, 12, 11, 0, 0, 1)
		stop()
	})
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		l, err := s.Ledger(t.Context())
		if err != nil || l.Accepted != 12 || l.Pending != 6 || !l.Reading {
			t.Errorf("before reading %+v, %v", l, err)
		}
		p := s.Partition()
		items, stop := reading(t, p)
		var got []string
		for range 6 {
			it := <-items
			got = append(got, string(it.Data))
			if string(it.Data) == "b-3" {
				commit(t, p, queue.Settlement{Positions: []uint64{it.Position}, Tally: delivered(1)})
			} else {
				p.Skip(it.Position)
			}
		}
		if diff := cmp.Diff([]string{"a-3", "b-3", "a-4", "b-4", "a-5", "b-5"}, got); diff != "" {
			t.Error(diff)
		}
		time.Sleep(10 * time.Second) // nothing is committed any more, but floor and trim go on
		ledger(t, s, 12, 12, 0, 0, 0)
		stop()
	})
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		select {
		case <-s.Partition().Recovered():
			t.Error("recovered before reading")
		default:
		}
		ledger(t, s, 12, 12, 0, 0, 0)
		publish(t, s, entry("a", 6))
		ledger(t, s, 13, 12, 0, 0, 1)
		if diff := cmp.Diff([]string{"a-6"}, data(queuetest.Collect(t, s.Partition(), 1))); diff != "" {
			t.Error(diff)
		}
	})
}

// Commands take numbers in the log but are no events: the ledger must not count them, not even after a restart.
func TestReplayCommandsAreReadInTurnAndNotCounted(t *testing.T) {
	dir := t.TempDir()
	var letter queue.Letter
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		publish(t, s, entry("a", 1))
		p := s.Partition()
		items, stop := reading(t, p)
		it := <-items
		letter = queue.Letter{User: it.User, Position: it.Position, Type: "identify", Reason: "invalid", Event: it.Data}
		if err := p.PutLetter(t.Context(), letter, false); err != nil {
			t.Fatal(err)
		}
		commit(t, p, queue.Settlement{Positions: []uint64{it.Position}, Tally: queue.Tally{{Type: "identify", Outcome: queue.Dead, Reason: "invalid"}: 1}})
		ledger(t, s, 1, 0, 0, 1, 0)
		page, err := s.Letters(t.Context(), queue.LetterQuery{})
		if err != nil || len(page.Letters) != 1 {
			t.Fatal(page, err)
		}
		letter = page.Letters[0]
		if err := s.Replay(t.Context(), []string{letter.ID, letter.ID}); err != nil {
			t.Fatal(err)
		}
		publish(t, s, entry("a", 2))
		time.Sleep(10 * time.Second) // the floor is stored
		ledger(t, s, 2, 0, 0, 1, 1)
		stop()
	})
	for _, settle := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := queuetest.Open(t, dir)
			ledger(t, s, 2, 0, 0, 1, 1) // nothing is read yet, and the log begins with commands
			p := s.Partition()
			items, stop := reading(t, p)
			var kinds []queue.Kind
			for range 3 {
				it := <-items
				kinds = append(kinds, it.Kind)
				if it.Kind == queue.KindReplay && (it.User != letter.User || it.Letter != letter.Position) {
					t.Errorf("the command names %s.%d, not %s", it.User, it.Letter, letter.ID)
				}
				if !settle {
					continue
				}
				tally := delivered(1)
				switch len(kinds) {
				case 1:
					tally[queue.Count{Type: "identify", Outcome: queue.Dead, Reason: "invalid"}] = -1
				case 2: // the letter is gone: nothing to do
					tally = nil
				case 3:
					tally = queue.Tally{{Type: "identify", Outcome: queue.Discarded, Reason: "duplicate"}: 1}
				}
				commit(t, p, queue.Settlement{Positions: []uint64{it.Position}, Tally: tally})
				if err := p.DropLetter(t.Context(), letter.ID); err != nil {
					t.Error(err)
				}
			}
			if diff := cmp.Diff([]queue.Kind{queue.KindReplay, queue.KindReplay, queue.KindEvent}, kinds); diff != "" {
				t.Error(diff)
			}
			time.Sleep(10 * time.Second)
			if settle {
				ledger(t, s, 2, 1, 1, 0, 0)
			} else {
				ledger(t, s, 2, 0, 0, 1, 1)
			}
			stop()
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		ledger(t, s, 2, 1, 1, 0, 0)
		if l, err := s.Ledger(t.Context()); err != nil || l.Counts[queue.Count{Type: "identify", Outcome: queue.Dead, Reason: "invalid"}] != 0 {
			t.Errorf("%+v, %v", l, err)
		}
	})
}

// A full log refuses clearly, keeps what it has, and takes events again once there is room.
func TestAFullLogRefusesAndHealsByDelivering(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		big := queue.Entry{UserID: "a", Data: make([]byte, 500<<10)}
		stored := 0
		var err error
		for ; err == nil && stored < 1000; stored++ {
			err = s.Publish(t.Context(), []queue.Entry{big})
		}
		stored--
		if !errors.Is(err, queue.ErrFull) || stored == 0 {
			t.Fatalf("after %d events: %v", stored, err)
		}
		if err := s.Ready(t.Context()); !errors.Is(err, queue.ErrFull) {
			t.Errorf("a full store is ready: %v", err)
		}
		ledger(t, s, int64(stored), 0, 0, 0, int64(stored))
		if err := s.Publish(t.Context(), []queue.Entry{big, big, big}); !errors.Is(err, queue.ErrFull) { // three packs, one answer
			t.Errorf("a call of three packs: %v", err)
		}

		p := s.Partition()
		items, stop := reading(t, p)
		defer stop()
		for range stored { // draining needs room in STATE only
			it := <-items
			commit(t, p, queue.Settlement{User: it.User, Record: []byte("x"), Rev: revision(t, p, it.User), Positions: []uint64{it.Position}, Tally: delivered(1)})
		}
		time.Sleep(10 * time.Second)
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("not ready after draining: %v", err)
		}
		publish(t, s, big)
		ledger(t, s, int64(stored)+1, int64(stored), 0, 0, 1)
		if it := <-items; len(it.Data) != len(big.Data) {
			t.Errorf("%d bytes came", len(it.Data))
		}
	})
}

func revision(t *testing.T, p *queue.Partition, user string) uint64 {
	t.Helper()
	_, rev, err := p.Record(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// Every publisher gets an answer, and what was acknowledged is there after the restart, once and in order.
func TestClosingWhilePublishingLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	const users = 20
	var acked [users]int
	synctest.Test(t, func(t *testing.T) {
		s, err := queue.Open(t.Context(), queuetest.Config(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		enough := make(chan struct{})
		var once sync.Once
		for u := range users {
			wg.Go(func() {
				for n := 0; ; n++ {
					err := s.Publish(context.Background(), []queue.Entry{entry(fmt.Sprint("user", u), n)})
					if err != nil {
						if !errors.Is(err, queue.ErrUnavailable) {
							t.Errorf("closing: %v", err)
						}
						return
					}
					acked[u]++
					if n == 20 {
						once.Do(func() { close(enough) })
					}
				}
			})
		}
		<-enough
		queuetest.Close(t, s)
		wg.Wait()
	})
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		l, err := s.Ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got [users]int
		for _, it := range queuetest.Collect(t, s.Partition(), int(l.Accepted)) {
			var user, n int
			if _, err := fmt.Sscanf(string(it.Data), "user%d-%d", &user, &n); err != nil || n != got[user] {
				t.Fatalf("%s came when number %d was due, %v", it.Data, got[user], err)
			}
			got[user]++
		}
		for u := range users {
			if got[u] < acked[u] {
				t.Errorf("user %d: %d events were acknowledged and %d are there", u, acked[u], got[u])
			}
		}
		ledger(t, s, l.Accepted, 0, 0, 0, l.Accepted)
	})
}

package queue_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

func TestMain(m *testing.M) { os.Exit(queuetest.Main(m)) }

func entry(user string, n int) queue.Entry {
	return queue.Entry{UserID: user, Data: fmt.Appendf(nil, "%s-%d", user, n)}
}

func publish(t *testing.T, s *queue.Store, entries ...queue.Entry) {
	t.Helper()
	if err := s.Publish(t.Context(), entries); err != nil {
		t.Fatalf("publish: %v", err)
	}
}

func commit(t *testing.T, p *queue.Partition, s queue.Settlement) uint64 {
	t.Helper()
	type answer struct {
		rev uint64
		err error
	}
	done := make(chan answer, 1)
	s.Done = func(rev uint64, err error) { done <- answer{rev, err} }
	p.Commit(&s)
	a := <-done
	if a.err != nil {
		t.Fatalf("commit: %v", a.err)
	}
	return a.rev
}

func data(items []queue.Item) []string {
	var out []string
	for _, it := range items {
		out = append(out, string(it.Data))
	}
	return out
}

func delivered(n int) queue.Tally {
	return queue.Tally{{Type: "identify", Outcome: queue.Delivered}: n}
}

// run calls body in a bubble of fake time with a fresh directory.
func run(t *testing.T, body func(t *testing.T, dir string)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { body(t, dir) })
}

func TestEventsAreReadInOrderAndAgainUntilSettled(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		publish(t, s, entry("a", 1), entry("b", 1))
		publish(t, s, entry("a", 2))
		want := []string{"a-1", "b-1", "a-2"}
		items := queuetest.Collect(t, s.Partition(), 3)
		if diff := cmp.Diff(want, data(items)); diff != "" {
			t.Error(diff)
		}
		if items[0].User != s.User("a") || items[1].User != s.User("b") || items[0].Position >= items[2].Position {
			t.Errorf("lanes or positions are wrong: %+v", items)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir) // nothing was settled: everything comes again
		items := queuetest.Collect(t, s.Partition(), 3)
		p := s.Partition()
		for _, it := range items {
			commit(t, p, queue.Settlement{Tally: delivered(1), Positions: []uint64{it.Position}})
		}
		l, err := s.Ledger(t.Context())
		if err != nil || l.Difference() != 0 || l.Delivered != 3 || l.Pending != 0 {
			t.Errorf("ledger %+v, %v", l, err)
		}
		commit(t, p, queue.Settlement{}) // takes the floor along
	})
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		publish(t, s, entry("c", 1))
		if diff := cmp.Diff([]string{"c-1"}, data(queuetest.Collect(t, s.Partition(), 1))); diff != "" {
			t.Error(diff)
		}
		l, err := s.Ledger(t.Context())
		if err != nil || l.Difference() != 0 || l.Accepted != 4 || l.Delivered != 3 || l.Pending != 1 {
			t.Errorf("ledger %+v, %v", l, err)
		}
	})
}

func TestConcurrentEventsShareAPackAndKeepTheirOrder(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		var packs, events int
		cfg := queuetest.Config(t, dir)
		cfg.OnPublish = func(_ time.Duration, n int) { packs++; events += n }
		s, err := queue.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer queuetest.Close(t, s)
		const users, each = 50, 20
		var wg sync.WaitGroup
		for u := range users {
			wg.Go(func() {
				for n := range each {
					if err := s.Publish(t.Context(), []queue.Entry{entry(fmt.Sprint("user", u), n)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		next := map[string]int{}
		for _, it := range queuetest.Collect(t, s.Partition(), users*each) {
			var user, n int
			if _, err := fmt.Sscanf(string(it.Data), "user%d-%d", &user, &n); err != nil {
				t.Fatal(err)
			}
			if n != next[it.User] {
				t.Fatalf("%s came when number %d was due", it.Data, next[it.User])
			}
			next[it.User]++
		}
		if events != users*each || packs >= events/2 {
			t.Errorf("%d events in %d packs: waiting events should share packs", events, packs)
		}
	})
}

func TestALargeCallIsSplitIntoPacks(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		entries := make([]queue.Entry, 1201)
		for i := range entries {
			entries[i] = entry("a", i)
		}
		publish(t, s, entries...)
		ledger(t, s, 1201, 0, 0, 0, 1201) // all of it is stored when Publish returns
		items := queuetest.Collect(t, s.Partition(), len(entries))
		for i, it := range items {
			if string(it.Data) != string(entries[i].Data) {
				t.Fatalf("item %d is %s", i, it.Data)
			}
		}
		if err := s.Publish(t.Context(), []queue.Entry{{Data: make([]byte, 600<<10)}}); !errors.Is(err, queue.ErrTooLarge) {
			t.Errorf("an entry of 600 KB: %v", err)
		}
	})
}

func TestRecordsAreComparedAndCommittedWhole(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		publish(t, s, entry("a", 1), entry("b", 1))
		items := queuetest.Collect(t, s.Partition(), 2)
		p, a := s.Partition(), s.User("a")
		rev := commit(t, p, queue.Settlement{User: a, Record: []byte("one"), Positions: []uint64{items[0].Position}, Tally: delivered(1)})
		got, gotRev, err := p.Record(t.Context(), a)
		if err != nil || string(got) != "one" || gotRev != rev {
			t.Fatalf("record %q at %d (%d), %v", got, gotRev, rev, err)
		}
		stale := make(chan error, 1)
		p.Commit(&queue.Settlement{
			User: a, Record: []byte("two"), Rev: rev - 1, Positions: []uint64{items[1].Position},
			Tally: delivered(1), Done: func(_ uint64, err error) { stale <- err },
		})
		if err := <-stale; !errors.Is(err, queue.ErrConflict) {
			t.Fatalf("a commit on a stale revision: %v", err)
		}
		<-p.Failed()
		if got, _, _ := p.Record(t.Context(), a); string(got) != "one" {
			t.Errorf("the record became %q", got)
		}
		if l, err := s.Ledger(t.Context()); err != nil || l.Delivered != 1 || l.Difference() != 0 {
			t.Errorf("the refused batch was counted: %+v, %v", l, err)
		}
		if err := p.Run(t.Context(), nil); !errors.Is(err, queue.ErrConflict) {
			t.Errorf("a failed partition ran: %v", err)
		}
		if err := s.Ready(t.Context()); !errors.Is(err, queue.ErrConflict) {
			t.Errorf("a failed store is ready: %v", err)
		}
		p.Commit(&queue.Settlement{Done: func(_ uint64, err error) { stale <- err }})
		if err := <-stale; !errors.Is(err, queue.ErrConflict) {
			t.Errorf("a failed partition committed: %v", err)
		}
	})
}

// After a start nothing may be sent before the reader has come as far as the earlier owner could have read.
func TestTheOldHorizonIsReachedBeforeAnythingIsSent(t *testing.T) {
	for _, n := range []int{3000, 7000} { // less and more than the first step of the horizon
		t.Run(fmt.Sprint(n), func(t *testing.T) { reachHorizon(t, n, min(n, 500+5000)) })
	}
}

func reachHorizon(t *testing.T, n, horizon int) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		for i := range n / 500 {
			entries := make([]queue.Entry, 500)
			for j := range entries {
				entries[j] = entry("a", i*500+j)
			}
			publish(t, s, entries...)
		}
		queuetest.Collect(t, s.Partition(), 500) // an owner that got this far and died
	})
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		p := s.Partition()
		ctx, cancel := context.WithCancel(t.Context())
		read := 0
		err := p.Run(ctx, func(_ context.Context, items []queue.Item) error {
			read += len(items)
			synctest.Wait()
			recovered := false
			select {
			case <-p.Recovered():
				recovered = true
			default:
			}
			if recovered != (read > horizon) {
				t.Errorf("inside deliver, with %d of %d items read and the horizon at %d: recovered %v", read, n, horizon, recovered)
			}
			if read == n {
				go func() { <-p.Recovered(); cancel() }()
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestAReaderHeldBackForHoursGoesOn(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		publish(t, s, entry("a", 1))
		publish(t, s, entry("a", 2))
		var got []string
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Partition().Run(ctx, func(_ context.Context, items []queue.Item) error {
			got = append(got, data(items)...)
			switch len(got) {
			case 1:
				time.Sleep(3 * time.Hour) // an API outage; fake time
			case 2:
				go func() {
					if err := s.Publish(ctx, []queue.Entry{entry("a", 3)}); err != nil {
						t.Error(err)
					}
				}()
			case 3:
				cancel()
			}
			return nil
		})
		if diff := cmp.Diff([]string{"a-1", "a-2", "a-3"}, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
	})
}

func TestTheLogIsTrimmedBehindTheFloor(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		p := s.Partition()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- p.Run(ctx, func(_ context.Context, items []queue.Item) error {
				for _, it := range items {
					p.Commit(&queue.Settlement{Positions: []uint64{it.Position}, Tally: delivered(1), Done: func(uint64, error) {}})
				}
				return nil
			})
		}()
		for i := range 40 {
			publish(t, s, queue.Entry{UserID: "a", Data: make([]byte, 100<<10)}, entry("a", i))
		}
		time.Sleep(10 * time.Second)
		sizes, err := s.Bytes(t.Context())
		if err != nil || sizes["EVENTS"] > 200<<10 {
			t.Errorf("EVENTS holds %d bytes after everything is settled, %v", sizes["EVENTS"], err)
		}
		if l, err := s.Ledger(t.Context()); err != nil || l.Accepted != 80 || l.Delivered != 80 || l.Difference() != 0 {
			t.Errorf("ledger %+v, %v", l, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestPublishByToken: an entry whose userId nobody knows any more goes into the same lane.
func TestPublishByToken(t *testing.T) {
	t.Parallel()
	s := queuetest.Open(t, t.TempDir())
	defer queuetest.Close(t, s)
	if err := s.Publish(t.Context(), []queue.Entry{{UserID: "ann", Data: []byte("1")}, {User: s.User("ann"), Data: []byte("2")}}); err != nil {
		t.Fatal(err)
	}
	items := queuetest.Collect(t, s.Partition(), 2)
	if items[0].User != s.User("ann") || items[1].User != s.User("ann") || string(items[1].Data) != "2" {
		t.Errorf("%+v", items)
	}
	if err := s.Publish(t.Context(), []queue.Entry{{User: "ann", Data: []byte("3")}}); err == nil {
		t.Error("a userId passes for a token")
	}
}

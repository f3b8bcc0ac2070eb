package queue

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

// inBubble calls body on fake time with an open store; body may close it.
func inBubble(t *testing.T, body func(t *testing.T, s *Store)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(t.Context(), Config{Dir: dir, MaxBytes: MinMaxBytes, Account: "sandbox"})
		if err != nil {
			t.Fatal(err)
		}
		body(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second) // the broker's last goroutines
	})
}

func TestWhatIsStoredNoLongerCountsAsWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		publishOne(t, s, "a")
		publishOne(t, s, "b")
		p := s.publishers[0]
		p.mu.Lock()
		defer p.mu.Unlock()
		if bytes := s.waitingBytes.Load(); bytes != 0 || len(p.waiting) != 0 {
			t.Errorf("%d items with %d bytes wait", len(p.waiting), bytes)
		}
	})
}

// Settlements that come within the linger share a batch: the second must not cost another fsync.
func TestSettlementsShareABatch(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		before, err := s.state.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 2)
		for _, user := range []string{"a", "b"} {
			s.Partition().Commit(&Settlement{User: s.User(user), Record: []byte("x"), Done: func(_ uint64, err error) { done <- err }})
			time.Sleep(linger / 2)
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		after, err := s.state.Info(t.Context())
		if stored := after.State.LastSeq - before.State.LastSeq; err != nil || stored != 3 {
			t.Errorf("%d messages for two records and one set of counters, %v", stored, err)
		}
	})
}

func publishOne(t *testing.T, s *Store, user string) {
	t.Helper()
	if err := s.Publish(t.Context(), []Entry{{UserID: user, Data: []byte(user)}}); err != nil {
		t.Fatal(err)
	}
}

// Without its stream the broker gives a commit no answer, like a broker with a broken disk.
func TestClosingEndsThoughACommitHasNoAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		if err := s.js.DeleteStream(t.Context(), s.names.stream("STATE")); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 2)
		for range 2 {
			s.Partition().Commit(&Settlement{Done: func(_ uint64, err error) { done <- err }})
			time.Sleep(time.Second) // the second waits behind the first
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-done; !errors.Is(err, errClosed) {
				t.Errorf("a commit that may not be stored was answered with %v", err)
			}
		}
		s.Partition().Commit(&Settlement{Done: func(_ uint64, err error) { done <- err }})
		if err := <-done; err == nil {
			t.Error("a commit after the end passes for stored")
		}
	})
}

func TestClosingEndsThoughAPackHasNoAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("a new store: %v", err)
		}
		if err := s.js.DeleteStream(t.Context(), s.names.stream("EVENTS")); err != nil {
			t.Fatal(err)
		}
		answers := make(chan error, 2)
		large := make([]Entry, maxWaitingBytes/maxEntryBytes)
		for i := range large {
			large[i].Data = make([]byte, maxEntryBytes)
		}
		for _, entries := range [][]Entry{{{Data: []byte("x")}}, large} {
			go func() { answers <- s.Publish(context.Background(), entries) }()
			time.Sleep(5 * time.Second)
		}
		if err := s.Publish(t.Context(), large[:1]); !errors.Is(err, ErrUnavailable) {
			t.Errorf("more than %d bytes wait, and another event got %v", maxWaitingBytes, err)
		}
		if err := s.Ready(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("ready with %v, though nothing can be stored", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-answers; !errors.Is(err, ErrUnavailable) {
				t.Errorf("an event that may not be stored was answered with %v", err)
			}
		}
		if err := s.Publish(context.Background(), []Entry{{Data: []byte("x")}}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("publishing into a closed store: %v", err)
		}
	})
}

// commit is one batch of one partition, past the committer's queue.
func commit(ctx context.Context, p *Partition, batch []*Settlement) ([]uint64, error) {
	for _, s := range batch {
		s.p = p
	}
	return p.s.committer.commit(ctx, batch)
}

// The answer to a commit is lost, and the committer repeats it: the second try finds the first.
func TestACommitWhoseAnswerWasLostIsFoundStored(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		p, ctx := s.Partition(), t.Context()
		one := Tally{{Type: "identify", Outcome: Delivered}: 1}
		batch := []*Settlement{{User: s.User("a"), Record: []byte("a"), Tally: one}, {horizon: 7}, {User: s.User("b"), Record: []byte("b"), Tally: one}}
		before := p.stored
		first, err := commit(ctx, p, batch)
		if err != nil {
			t.Fatal(err)
		}
		after := p.stored
		p.stored = before // the answer never came
		second, err := commit(ctx, p, batch)
		if diff := cmp.Diff(first, second); diff != "" || err != nil {
			t.Error(diff, err)
		}
		if diff := cmp.Diff(after, p.stored, cmp.AllowUnexported(storedState{})); diff != "" {
			t.Error(diff)
		}
		for i, user := range []string{"a", "", "b"} {
			if data, rev, err := p.Record(ctx, s.User(user)); user != "" && (err != nil || string(data) != user || rev != first[i]) {
				t.Errorf("record %q is %q at %d, not at %d: %v", user, data, rev, first[i], err)
			}
		}
		p.stored = before // another batch under the same number: somebody else's
		for _, foreign := range [][]*Settlement{batch[:1], {{Tally: one}}} {
			if _, err := commit(ctx, p, foreign); !errors.Is(err, ErrConflict) {
				t.Errorf("a foreign commit passes for our own: %v", err)
			}
		}
	})
}

// A try that ends in the middle leaves half a batch with the broker.
func TestHalfABatchIsNotStored(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		p := s.Partition()
		batch := []*Settlement{{User: s.User("a"), Record: []byte("a")}, {User: s.User("b"), Record: []byte("b")}}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := commit(gone, p, batch); !errors.Is(err, errClosed) {
			t.Fatalf("a canceled commit: %v", err)
		}
		time.Sleep(time.Minute)
		if _, rev, err := p.Record(t.Context(), s.User("a")); rev != 0 || err != nil {
			t.Errorf("the first half is stored at %d, %v", rev, err)
		}
		revs, err := commit(t.Context(), p, batch)
		if err != nil {
			t.Fatal(err)
		}
		if _, rev, err := p.Record(t.Context(), s.User("b")); rev != revs[1] || err != nil {
			t.Errorf("revision %d, not %d: %v", rev, revs[1], err)
		}
	})
}

// A try long after the first, whose answer was lost: the machine slept and the broker has forgotten the pack's id.
func TestAPackIsStoredOnceThoughItsIDIsForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		publishOne(t, s, "a")
		p := s.publishers[0]
		events, items, last := p.events, p.items, p.last
		pack := func(id string) *outgoing {
			return &outgoing{id: id, data: encodePack([]packed{{kind: KindEvent}}), events: 1, items: 1, doubtful: true}
		}
		if err := p.try(t.Context(), pack("one")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * deduplicated)
		p.events, p.items, p.last = events, items, last // the answer never came
		if err := p.try(t.Context(), pack("one")); err != nil {
			t.Error(err)
		}
		if info, err := s.events.Info(t.Context()); err != nil || info.State.Msgs != 2 {
			t.Errorf("%d packs, %v", info.State.Msgs, err)
		}
		p.events, p.items, p.last, p.stale = events, items, last, false
		if err := p.try(t.Context(), pack("two")); !errors.Is(err, ErrUnavailable) || !errors.Is(s.Partition().Err(), ErrConflict) {
			t.Errorf("a pack after a stranger's: %v, partition: %v", err, s.Partition().Err())
		}
	})
}

func TestTheHorizonIsStoredBeforeAnythingIsHandedOut(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		const n = 12 // one pack more than two steps of the horizon hold
		for range n * 2 {
			entries := make([]Entry, maxPackItems)
			for i := range entries {
				entries[i] = Entry{UserID: "a", Data: []byte("x")}
			}
			if err := s.Publish(t.Context(), entries); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var read uint64
		commits := map[uint64]bool{}
		err := s.Partition().Run(ctx, func(ctx context.Context, items []Item) error {
			read += uint64(len(items))
			horizon, _, err := s.readNumber(ctx, s.names.horizon(logID{}))
			if err != nil || horizon < read {
				t.Errorf("%d items are out and the horizon is %d, %v", read, horizon, err)
			}
			commits[horizon] = true
			if read == 2*n*maxPackItems {
				cancel()
			}
			return nil
		})
		if err != nil || len(commits) > 2*n*maxPackItems/horizonStep+1 {
			t.Errorf("%d horizons: one per %d items would do; %v", len(commits), horizonStep, err)
		}
	})
}

func TestAStoppedReaderLeavesNoConsumer(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		publishOne(t, s, "a")
		ctx, cancel := context.WithCancel(t.Context())
		if err := s.Partition().Run(ctx, func(context.Context, []Item) error { cancel(); return nil }); err != nil {
			t.Error(err)
		}
		if _, err := s.Letters(t.Context(), LetterQuery{}); err != nil {
			t.Error(err)
		}
		for _, stream := range []jetstream.Stream{s.events, s.dead} {
			if info, err := stream.Info(t.Context()); err != nil || info.State.Consumers != 0 {
				t.Errorf("%s has %d consumers, %v", info.Config.Name, info.State.Consumers, err)
			}
		}
	})
}

// settleAll reads n items, settles them as delivered and stores the floor.
func settleAll(t *testing.T, s *Store, n int) {
	t.Helper()
	p := s.Partition()
	ctx, cancel := context.WithCancel(t.Context())
	err := p.Run(ctx, func(_ context.Context, items []Item) error {
		for _, it := range items {
			done := make(chan error, 1)
			p.Commit(&Settlement{
				Positions: []uint64{it.Position}, Tally: Tally{{Type: "identify", Outcome: Delivered}: 1},
				Done: func(_ uint64, err error) { done <- err },
			})
			if err := <-done; err != nil {
				return err
			}
			n--
		}
		if n == 0 {
			cancel()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	p.Commit(&Settlement{Done: func(_ uint64, err error) { done <- err }})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

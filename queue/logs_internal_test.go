package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

func TestAnOlderStoreLearnsToTakeActivities(t *testing.T) {
	dir := t.TempDir()
	if err := tryOpen(t, dir, func(t *testing.T, s *Store) { publishOne(t, s, "a") }); err != nil {
		t.Fatal(err)
	}
	surgery(t, dir, func(js jetstream.JetStream, n names) error {
		stream, err := js.Stream(context.Background(), n.stream("EVENTS"))
		if err != nil {
			return err
		}
		cfg := stream.CachedInfo().Config
		cfg.Subjects = cfg.Subjects[:1]
		_, err = js.UpdateStream(context.Background(), cfg)
		return err
	})
	err := tryOpen(t, dir, func(t *testing.T, s *Store) {
		if err := s.Publish(t.Context(), []Entry{{UserID: "a", Activity: true}}); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// answers commits one settlement per log at once, over and over, and returns the errors.
func answers(logs []*Partition) []error {
	done := make(chan error, len(logs))
	for _, l := range logs {
		l.Commit(&Settlement{Tally: Tally{{Type: "track", Outcome: Discarded}: 1}, Done: func(_ uint64, err error) { done <- err }})
	}
	var errs []error
	for range logs {
		errs = append(errs, <-done)
	}
	return errs
}

// The two logs of a partition share a lease: one batch renews it once, and a new owner fences both.
func TestBothLogsAreFencedByOneLease(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 1).own(t)
		time.Sleep(5 * time.Second)
		owned, _ := n.owned()
		logs := []*Partition{owned[0].Activities(), owned[0]}
		for began := time.Now(); time.Since(began) < 3*leaseTime; time.Sleep(100 * time.Millisecond) {
			if err := errors.Join(answers(logs)...); err != nil {
				t.Fatalf("after %v: %v", time.Since(began), err)
			}
		}
		if err := owned[0].Held(); err != nil {
			t.Error("the lease was not renewed:", err)
		}
		if _, err := n.js.Publish(t.Context(), n.names.lease(0), holder{Process: "stranger", Tenure: "t"}.encode()); err != nil {
			t.Fatal(err)
		}
		for i, err := range answers(logs) {
			if !errors.Is(err, ErrLost) {
				t.Errorf("log %d: %v", i, err)
			}
		}
		n.leave(t)
	})
}

// A lease that is given back in a batch with what the other log has to say is free afterwards.
func TestALeaseIsGivenBackWithTheLastWordOfBothLogs(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 1).own(t)
		time.Sleep(5 * time.Second)
		owned, _ := n.owned()
		done := make(chan error, 2)
		tell := func(_ uint64, err error) { done <- err }
		owned[0].Activities().Commit(&Settlement{Done: tell})
		owned[0].Commit(&Settlement{release: true, Done: tell})
		if err := errors.Join(<-done, <-done); err != nil {
			t.Fatal(err)
		}
		data, _, err := n.readState(t.Context(), n.names.lease(0))
		if h, decodeErr := decodeHolder(data); err != nil || decodeErr != nil || h.Process != "" {
			t.Errorf("the lease is %s, %v", data, err)
		}
		n.leave(t)
	})
}

func TestAStoreWithActivitiesMoves(t *testing.T) {
	dir, there := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		broker, err := startEmbedded(t.Context(), there, Encryption{}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		from := Config{Dir: dir, Prefix: "freshrelay", MaxBytes: MinMaxBytes, Account: "sandbox", Covers: position}
		to := Config{
			Prefix: "relay2", MaxBytes: MinMaxBytes, Account: "sandbox", Partitions: 4,
			External: &External{Replicas: 1, Dial: func(opts ...nats.Option) (*nats.Conn, error) {
				return nats.Connect("", append(opts, nats.InProcessServer(broker.server))...)
			}},
		}
		s, err := Open(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		const users = 12
		for i := range users {
			for _, act := range []bool{false, true} {
				if err := s.Publish(t.Context(), []Entry{{UserID: fmt.Sprint("user", i), Activity: act, Data: []byte{byte(i), 'x'}}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		deliverAll(t, s.Partition(), users)
		closeStore(t, s)
		if _, err := Migrate(t.Context(), from, to); !errors.Is(err, ErrNotDrained) {
			t.Errorf("a store with pending activities moved: %v", err)
		}
		if s, err = Open(t.Context(), from); err != nil {
			t.Fatal(err)
		}
		deliverAll(t, s.Partition().Activities(), users)
		before, err := s.Ledger(t.Context())
		if err != nil || before.Accepted != 2*users || before.Dead != 6 || before.Delivered != 2*users-6 {
			t.Fatalf("ledger %+v, %v", before, err)
		}
		closeStore(t, s)
		if _, err := Migrate(t.Context(), from, to); err != nil {
			t.Fatal(err)
		}
		checkMovedActivities(t, to, before)
		if err := broker.stop(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
	})
}

// checkMovedActivities looks at the new store: the books, the records, and a replay of a letter that came from the activities.
func checkMovedActivities(t *testing.T, cfg Config, before Ledger) {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	if _, rev, err := s.readState(t.Context(), s.names.state("activity."+s.User("user7"))); rev == 0 || err != nil {
		t.Errorf("a record is missing: %v", err)
	}
	var letters []string
	if err := s.EachLetter(t.Context(), LetterFilter{}, func(l Letter) error {
		if l.Activity {
			letters = append(letters, l.ID)
		}
		return nil
	}); err != nil || len(letters) != 3 {
		t.Fatalf("letters %v, %v", letters, err)
	}
	if err := s.Replay(t.Context(), letters); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	replayed := 0
	err = s.Own(ctx, func(ctx context.Context, p *Partition) error {
		return p.Activities().Run(ctx, func(_ context.Context, items []Item) error {
			for _, it := range items {
				id := letterID(it.User, it.Letter)
				if !slices.Contains(letters, id) {
					t.Errorf("unexpected %+v", it)
				}
				done := make(chan error, 1)
				p.Activities().Commit(&Settlement{
					Positions: []uint64{it.Position}, Done: func(_ uint64, err error) { done <- err },
					Tally: Tally{{Type: "identify", Outcome: Delivered}: 1, {Type: "identify", Outcome: Dead, Reason: "invalid"}: -1},
				})
				if err := errors.Join(<-done, p.DropLetter(ctx, id)); err != nil {
					return err
				}
				if replayed++; replayed == len(letters) {
					after, err := s.Ledger(ctx)
					if err != nil || after.Dead != before.Dead-3 || after.Delivered != before.Delivered+3 || after.Accepted != before.Accepted {
						t.Errorf("ledger %+v, %v", after, err)
					}
					cancel()
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Error(err)
	}
	cancel()
}

package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// position is a record that holds nothing but how far its user has come.
func position(record []byte, position uint64) (bool, error) {
	if len(record) == 0 {
		return false, nil
	}
	n, err := strconv.ParseUint(string(record), 10, 64)
	return n >= position, err
}

// deliverAll settles n items: every fifth user's become dead letters, the others are delivered.
func deliverAll(t *testing.T, p *Partition, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	revs := map[string]uint64{}
	err := p.Run(ctx, func(_ context.Context, items []Item) error {
		for _, it := range items {
			count := Count{Type: "identify", Outcome: Delivered}
			if it.Data[0]%5 == 0 {
				count = Count{Type: "identify", Outcome: Dead, Reason: "invalid"}
				if err := p.PutLetter(t.Context(), Letter{User: it.User, Position: it.Position, Type: "identify", Reason: "invalid", Event: it.Data}, false); err != nil {
					return err
				}
			}
			done := make(chan error, 1)
			p.Commit(&Settlement{
				User: it.User, Record: []byte(strconv.FormatUint(it.Position, 10)), Rev: revs[it.User], Positions: []uint64{it.Position}, Tally: Tally{count: 1},
				Done: func(rev uint64, err error) { revs[it.User] = rev; done <- err },
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
	if err != nil || n != 0 {
		t.Fatalf("%d items are not settled, %v", n, err)
	}
}

func TestAStoreMovesToACluster(t *testing.T) {
	dir, there := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		broker, err := startEmbedded(t.Context(), there, Encryption{}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		embedded := Config{Dir: dir, Prefix: "freshrelay", MaxBytes: MinMaxBytes, Account: "sandbox", Covers: position}
		target := func(partitions int) Config {
			return Config{
				Prefix: "relay2", MaxBytes: MinMaxBytes, Account: "sandbox", Partitions: partitions,
				External: &External{Replicas: 1, Dial: func(opts ...nats.Option) (*nats.Conn, error) {
					return nats.Connect("", append(opts, nats.InProcessServer(broker.server))...)
				}},
			}
		}
		s, err := Open(t.Context(), embedded)
		if err != nil {
			t.Fatal(err)
		}
		const users = 30
		for i := range users {
			if err := s.Publish(t.Context(), []Entry{{UserID: fmt.Sprint("user", i), Data: []byte{byte(i), 'x'}}}); err != nil {
				t.Fatal(err)
			}
		}
		closeStore(t, s)

		if _, err := Migrate(t.Context(), embedded, target(4)); !errors.Is(err, ErrNotDrained) {
			t.Errorf("a store with pending events moved: %v", err)
		}
		if s, err = Open(t.Context(), embedded); err != nil {
			t.Fatal(err)
		}
		deliverAll(t, s.Partition(), users)
		if _, err := s.PutState(t.Context(), "quota", []byte("spent"), 0); err != nil {
			t.Fatal(err)
		}
		before, err := s.Ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)

		left := target(4)
		left.Dir = dir
		if _, err := Open(t.Context(), left); !errors.Is(err, ErrMismatch) {
			t.Errorf("a store that was not moved is forgotten: %v", err)
		}
		m, err := Migrate(t.Context(), embedded, left)
		if err != nil || m.Partitions != 4 || m.Letters != 6 || m.Accepted != users || m.Records != users+2 {
			t.Fatalf("%+v, %v", m, err)
		}
		if _, err := Open(t.Context(), embedded); !errors.Is(err, ErrMoved) {
			t.Errorf("the old store opens: %v", err)
		}
		if _, err := Migrate(t.Context(), embedded, target(4)); !errors.Is(err, ErrOccupied) {
			t.Errorf("it moved once more: %v", err)
		}
		if _, err := Open(t.Context(), target(8)); !errors.Is(err, ErrPartitions) {
			t.Errorf("it opens with another number of partitions: %v", err)
		}
		cfg := target(4)
		cfg.Dir = dir // the process that moves in is the one that was there
		moved := checkMoved(t, cfg, before)
		if moved <= m.FirstSeq {
			t.Errorf("new events begin at %d, the old log ended at %d", moved, m.FirstSeq-1)
		}
		if err := broker.stop(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
	})
}

func closeStore(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Second)
}

// checkMoved uses the new store: every partition's books are right and go on, records, letters and state are there.
func checkMoved(t *testing.T, cfg Config, before Ledger) (next uint64) {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Store: s, owns: map[int]*Partition{}, taken: map[int]time.Time{}}
	n.own(t)
	time.Sleep(10 * time.Second)
	if data, _, err := s.State(t.Context(), "quota"); err != nil || string(data) != "spent" {
		t.Errorf("the quota is %q, %v", data, err)
	}
	var all Ledger
	all.Counts = map[Count]int64{}
	for _, p := range s.Owned() {
		l, err := p.Ledger(t.Context())
		if err != nil || l.Difference() != 0 || l.Pending != 0 || l.Reading {
			t.Errorf("partition %d: %+v, %v", p.Number(), l, err)
		}
		all.add(l)
	}
	if all.Accepted != before.Accepted || all.Delivered != before.Delivered || all.Dead != before.Dead {
		t.Errorf("the books say %+v, before %+v", all, before)
	}
	page, err := s.Letters(t.Context(), LetterQuery{})
	if err != nil || page.Total != int(before.Dead) {
		t.Errorf("%d letters, %v", page.Total, err)
	}
	for _, l := range page.Letters {
		if full, err := s.Letter(t.Context(), l.ID); err != nil || len(full.Event) != 2 {
			t.Errorf("letter %s has %d bytes, %v", l.ID, len(full.Event), err)
		}
	}
	if _, rev, err := s.readState(t.Context(), s.names.user(s.User("user7"))); rev == 0 || err != nil {
		t.Errorf("a record is missing: %v", err)
	}
	if err := s.Publish(t.Context(), []Entry{{UserID: "user7", Data: []byte("new")}}); err != nil {
		t.Fatal(err)
	}
	digest := s.identity.digest("user7")
	msg, err := s.events.GetLastMsgForSubject(t.Context(), s.names.packs(logID{number: s.identity.partition(digest)}))
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		t.Fatal(err)
	}
	next = msg.Sequence
	time.Sleep(5 * time.Second)
	if l, err := s.Ledger(t.Context()); err != nil || l.Accepted != before.Accepted+1 || l.Difference() != 0 || l.Pending != 0 {
		t.Errorf("after one more event: %+v, %v", l, err)
	}
	n.leave(t)
	return next
}

package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// answering has the broker answer what is written to a stream with answer, for so many tries; after that the stream answers
// again. An empty answer is silence. It returns how often it was asked.
func answering(t *testing.T, s *Store, kind string, tries int32, answer string) *atomic.Int32 {
	t.Helper()
	subjects := s.names.prefix + "." + strings.ToLower(kind) + ".>"
	if kind == "AUDIT" {
		subjects = s.names.audit()
	}
	faked := "faked." + subjects
	account := s.broker.server.GlobalAccount()
	if err := account.AddMapping(subjects, faked); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect("", nats.InProcessServer(s.broker.server), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	asked := new(atomic.Int32)
	_, err = nc.Subscribe(faked, func(m *nats.Msg) {
		if m.Reply == "" {
			return // not the last of a batch
		}
		if asked.Add(1) == tries {
			account.RemoveMapping(subjects)
		}
		if answer != "" {
			if err := m.Respond([]byte(answer)); err != nil {
				t.Error(err)
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := errors.Join(err, nc.FlushWithContext(ctx)); err != nil { // Flush takes its timer from a pool of all bubbles
		t.Fatal(err)
	}
	t.Cleanup(func() { account.RemoveMapping(subjects) })
	return asked
}

func refusal(code jetstream.ErrorCode) string {
	return fmt.Sprintf(`{"error":{"code":400,"err_code":%d,"description":"as the test says"},"stream":"X","seq":0}`, code)
}

// What an answer leads to: for packs and commits.
type action string

const (
	repeated   action = "the same is sent again until it is stored"
	stopped    action = "nothing is stored and nobody goes on"
	givenUp    action = "likewise, after a few tries"
	turnedAway action = "nothing is stored, the sender is told"
	halved     action = "it is sent again in halves"
)

// codeActions are all codes that our use of JetStream can meet, by the documentation and the source of nats-server 2.15.
var codeActions = map[jetstream.ErrorCode]struct {
	pack   action
	packIs error // what the sender is told
	commit action
	told   error // what the committer says; nil: the broker's error
}{
	10008: {repeated, nil, repeated, nil}, // temporarily unavailable
	10009: {repeated, nil, repeated, nil}, // not the leader
	10118: {repeated, nil, repeated, nil}, // stream offline
	10194: {repeated, nil, repeated, nil}, // stream offline, with a reason
	10158: {repeated, nil, repeated, nil}, // the first try is still being replicated
	10163: {repeated, nil, repeated, nil}, // a new leader cannot compare yet
	10210: {repeated, nil, repeated, nil}, // too many batches in flight
	10211: {repeated, nil, repeated, nil}, // likewise, of the other kind
	10167: {repeated, nil, repeated, nil}, // more is written to the stream than the server queues

	10023: {turnedAway, ErrFull, repeated, nil}, // insufficient resources
	10077: {turnedAway, ErrFull, repeated, nil}, // maximum bytes exceeded
	10002: {turnedAway, ErrFull, repeated, nil}, // the account's storage is used up
	10047: {turnedAway, ErrUnavailable, givenUp, nil},

	10071: {stopped, ErrUnavailable, stopped, ErrConflict}, // wrong last sequence: somebody else writes
	10164: {stopped, ErrUnavailable, stopped, ErrConflict},

	10176: {turnedAway, ErrUnavailable, halved, nil}, // a batch that did not arrive whole
	10199: {turnedAway, ErrUnavailable, halved, nil}, // a batch too large

	10174: {turnedAway, ErrUnavailable, stopped, nil}, // atomic publish is off
	10175: {turnedAway, ErrUnavailable, stopped, nil}, // a batch's message without a number
	10177: {turnedAway, ErrUnavailable, stopped, nil}, // a header that no batch may have
	10200: {turnedAway, ErrUnavailable, stopped, nil}, // a batch's end that is none
	10201: {turnedAway, ErrUnavailable, stopped, nil}, // a message id that is known: STATE's have none

	10037: {turnedAway, ErrUnavailable, givenUp, nil}, // answers of reading and making, which no write gets
	10098: {turnedAway, ErrUnavailable, givenUp, nil},
	10999: {turnedAway, ErrUnavailable, givenUp, nil}, // a code of a server to come
}

func TestEveryCodeHasItsAction(t *testing.T) {
	for code, want := range codeActions {
		t.Run(fmt.Sprint("commit ", code), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *Store) { commitAnswered(t, s, code, want.commit, want.told) })
		})
		t.Run(fmt.Sprint("pack ", code), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *Store) { packAnswered(t, s, code, want.pack, want.packIs) })
		})
	}
}

func commitAnswered(t *testing.T, s *Store, code jetstream.ErrorCode, want action, told error) {
	tries := map[action]int32{repeated: refusedTries + 1, halved: 1, stopped: 1 << 30, givenUp: 1 << 30}[want]
	asked := answering(t, s, "STATE", tries, refusal(code))
	var sizes []int
	s.cfg.OnCommit = func(_ time.Duration, records int) { sizes = append(sizes, records) }
	done := make(chan error, 2)
	for _, user := range []string{"a", "b"} {
		s.Partition().Commit(&Settlement{User: s.User(user), Record: []byte("x"), Done: func(_ uint64, err error) { done <- err }})
	}
	first, second := <-done, <-done
	switch want {
	case repeated:
		if first != nil || second != nil || asked.Load() != tries || len(sizes) != 1 {
			t.Errorf("%v, %v after %d answers, %v records a commit", first, second, asked.Load(), sizes)
		}
	case halved:
		if first != nil || second != nil || len(sizes) != 2 {
			t.Errorf("%v, %v, %v records a commit", first, second, sizes)
		}
	case stopped, givenUp:
		if told == nil {
			told = &jetstream.APIError{Code: 400, ErrorCode: code}
		}
		if !errors.Is(first, told) || s.Partition().Err() == nil || len(sizes) != 0 {
			t.Errorf("%v, the partition: %v, %v records a commit", first, s.Partition().Err(), sizes)
		}
		if tries := asked.Load(); want == stopped && tries != 1 || want == givenUp && tries != refusedTries {
			t.Errorf("asked %d times", tries)
		}
	}
	for _, user := range []string{"a", "b"} {
		if _, rev, err := s.Partition().Record(t.Context(), s.User(user)); err != nil || rev > 0 != (first == nil) {
			t.Errorf("%s: revision %d, %v", user, rev, err)
		}
	}
}

func packAnswered(t *testing.T, s *Store, code jetstream.ErrorCode, want action, told error) {
	tries := map[action]int32{repeated: 2, turnedAway: 1 << 30, stopped: 1 << 30}[want]
	asked := answering(t, s, "EVENTS", tries, refusal(code))
	err := s.Publish(t.Context(), []Entry{{UserID: "a", Data: []byte("x")}})
	if !errors.Is(err, told) || (told == nil) != (err == nil) {
		t.Errorf("the sender is told %v", err)
	}
	if failed := s.Partition().Err() != nil; failed != (want == stopped) {
		t.Errorf("the partition: %v", s.Partition().Err())
	}
	if want == repeated && asked.Load() != tries || want != repeated && asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	info, err := s.events.Info(t.Context())
	if err != nil || info.State.Msgs > 0 != (want == repeated) {
		t.Errorf("%d packs, %v", info.State.Msgs, err)
	}
}

// A batch of one settlement cannot be made smaller: one that is too large for ever ends the process, one that got lost on its
// way to a new leader is sent again.
func TestTheSmallestBatch(t *testing.T) {
	for _, c := range []struct {
		code   jetstream.ErrorCode
		tries  int32
		stored bool
	}{{10176, 2, true}, {10176, 1 << 30, false}, {10199, 1 << 30, false}} {
		t.Run(fmt.Sprint(c.code, " ", c.tries), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *Store) {
				asked := answering(t, s, "STATE", c.tries, refusal(c.code))
				err := <-commitRecord(s, "a", 1, 0)
				if c.stored != (err == nil) || asked.Load() > refusedTries {
					t.Errorf("%v after %d tries", err, asked.Load())
				}
				if (s.Partition().Err() == nil) != c.stored {
					t.Errorf("the partition: %v", s.Partition().Err())
				}
			})
		})
	}
}

// A try without an answer has landed, and the next is told that its batch is not whole: nothing is stored twice.
func TestAnIncompleteBatchThatHadLanded(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		p, ctx := s.Partition(), t.Context()
		one := Tally{{Type: "identify", Outcome: Delivered}: 1}
		batch := []*Settlement{{User: s.User("a"), Record: []byte("a"), Tally: one}, {User: s.User("b"), Record: []byte("b"), Tally: one}}
		before := p.stored
		first, err := commit(ctx, p, batch)
		if err != nil {
			t.Fatal(err)
		}
		p.stored = before // the answer never came
		answering(t, s, "STATE", 1, refusal(10176))
		second, err := commit(ctx, p, batch)
		if err != nil || fmt.Sprint(first) != fmt.Sprint(second) {
			t.Errorf("%v, then %v, %v", first, second, err)
		}
	})
}

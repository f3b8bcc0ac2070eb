package queue

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// writes are all ways to write to a stream of which somebody waits for the answer.
var writes = []struct {
	name, stream string
	write        func(ctx context.Context, s *Store) error
}{
	{"a letter", "DEAD", func(ctx context.Context, s *Store) error {
		return s.Partition().PutLetter(ctx, Letter{User: s.User("a"), Position: 7, Reason: "invalid"}, true)
	}},
	{"a state", "STATE", func(ctx context.Context, s *Store) error {
		_, rev, err := s.State(ctx, "quota")
		if err == nil {
			_, err = s.PutState(ctx, "quota", []byte("x"), rev)
		}
		return err
	}},
	{"a lease", "STATE", func(ctx context.Context, s *Store) error {
		_, err := s.writeState(ctx, s.names.lease(9), holder{Process: "x"}.encode())
		return err
	}},
	{"an erasure", "STATE", func(ctx context.Context, s *Store) error { return s.Partition().Erase(ctx, s.User("a"), 0) }},
	{"an audit line", "AUDIT", func(ctx context.Context, s *Store) error { return s.Audit(ctx, AuditEntry{}) }},
}

// A write error sticks to its stream. Whoever it meets, the third silence in a row ends the process, though the other streams answer.
func TestAStreamThatAnswersNothingEndsTheProcess(t *testing.T) {
	for _, w := range writes {
		t.Run(w.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *Store) {
				asked := answering(t, s, w.stream, unclearTries, "")
				for try := 1; try <= unclearTries; try++ {
					err := w.write(t.Context(), s)
					if err == nil || errors.Is(err, ErrStuck) != (try == unclearTries) {
						t.Errorf("try %d: %v", try, err)
					}
					for _, other := range writes {
						if other.stream != w.stream && s.Partition().Err() == nil {
							if err := other.write(t.Context(), s); err != nil {
								t.Errorf("%s meanwhile: %v", other.name, err)
							}
						}
					}
				}
				if asked.Load() != unclearTries || !errors.Is(s.Partition().Err(), ErrStuck) {
					t.Errorf("after %d tries: %v", asked.Load(), s.Partition().Err())
				}
				if s.Partition().Err() == nil {
					return
				}
				if err := s.Partition().Run(t.Context(), nil); !errors.Is(err, ErrStuck) {
					t.Errorf("the partition runs on: %v", err)
				}
			})
		})
	}
}

// Packs and commits are repeated by the store itself.
func TestAStreamThatAnswersNothingEndsWhatIsRepeated(t *testing.T) {
	t.Run("a pack", func(t *testing.T) {
		inBubble(t, func(t *testing.T, s *Store) {
			answering(t, s, "EVENTS", unclearTries, "")
			err := s.Publish(t.Context(), []Entry{{UserID: "a", Data: []byte("x")}})
			if !errors.Is(err, ErrUnavailable) || !errors.Is(s.Partition().Err(), ErrStuck) {
				t.Errorf("%v, the partition: %v", err, s.Partition().Err())
			}
			if err := s.Ready(t.Context()); !errors.Is(err, ErrUnavailable) {
				t.Errorf("ready with %v", err)
			}
		})
	})
	t.Run("a commit", func(t *testing.T) {
		inBubble(t, func(t *testing.T, s *Store) {
			answering(t, s, "STATE", unclearTries, "")
			if err := <-commitRecord(s, "a", 1, 0); !errors.Is(err, ErrStuck) || !errors.Is(s.Partition().Err(), ErrStuck) {
				t.Errorf("%v, the partition: %v", err, s.Partition().Err())
			}
		})
	})
}

// What has an answer in between, what runs at the same time and what its caller gave up is no silence of the broker.
func TestWhatIsNoSilence(t *testing.T) {
	for _, w := range writes {
		t.Run(w.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *Store) {
				for range 2 {
					answering(t, s, w.stream, unclearTries-1, "")
					for range unclearTries - 1 {
						if err := w.write(t.Context(), s); err == nil || errors.Is(err, ErrStuck) {
							t.Error(err)
						}
					}
					if err := w.write(t.Context(), s); err != nil {
						t.Errorf("an answer: %v", err)
					}
				}
				atOnce := int32(2 * unclearTries)
				if w.name == "an erasure" {
					atOnce = 1 // one after the other anyway
				}
				answering(t, s, w.stream, atOnce, "")
				var all sync.WaitGroup
				for n := range atOnce {
					all.Go(func() {
						time.Sleep(time.Duration(n) * 10 * time.Millisecond)
						if err := w.write(t.Context(), s); err == nil {
							t.Error("silence passes for an answer")
						}
					})
				}
				all.Wait()
				answering(t, s, w.stream, unclearTries, "")
				for range unclearTries {
					ctx, cancel := context.WithTimeout(t.Context(), publishTimeout/2)
					_ = w.write(ctx, s)
					cancel()
				}
				if err := s.Partition().Err(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Servers of others are waited for, whichever stream is silent.
func TestAnExternalBrokerIsWaitedFor(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 1).own(t)
		time.Sleep(5 * time.Second)
		owns, _ := n.owned()
		p := owns[0]
		n.broker = broker // for the answers only
		answering(t, n.Store, "DEAD", 2*unclearTries, "")
		n.broker = nil
		for range 2 * unclearTries {
			if err := p.PutLetter(t.Context(), Letter{User: n.User("a"), Position: 7, Reason: "invalid"}, true); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrStuck) {
				t.Error(err)
			}
		}
		if err := p.PutLetter(t.Context(), Letter{User: n.User("a"), Position: 7, Reason: "invalid"}, true); err != nil || p.Err() != nil {
			t.Errorf("%v, the partition: %v", err, p.Err())
		}
		n.leave(t)
	})
}

package queue_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

type answer struct {
	user string
	rev  uint64
	err  error
}

// commitAll hands over one settlement for each of n new users, the first on revision rev, and returns all answers.
func commitAll(s *queue.Store, n int, rev uint64) []answer {
	answers := make(chan answer, n)
	for i := range n {
		user := s.User(fmt.Sprint("user", i))
		settlement := queue.Settlement{User: user, Record: []byte(user), Done: func(rev uint64, err error) { answers <- answer{user, rev, err} }}
		if i == 0 {
			settlement.Rev = rev
		}
		s.Partition().Commit(&settlement)
	}
	all := make([]answer, n)
	for i := range all {
		all[i] = <-answers
	}
	return all
}

// More settlements than a batch of the broker may hold.
func TestManySettlementsAtOnceAreAllStored(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		for _, a := range commitAll(s, 1700, 0) {
			data, rev, err := s.Partition().Record(t.Context(), a.user)
			if a.err != nil || err != nil || string(data) != a.user || rev != a.rev {
				t.Fatalf("the record %q is at %d, told was %d, %v", data, rev, a.rev, errors.Join(a.err, err))
			}
		}
	})
}

// One refused settlement ends the partition: everybody who waits is told, nobody that it was stored.
func TestAConflictAnswersEverybodyWhoWaits(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		for _, a := range commitAll(s, 1700, 99) {
			if !errors.Is(a.err, queue.ErrConflict) {
				t.Fatalf("answered with %v", a.err)
			}
		}
		if _, rev, err := s.Partition().Record(t.Context(), s.User("user1")); rev != 0 || err != nil {
			t.Errorf("a settlement of the refused batch is stored at %d, %v", rev, err)
		}
	})
}

func TestClosingCommitsWhatWaits(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := queue.Open(t.Context(), queuetest.Config(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		s.Partition().Commit(&queue.Settlement{User: s.User("a"), Record: []byte("kept"), Done: func(_ uint64, err error) { done <- err }})
		queuetest.Close(t, s)
		if err := <-done; err != nil {
			t.Errorf("a commit that waited when the store was closed: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		if data, _, err := s.Partition().Record(t.Context(), s.User("a")); string(data) != "kept" || err != nil {
			t.Errorf("the record is %q, %v", data, err)
		}
	})
}

func TestAnEmptyLogIsRecoveredAtOnce(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		p := queuetest.Open(t, dir).Partition()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx, nil) }()
		select {
		case <-p.Recovered():
		case <-time.After(time.Minute):
			t.Error("nothing is there to be read, and nothing may be sent")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

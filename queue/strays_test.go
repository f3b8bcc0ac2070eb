package queue_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// reconcile opens the store as after a crash and returns the positions of the letters that a start asks about. Those in
// stray do not count.
func reconcile(t *testing.T, s *queue.Store, stray ...uint64) (asked []uint64) {
	t.Helper()
	err := s.Partition().Reconcile(t.Context(), func(l queue.Letter) (bool, error) {
		asked = append(asked, l.Position)
		return !slices.Contains(stray, l.Position), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return asked
}

func stored(t *testing.T, s *queue.Store) (positions []uint64) {
	t.Helper()
	page, err := s.Letters(t.Context(), queue.LetterQuery{Sort: "position"})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range page.Letters {
		positions = append(positions, l.Position)
	}
	return positions
}

// A start asks only about letters that were on their way when the last owner ended, not about all there are: those stored for
// a settlement that was not committed. Those settled for good and not removed yet go without a question.
func TestAStartLooksAtLettersOnTheirWayAlone(t *testing.T) {
	dir := t.TempDir()
	var at []uint64
	letter := func(s *queue.Store, i int, command uint64) queue.Letter {
		return queue.Letter{User: s.User(fmt.Sprint("u", i)), Position: at[i], Command: command, Reason: "invalid"}
	}
	bury := func(t *testing.T, s *queue.Store, l queue.Letter) {
		t.Helper()
		if err := s.Partition().PutLetter(t.Context(), l, l.Command != 0); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		if asked := reconcile(t, s); len(asked) != 0 {
			t.Errorf("asked about %v in an empty store", asked)
		}
		var entries []queue.Entry
		for i := range 10 {
			entries = append(entries, entry(fmt.Sprint("u", i), i))
		}
		publish(t, s, entries...)
		for _, it := range queuetest.Collect(t, s.Partition(), 10) {
			at = append(at, it.Position)
		}
		for i := range 6 {
			bury(t, s, letter(s, i, 0))
			commit(t, s.Partition(), queue.Settlement{Positions: []uint64{at[i]}})
		}
		bury(t, s, letter(s, 6, 0)) // it stays open while later ones are settled
		for i := 7; i < 9; i++ {
			bury(t, s, letter(s, i, 0))
			commit(t, s.Partition(), queue.Settlement{Positions: []uint64{at[i]}})
		}
		// The first is settled for good with the last event's place, and its removal is cut off.
		commit(t, s.Partition(), queue.Settlement{Positions: []uint64{at[9]}, Gone: []string{fmt.Sprintf("%s.%d", s.User("u0"), at[0])}})
	})
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		if diff := cmp.Diff([]uint64{at[6], at[7], at[8]}, reconcile(t, s, at[6])); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]uint64{at[1], at[2], at[3], at[4], at[5], at[7], at[8]}, stored(t, s)); diff != "" {
			t.Error(diff)
		}
		queuetest.Collect(t, s.Partition(), 1)
		commit(t, s.Partition(), queue.Settlement{Positions: []uint64{at[6]}})
	})
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		if asked := reconcile(t, s); len(asked) != 0 {
			t.Errorf("asked about %v once all is settled", asked)
		}
		// A letter with the id of one that was removed counts like any other.
		publish(t, s, entry("u0", 11))
		items := queuetest.Collect(t, s.Partition(), 1)
		bury(t, s, letter(s, 0, items[0].Position))
		commit(t, s.Partition(), queue.Settlement{Positions: []uint64{items[0].Position}})
	})
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		if asked := reconcile(t, s); len(asked) != 0 || stored(t, s)[0] != at[0] {
			t.Errorf("asked about %v, %v are there", asked, stored(t, s))
		}
	})
}

// In a store without any letter the first one is on its way, too: it is stored, another user's call is settled, and the process dies.
func TestTheFirstLetterOfAllIsLookedAt(t *testing.T) {
	dir := t.TempDir()
	var at uint64
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		reconcile(t, s)
		publish(t, s, entry("u0", 0), entry("u1", 1))
		items := queuetest.Collect(t, s.Partition(), 2)
		at = items[0].Position
		if err := s.Partition().PutLetter(t.Context(), queue.Letter{User: s.User("u0"), Position: at, Reason: "invalid"}, false); err != nil {
			t.Fatal(err)
		}
		commit(t, s.Partition(), queue.Settlement{Positions: []uint64{items[1].Position}})
	})
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		if asked := reconcile(t, s, at); !slices.Equal(asked, []uint64{at}) {
			t.Errorf("asked about %v", asked)
		}
		if left := stored(t, s); len(left) != 0 {
			t.Errorf("%v are there", left)
		}
	})
}

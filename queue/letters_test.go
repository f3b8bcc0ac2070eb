package queue_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

func TestLettersAreKeptListedUpdatedAndDropped(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		p, now := s.Partition(), time.Now().UTC()
		letter := func(user string, position uint64, reason string) queue.Letter {
			return queue.Letter{
				User: s.User(user), Position: position, MessageID: "m", Type: "identify", Source: "website", Reason: reason,
				Status: 400, Attempts: 1, FirstTry: now, LastTry: now, Error: "refused \"so\"\nand é", Event: []byte("the event"),
			}
		}
		for i, l := range []queue.Letter{letter("a", 1000, "invalid"), letter("b", 1001, "exhausted"), letter("a", 2000, "invalid")} {
			if err := p.PutLetter(t.Context(), l, false); err != nil {
				t.Fatal(i, err)
			}
		}
		second := letter("a", 1000, "other") // the same settlement once more, after a crash
		if err := p.PutLetter(t.Context(), second, false); err != nil {
			t.Fatal(err)
		}
		all, err := s.Letters(t.Context(), queue.LetterQuery{})
		letters := all.Letters
		if err != nil || all.Total != 3 || len(letters) != 3 || letters[0].Reason != "invalid" || letters[0].Error != "refused \"so\"\nand é" {
			t.Fatalf("%+v %v", all, err)
		}
		whole, err := s.Letter(t.Context(), letters[0].ID)
		if err != nil || string(whole.Event) != "the event" {
			t.Errorf("%+v %v", whole, err)
		}
		for _, c := range []struct {
			q    queue.LetterQuery
			want int
		}{
			{queue.LetterQuery{LetterFilter: queue.LetterFilter{Reason: "invalid"}}, 2},
			{queue.LetterQuery{LetterFilter: queue.LetterFilter{User: s.User("b")}}, 1},
			{queue.LetterQuery{LetterFilter: queue.LetterFilter{Type: "track"}}, 0},
			{queue.LetterQuery{LetterFilter: queue.LetterFilter{Source: "website"}, Limit: 1, Offset: 2}, 3},
		} {
			page, err := s.Letters(t.Context(), c.q)
			if err != nil || page.Total != c.want || c.q.Limit == 1 && len(page.Letters) != 1 {
				t.Errorf("%+v: %+v, %v", c.q, page, err)
			}
		}
		page, err := s.Letters(t.Context(), queue.LetterQuery{Limit: 1, Offset: 1})
		if err != nil || len(page.Letters) != 1 || page.Letters[0].User != s.User("b") {
			t.Errorf("the second page of one: %+v %v", page, err)
		}
		second.Attempts = 5
		if err := p.PutLetter(t.Context(), second, true); err != nil {
			t.Fatal(err)
		}
		if l, err := s.Letter(t.Context(), letters[0].ID); err != nil || l.Attempts != 5 {
			t.Errorf("after an update: %+v %v", l, err)
		}
		for range 2 { // dropping twice is no error
			if err := p.DropLetter(t.Context(), letters[0].ID); err != nil {
				t.Error(err)
			}
		}
		for _, id := range []string{letters[0].ID, "nonsense"} {
			if _, err := s.Letter(t.Context(), id); !errors.Is(err, queue.ErrNoLetter) {
				t.Errorf("%s: %v", id, err)
			}
		}
		if err := s.Replay(t.Context(), []string{"nonsense"}); !errors.Is(err, queue.ErrNoLetter) {
			t.Errorf("replaying nonsense: %v", err)
		}
	})
}

func TestTheJournalFindsAMessage(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		began := time.Now()
		for _, id := range []string{"one", "two", "one"} {
			e := queue.JournalEntry{At: time.Now().UTC(), User: s.User("a"), MessageID: id, Outcome: queue.Delivered, Fields: []queue.JournalField{{Field: "cf_plan", Action: "set"}}}
			if err := s.Partition().Note(e); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		found, err := s.Journal(t.Context(), queue.JournalQuery{MessageID: "one", Since: began})
		if err != nil || len(found) != 2 || found[0].Fields[0].Field != "cf_plan" {
			t.Errorf("%+v %v", found, err)
		}
		if found, err := s.Journal(t.Context(), queue.JournalQuery{MessageID: "one", Since: time.Now().Add(time.Hour)}); err != nil || len(found) != 0 {
			t.Errorf("%+v %v", found, err)
		}
		if found, err := s.Journal(t.Context(), queue.JournalQuery{User: s.User("a")}); err != nil || len(found) != 3 {
			t.Errorf("of the user: %+v %v", found, err)
		}
	})
}

func TestAStoreIsRefusedWhenItIsNotTheRightOne(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s, err := queue.Open(t.Context(), queuetest.Config(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := queue.Open(t.Context(), queuetest.Config(t, dir)); !errors.Is(err, queue.ErrLocked) {
			t.Errorf("a second owner: %v", err)
		}
		user := s.User("a")
		publish(t, s, entry("a", 1))
		queuetest.Close(t, s)

		other := queuetest.Config(t, dir)
		other.Account = "acme.myfreshworks.com"
		_, err = queue.Open(t.Context(), other)
		if !errors.Is(err, queue.ErrForeignAccount) {
			t.Errorf("another account: %v", err)
		}
		want := `the data directory belongs to another Freshmarketer account: ` + dir + ` was filled for "sandbox" and this run is for "acme.myfreshworks.com": give this run another data_dir, or go back to the configuration the store was made with`
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Error(diff)
		}
		time.Sleep(time.Second)

		s = queuetest.Open(t, dir) // the refusals changed nothing
		if s.User("a") != user {
			t.Error("the key of the user tokens changed")
		}
		if l, err := s.Ledger(t.Context()); err != nil || l.Accepted != 1 || l.Pending != 1 || l.Difference() != 0 {
			t.Errorf("%+v %v", l, err)
		}
	})
}

// A list must end even if the letters that it still waits for are removed under its hands.
func TestAListEndsThoughItsLettersGo(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		p := s.Partition()
		const n = 600 // more than one request of the reader holds
		ids := make([]string, n)
		for i := range ids {
			l := queue.Letter{User: s.User("a"), Position: uint64(1000 + i)}
			ids[i] = fmt.Sprintf("%s.%d", l.User, l.Position)
			if err := p.PutLetter(t.Context(), l, false); err != nil {
				t.Fatal(err)
			}
		}
		seen := 0
		err := s.EachLetter(t.Context(), queue.LetterFilter{}, func(queue.Letter) error {
			if seen++; seen > 1 {
				return nil
			}
			for _, id := range ids[1:] {
				if err := p.DropLetter(t.Context(), id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || seen == n {
			t.Errorf("%d letters, %v", seen, err)
		}
	})
}

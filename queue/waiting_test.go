package queue

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// TestWaitingEventsAreFound: what is stored and not settled is found with its place, in bounded work however much waits.
func TestWaitingEventsAreFound(t *testing.T) {
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), MaxBytes: 128 << 20, Account: "sandbox"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var entries []Entry
	for i := range 8 {
		entries = append(entries, Entry{UserID: fmt.Sprint("u", i%2), Data: fmt.Append(nil, i)})
	}
	if err := s.Publish(t.Context(), append(entries, Entry{UserID: "u0", Activity: true, Data: []byte("a")})); err != nil {
		t.Fatal(err)
	}
	p := s.Partition()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err = p.Run(ctx, func(_ context.Context, items []Item) error {
		for i, it := range items {
			if i == 0 || i == 3 {
				done := make(chan error, 1)
				p.Commit(&Settlement{Positions: []uint64{it.Position}, Done: func(_ uint64, err error) { done <- err }})
				if err := <-done; err != nil {
					return err
				}
			}
		}
		cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), []Entry{{UserID: "u0", Data: []byte("not read yet")}}); err != nil {
		t.Fatal(err)
	}
	var got string
	whole, err := s.EachWaiting(t.Context(), s.User("u0"), func(w Waiting) bool {
		got += fmt.Sprintf("%s: %d ahead, %d of the user, read %v, activity %v\n", w.Data, w.Ahead, w.OfUser, w.Read, w.Activity)
		return true
	})
	const want = "2: 1 ahead, 0 of the user, read true, activity false\n" +
		"4: 2 ahead, 1 of the user, read true, activity false\n" +
		"6: 4 ahead, 2 of the user, read true, activity false\n" +
		"not read yet: 6 ahead, 3 of the user, read false, activity false\n" +
		"a: 0 ahead, 0 of the user, read false, activity true\n"
	if err != nil || !whole || got != want {
		t.Errorf("%v, whole: %v\n%swant\n%s", err, whole, got, want)
	}
	left, seen := 10, 0
	more, err := p.eachWaiting(t.Context(), "", &left, func(Waiting) bool { seen++; return true })
	if err != nil || more || seen != 0 {
		t.Errorf("looked at %d events with room for none of their packs: %v, %v", seen, more, err)
	}
}

// TestJournalBackGoesStepByStep: a message id that is far back in the journal is found, and no step reads all of it.
func TestJournalBackGoesStepByStep(t *testing.T) {
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), MaxBytes: 512 << 20, Account: "sandbox"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	began := time.Now().UTC()
	const lines = firstBack + 200
	for i := range lines {
		if err := s.Partition().Note(JournalEntry{At: began, User: s.User("u"), MessageID: fmt.Sprint("m", i), Outcome: Delivered}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for info, err := s.journal.Info(t.Context()); info.State.LastSeq < lines; info, err = s.journal.Info(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
	}
	found, next, err := s.JournalBack(t.Context(), "m7", time.Time{}, 0)
	if err != nil || len(found) != 0 || next != 201 {
		t.Fatalf("the first step: %v, next %d, %v", found, next, err)
	}
	found, next, err = s.JournalBack(t.Context(), "m7", time.Time{}, next)
	if err != nil || len(found) != 1 || next != 0 {
		t.Errorf("the second step: %v, next %d, %v", found, next, err)
	}
	if found, next, err := s.JournalBack(t.Context(), fmt.Sprint("m", lines-1), time.Time{}, 0); err != nil || len(found) != 1 || next == 0 {
		t.Errorf("the newest: %v, next %d, %v", found, next, err)
	}
	if found, next, err := s.JournalBack(t.Context(), "m7", time.Now().Add(time.Hour), 0); err != nil || len(found) != 0 || next != 0 {
		t.Errorf("of the future: %v, next %d, %v", found, next, err)
	}
	if found, err := s.Journal(t.Context(), JournalQuery{MessageID: "m7"}); err != nil || len(found) != 1 {
		t.Errorf("all the way: %v, %v", found, err)
	}
}

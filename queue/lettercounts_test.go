package queue

import (
	"fmt"
	"reflect"
	"testing"

	"go.uber.org/zap"
)

// TestLettersAreCountedByPartition compares the counts with what was stored and removed, and sees that nothing is listed
// again while nothing changes.
func TestLettersAreCountedByPartition(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), Partitions: 4, MaxBytes: MinMaxBytes, Account: "sandbox", Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	partitions := s.Owned()
	want := map[int]int64{}
	check := func(when string) {
		t.Helper()
		for _, p := range partitions {
			got, err := s.letterCounts.get(t.Context(), s, p.Number())
			if err != nil || got != want[p.Number()] {
				t.Errorf("%s: partition %d has %d letters, want %d, %v", when, p.Number(), got, want[p.Number()], err)
			}
		}
	}
	check("empty")
	owner := func(user string) *Partition {
		for _, p := range partitions {
			if p.Owns(user) {
				return p
			}
		}
		t.Fatalf("nobody owns %s", user)
		return nil
	}
	for n := range 40 {
		user := s.User(fmt.Sprint("user-", n))
		p := owner(user)
		if err := p.PutLetter(t.Context(), Letter{User: user, Position: 1, Reason: "invalid"}, false); err != nil {
			t.Fatal(err)
		}
		want[p.Number()]++
		if n%10 == 0 {
			check("stored")
		}
	}
	check("all stored")
	listed := reflect.ValueOf(s.letterCounts.counts).Pointer()
	check("again")
	if reflect.ValueOf(s.letterCounts.counts).Pointer() != listed {
		t.Error("all letters were listed again, and nothing had changed")
	}
	gone := s.User("user-3")
	p := owner(gone)
	if err := p.DropLetter(t.Context(), letterID(gone, 1)); err != nil {
		t.Fatal(err)
	}
	want[p.Number()]--
	check("one gone")
	if len(want) < 2 {
		t.Errorf("all users are in one partition: %v", want)
	}
}

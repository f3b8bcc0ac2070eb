package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestFiguresAgreeWithTheLetters stores, changes and removes letters at random, also while they are being counted, and compares
// what is answered without reading them with what reading them gives.
func TestFiguresAgreeWithTheLetters(t *testing.T) {
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), MaxBytes: 128 << 20, Account: "sandbox"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rng := rand.New(rand.NewPCG(1, 8))
	there := map[uint64]bool{}
	change := func() {
		position := uint64(rng.IntN(300))
		l := Letter{
			ID: letterID(s.User("u"), position), User: s.User("u"), Position: position, Type: []string{"identify", "track"}[rng.IntN(2)], Source: "website",
			Reason: []string{"invalid", "exhausted"}[rng.IntN(2)], Status: 400 + rng.IntN(2), Error: fmt.Sprintf("field %c: not a choice %d", 'a'+rng.IntN(3), rng.IntN(100)),
		}
		var err error
		if there[position] && rng.IntN(2) == 0 {
			err = s.Partition().DropLetter(t.Context(), l.ID)
			delete(there, position)
		} else {
			err = s.Partition().PutLetter(t.Context(), l, there[position])
			there[position] = true
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func() {
		t.Helper()
		groups, _, err := s.LetterGroups(t.Context(), LetterFilter{})
		if err != nil || len(groups) == 0 {
			t.Fatal(groups, err)
		}
		for _, f := range []LetterFilter{{}, {Reason: "invalid"}, {Type: "track", Status: 401}, {Text: "FIELD B"}, {Source: "other"}, {Cause: groups[0].Cause}} {
			got, total, err := s.LetterGroups(t.Context(), f)
			if err != nil || s.figures.state != figuresReady {
				t.Fatalf("%v, the figures are in state %d", err, s.figures.state)
			}
			want, n := map[string]*LetterGroup{}, 0
			err = s.scanLetters(t.Context(), letterScan{}, func(_ uint64, l Letter) (bool, error) {
				if f.Matches(l) {
					n++
					addToGroup(want, l)
				}
				return true, nil
			})
			if diff := cmp.Diff(sortedGroups(want), got, cmpopts.IgnoreFields(LetterGroup{}, "Error", "First", "Last", "Sample")); err != nil || diff != "" || total != n {
				t.Errorf("%+v: %d letters, %d are there, %v\n%s", f, total, n, err, diff)
			}
			page, err := s.Letters(t.Context(), LetterQuery{LetterFilter: f, Limit: 1})
			if err != nil || page.Total != n || n > 1 != (page.Next != "") {
				t.Errorf("%+v: page %+v, %v; %d are there", f, page, err, n)
			}
		}
	}
	for range 400 {
		change()
	}
	seen := 0
	err = s.EachLetter(t.Context(), LetterFilter{}, func(Letter) error {
		if seen++; seen%5 == 0 {
			change()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	check()
	for range 300 {
		change()
	}
	check()

	// A letter that somebody else removes is noticed, and the next look at all of them makes the figures right.
	change()
	if err := s.dead.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, total, err := s.LetterGroups(t.Context(), LetterFilter{}); err != nil || total != 0 {
			t.Errorf("%d letters after a purge, %v", total, err)
		}
	}
	if err := s.EachLetter(t.Context(), LetterFilter{}, func(Letter) error { return nil }); err != nil {
		t.Fatal(err)
	}
	there = map[uint64]bool{}
	for range 20 {
		change()
	}
	check()
}

// A look that is cut off leaves no figures, and too many kinds are given up for good: reading answers then.
func TestFiguresThatCannotBe(t *testing.T) {
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), MaxBytes: 128 << 20, Account: "sandbox"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Partition().PutLetter(t.Context(), Letter{User: s.User("u"), Position: 1}, false); err != nil {
		t.Fatal(err)
	}
	if err := s.EachLetter(t.Context(), LetterFilter{}, func(Letter) error { return context.Canceled }); err == nil || s.figures.state != figuresNone {
		t.Errorf("%v, state %d", err, s.figures.state)
	}
	f := &s.figures
	f.begin(1)
	for i := range maxKinds + 1 {
		f.stored(Letter{Field: fmt.Sprint("cf_", i), FirstTry: time.Now()}, uint64(i+2), nil, 0)
	}
	f.end(true)
	if f.state != figuresNever || len(f.kinds) != 0 || f.begin(5) {
		t.Errorf("state %d with %d kinds", f.state, len(f.kinds))
	}
	if _, total, err := s.LetterGroups(t.Context(), LetterFilter{}); err != nil || total != 1 {
		t.Errorf("%d letters, %v", total, err)
	}
}

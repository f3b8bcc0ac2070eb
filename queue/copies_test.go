package queue

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// holding are the files below a directory that hold a text.
func holding(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // the broker removes files meanwhile
		}
		if content, err := os.ReadFile(path); err == nil && bytes.Contains(content, []byte(text)) {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A letter that is set aside again is one letter, and of its former copies no bytes are left: whether a crash came between the two
// copies or not, and in a store that an earlier version has made, too.
func TestOfALetterThatIsSetAsideAgainOneCopyIsThere(t *testing.T) {
	dir := t.TempDir()
	open := func() *Store {
		t.Helper()
		s, err := Open(t.Context(), Config{Dir: dir, MaxBytes: MinMaxBytes, Account: "test"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	letter := func(s *Store, user string, n int) Letter {
		return Letter{User: s.User(user), Position: 1000, Command: uint64(1000 * n), Reason: "invalid", Attempts: n, Event: fmt.Appendf(nil, "copy %d of %s", n, user)}
	}
	put := func(s *Store, l Letter) {
		t.Helper()
		if err := s.Partition().PutLetter(t.Context(), l, l.Attempts > 1); err != nil {
			t.Fatal(err)
		}
	}
	// as a crash leaves it: the new copy is stored, and the former one is still there
	halfway := func(s *Store, l Letter) {
		t.Helper()
		l.ID = letterID(l.User, l.Position)
		msg, err := letterMsg(s.names.letter(l.ID), l)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	is := func(s *Store, when string, letters, copies int, left ...string) {
		t.Helper()
		ledger, err := s.Ledger(t.Context())
		if err != nil || ledger.Dead != int64(letters) {
			t.Errorf("%s: %d letters are counted, not %d, %v", when, ledger.Dead, letters, err)
		}
		if n, err := s.letterCounts.get(t.Context(), s, 0); err != nil || n != int64(letters) {
			t.Errorf("%s: %d letters in the partition, not %d, %v", when, n, letters, err)
		}
		if info, err := s.dead.Info(t.Context()); err != nil || info.State.Msgs != uint64(copies) {
			t.Errorf("%s: %d copies, not %d, %v", when, info.State.Msgs, copies, err)
		}
		for n := range 9 {
			text := fmt.Sprintf("copy %d of ann", n)
			there, want := len(holding(t, dir, text)) > 0, false
			for _, l := range left {
				want = want || l == text
			}
			if there != want {
				t.Errorf("%s: %q is there: %v", when, text, there)
			}
		}
	}

	s := open()
	put(s, letter(s, "bob", 1)) // something stays in the broker's file
	put(s, letter(s, "ann", 1))
	put(s, letter(s, "ann", 2))
	put(s, letter(s, "ann", 3))
	put(s, letter(s, "bob", 2))
	is(s, "set aside three times", 2, 2, "copy 3 of ann")

	halfway(s, letter(s, "ann", 4))
	is(s, "halfway", 2, 3, "copy 3 of ann", "copy 4 of ann")
	if l, err := s.Letter(t.Context(), letterID(s.User("ann"), 1000)); err != nil || l.Attempts != 4 {
		t.Errorf("the last copy counts: %+v, %v", l, err)
	}
	s.Close()
	s = open()
	if err := s.Partition().Reconcile(t.Context(), func(Letter) (bool, error) { return true, nil }); err != nil {
		t.Fatal(err)
	}
	is(s, "after a start", 2, 2, "copy 4 of ann")

	halfway(s, letter(s, "ann", 5)) // and the process goes on
	put(s, letter(s, "ann", 6))
	is(s, "tried again", 2, 2, "copy 6 of ann")
	halfway(s, letter(s, "ann", 7))
	if err := s.Partition().DropLetter(t.Context(), letterID(s.User("ann"), 1000)); err != nil {
		t.Fatal(err)
	}
	is(s, "dropped", 1, 1)

	cfg := s.dead.CachedInfo().Config
	cfg.MaxMsgsPerSubject = 1
	if _, err := s.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open()
	defer s.Close()
	put(s, letter(s, "ann", 1))
	put(s, letter(s, "ann", 2))
	is(s, "in a store of an earlier version", 2, 2, "copy 2 of ann")
}

// Streams of an earlier version on others' servers are not changed, and work as they did.
func TestLettersOnOthersServersMayHaveOneCopy(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 1)
		cfg := n.dead.CachedInfo().Config
		cfg.MaxMsgsPerSubject = 1
		if _, err := n.js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		n.leave(t)
		n = join(t, broker, 1)
		defer n.leave(t)
		if n.dead.CachedInfo().Config.MaxMsgsPerSubject != 1 {
			t.Error("the stream was changed")
		}
	})
}

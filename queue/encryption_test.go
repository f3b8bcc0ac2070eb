package queue_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

const (
	firstKey  = "a first key that is long enough to be one"
	secondKey = "a second key that is long enough to be one"
	needle    = "ann.lee@example.test"
)

// withKeys opens the store in dir with keys; an open store is worked on and closed.
func withKeys(t *testing.T, dir string, keys queue.Encryption, work func(t *testing.T, s *queue.Store)) error {
	t.Helper()
	var opened error
	synctest.Test(t, func(t *testing.T) {
		cfg := queuetest.Config(t, dir)
		cfg.Encryption = keys
		s, err := queue.Open(t.Context(), cfg)
		if opened = err; err != nil {
			return
		}
		work(t, s)
		queuetest.Close(t, s)
	})
	return opened
}

func fill(t *testing.T, s *queue.Store) {
	t.Helper()
	publish(t, s, queue.Entry{UserID: "a", Data: []byte(needle)})
	p := s.Partition()
	commit(t, p, queue.Settlement{User: s.User("b"), Record: []byte(needle)})
	if err := p.PutLetter(t.Context(), queue.Letter{User: s.User("c"), Position: 7, Event: []byte(needle)}, false); err != nil {
		t.Fatal(err)
	}
}

// whole checks that everything that fill stored is there.
func whole(t *testing.T, s *queue.Store) {
	t.Helper()
	if got := queuetest.Collect(t, s.Partition(), 1); string(got[0].Data) != needle {
		t.Errorf("the event is %q", got[0].Data)
	}
	if data, _, err := s.Partition().Record(t.Context(), s.User("b")); string(data) != needle || err != nil {
		t.Errorf("the record is %q, %v", data, err)
	}
	if l, err := s.Letter(t.Context(), s.User("c")+".7"); string(l.Event) != needle || err != nil {
		t.Errorf("the letter is %q, %v", l.Event, err)
	}
}

func refused(t *testing.T, _ *queue.Store) { t.Error("it opens") }

// filesWith are the files below dir that hold text.
func filesWith(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAnEncryptedStoreShowsNothing(t *testing.T) {
	dir := t.TempDir()
	keys := queue.Encryption{Key: firstKey}
	if err := withKeys(t, dir, keys, fill); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{needle, "state.user", ".dead."} {
		if found := filesWith(t, dir, text); len(found) > 0 {
			t.Errorf("%q can be read in %v", text, found)
		}
	}
	for name, wrong := range map[string]queue.Encryption{"none": {}, "another": {Key: secondKey}} {
		err := withKeys(t, dir, wrong, refused)
		if !errors.Is(err, queue.ErrKey) || !strings.Contains(err.Error(), "nats.encryption_key_file") || strings.Contains(err.Error(), secondKey) {
			t.Errorf("with the key %s: %v", name, err)
		}
	}
	if err := withKeys(t, dir, keys, whole); err != nil { // the wrong keys have harmed nothing
		t.Error(err)
	}
}

func TestAKeyIsChangedInOneStart(t *testing.T) {
	dir := t.TempDir()
	if err := withKeys(t, dir, queue.Encryption{Key: firstKey}, fill); err != nil {
		t.Fatal(err)
	}
	if err := withKeys(t, dir, queue.Encryption{Key: secondKey, OldKey: firstKey}, whole); err != nil {
		t.Fatal(err)
	}
	if err := withKeys(t, dir, queue.Encryption{Key: firstKey}, refused); !errors.Is(err, queue.ErrKey) {
		t.Errorf("with the old key alone: %v", err)
	}
	for range 2 {
		if err := withKeys(t, dir, queue.Encryption{Key: secondKey}, whole); err != nil {
			t.Errorf("with the new key alone: %v", err)
		}
	}
}

// What is plain on disk cannot be taken back by a key that comes later.
func TestAPlainStoreIsNotEncryptedLater(t *testing.T) {
	dir := t.TempDir()
	if err := withKeys(t, dir, queue.Encryption{}, fill); err != nil {
		t.Fatal(err)
	}
	if found := filesWith(t, dir, needle); len(found) == 0 {
		t.Error("nothing to be found in a plain store: the test looks wrongly")
	}
	if err := withKeys(t, dir, queue.Encryption{Key: firstKey}, refused); !errors.Is(err, queue.ErrKey) || !strings.Contains(err.Error(), "empty data_dir") {
		t.Errorf("a key for a plain store: %v", err)
	}
	if err := withKeys(t, dir, queue.Encryption{}, whole); err != nil {
		t.Error(err)
	}
}

// Without the file no key opens anything, and no other may be made in its place.
func TestTheSealedKeyIsNotMadeAnew(t *testing.T) {
	dir := t.TempDir()
	keys := queue.Encryption{Key: firstKey}
	if err := withKeys(t, dir, keys, fill); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "store.key")
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func() error{
		"missing": func() error { return os.Remove(file) },
		"damaged": func() error { return os.WriteFile(file, was[:len(was)/2], 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if err := withKeys(t, dir, keys, refused); !errors.Is(err, queue.ErrKey) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("with the file %s: %v", name, err)
		}
		if err := os.WriteFile(file, was, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := withKeys(t, dir, keys, whole); err != nil {
		t.Error(err)
	}
}

func TestKeysThatCannotBeRight(t *testing.T) {
	dir := t.TempDir()
	for _, keys := range []queue.Encryption{{Key: "short"}, {Key: firstKey, OldKey: "short"}} {
		if err := withKeys(t, dir, keys, refused); !errors.Is(err, queue.ErrKey) {
			t.Errorf("%+v: %v", keys, err)
		}
	}
	if found := filesWith(t, dir, ""); !slices.Equal(found, []string{filepath.Join(dir, "lock")}) {
		t.Errorf("a refused start has left %v", found)
	}
}

// A stream that the broker passes over must not be made anew: its events would be gone without a word.
func TestAStreamThatCannotBeReadIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	if err := withKeys(t, dir, queue.Encryption{}, fill); err != nil {
		t.Fatal(err)
	}
	sums, err := filepath.Glob(filepath.Join(dir, "jetstream", "jetstream", "*", "streams", "*", "meta.sum"))
	if err != nil || len(sums) != 5 {
		t.Fatal(sums, err)
	}
	for _, sum := range sums {
		if strings.Contains(sum, "JOURNAL") {
			continue
		}
		was, err := os.ReadFile(sum)
		if err != nil {
			t.Fatal(err)
		}
		for name, spoil := range map[string]func() error{
			"wrong":   func() error { return os.WriteFile(sum, []byte("0000000000000000"), 0o600) },
			"missing": func() error { return os.Remove(sum) },
		} {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			if err := withKeys(t, dir, queue.Encryption{}, refused); !errors.Is(err, queue.ErrDamaged) || !strings.Contains(err.Error(), "backup") {
				t.Errorf("%s %s: %v", name, sum, err)
			}
			if err := os.WriteFile(sum, was, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := withKeys(t, dir, queue.Encryption{}, whole); err != nil {
		t.Error(err)
	}
}

func TestAJournalThatCannotBeReadBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	if err := withKeys(t, dir, queue.Encryption{}, fill); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "jetstream", "jetstream", "$G", "streams", "FRESHRELAY_JOURNAL", "meta.sum")); err != nil {
		t.Fatal(err)
	}
	err := withKeys(t, dir, queue.Encryption{}, func(t *testing.T, s *queue.Store) {
		whole(t, s)
		if err := s.Partition().Note(queue.JournalEntry{At: time.Now(), User: s.User("a"), MessageID: "m"}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second) // nobody waits for the journal
		if lines, err := s.Journal(t.Context(), queue.JournalQuery{MessageID: "m"}); len(lines) != 1 || err != nil {
			t.Errorf("%v, %v", lines, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// A crash in the middle of making a stream leaves a directory in which nothing can be.
func TestAStreamThatWasNeverMadeIsMade(t *testing.T) {
	dir := t.TempDir()
	unmade := filepath.Join(dir, "jetstream", "jetstream", "$G", "streams", "FRESHRELAY_EVENTS", "msgs")
	if err := os.MkdirAll(unmade, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := withKeys(t, dir, queue.Encryption{}, fill); err != nil {
		t.Fatal(err)
	}
	if err := withKeys(t, dir, queue.Encryption{}, whole); err != nil {
		t.Error(err)
	}
}

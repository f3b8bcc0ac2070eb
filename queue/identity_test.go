package queue

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// surgery opens the broker without a store around it, as a restore or an accident would find it.
func surgery(t *testing.T, dir string, operate func(js jetstream.JetStream, n names) error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		broker, err := startEmbedded(t.Context(), dir, Encryption{}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		nc, err := broker.connect()
		if err != nil {
			t.Fatal(err)
		}
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		if err := operate(js, names{prefix: "freshrelay"}); err != nil {
			t.Error(err)
		}
		nc.Close()
		if err := broker.stop(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
	})
}

// tryOpen opens the store, calls use if that worked, and closes it again.
func tryOpen(t *testing.T, dir string, use func(t *testing.T, s *Store)) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var s *Store
		if s, err = Open(t.Context(), Config{Dir: dir, MaxBytes: MinMaxBytes, Account: "sandbox"}); err == nil {
			use(t, s)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
	})
	return err
}

func drop(kinds ...string) func(jetstream.JetStream, names) error {
	return func(js jetstream.JetStream, n names) error {
		for _, kind := range kinds {
			if err := js.DeleteStream(context.Background(), n.stream(kind)); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestStreamsThatDoNotBelongTogetherAreRefused(t *testing.T) {
	replaceEvents := func(sameID bool) func(js jetstream.JetStream, n names) error {
		return func(js jetstream.JetStream, n names) error {
			old, err := js.Stream(context.Background(), n.stream("EVENTS"))
			if err != nil {
				return err
			}
			cfg := old.CachedInfo().Config
			if !sameID {
				cfg.Metadata = map[string]string{metadataID: "another"}
			}
			if err := js.DeleteStream(context.Background(), cfg.Name); err != nil {
				return err
			}
			_, err = js.CreateStream(context.Background(), cfg)
			return err
		}
	}
	write := func(key, value string) func(js jetstream.JetStream, n names) error {
		return func(js jetstream.JetStream, n names) error {
			_, err := js.Publish(context.Background(), n.state(key), []byte(value))
			return err
		}
	}
	for name, c := range map[string]struct {
		operate func(js jetstream.JetStream, n names) error
		says    string
	}{
		"STATE is gone":               {drop("STATE"), "STATE is gone"},
		"EVENTS is gone":              {drop("EVENTS"), "EVENTS is gone"},
		"EVENTS of another store":     {replaceEvents(false), "different stores"},
		"an older copy of EVENTS":     {replaceEvents(true), "has settled"},
		"a later format":              {write("identity", `{"version":2}`), "format 2"},
		"identity is unreadable":      {write("identity", `?`), "unreadable"},
		"the counters are unreadable": {write("counters.0", `?`), "unreadable"},
		"the floor is unreadable":     {write("floor.0", `?`), "unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			err := tryOpen(t, dir, func(t *testing.T, s *Store) {
				publishOne(t, s, "a")
				settleAll(t, s, 1)
			})
			if err != nil {
				t.Fatal(err)
			}
			surgery(t, dir, c.operate)
			err = tryOpen(t, dir, func(*testing.T, *Store) {})
			if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("opened with %v", err)
			}
		})
	}
}

// A start that is cut short leaves some of the streams; the next one completes them.
func TestAnInterruptedCreationIsCompleted(t *testing.T) {
	create := func(cfgs ...func(names) jetstream.StreamConfig) func(jetstream.JetStream, names) error {
		return func(js jetstream.JetStream, n names) error {
			for _, cfg := range cfgs {
				if _, err := js.CreateStream(context.Background(), cfg(n)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	events := func(n names) jetstream.StreamConfig { return n.eventsConfig(MinMaxBytes, "the-first-id") }
	state := func(n names) jetstream.StreamConfig { return n.stateConfig(MinMaxBytes) }
	for name, c := range map[string]struct {
		operate func(jetstream.JetStream, names) error
		id      string
	}{
		"after EVENTS":       {create(events), "the-first-id"},
		"after STATE":        {create(events, state), "the-first-id"},
		"STATE without data": {create(state), ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			surgery(t, dir, c.operate)
			var user string
			err := tryOpen(t, dir, func(t *testing.T, s *Store) {
				user = s.User("a")
				if c.id != "" && s.identity.ID != c.id {
					t.Errorf("id %q, EVENTS has %q", s.identity.ID, c.id)
				}
				publishOne(t, s, "a")
			})
			if err != nil {
				t.Fatal(err)
			}
			surgery(t, dir, drop("DEAD", "JOURNAL")) // as if it had ended before these were made
			err = tryOpen(t, dir, func(t *testing.T, s *Store) {
				if s.User("a") != user {
					t.Error("the second start made another identity")
				}
				if page, err := s.Letters(t.Context(), LetterQuery{}); err != nil || page.Total != 0 {
					t.Error(page.Total, err)
				}
				settleAll(t, s, 1)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// A store takes the room it is configured for when that is more than it had, and keeps it.
func TestAStoreGrowsButNeverShrinks(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ config, want int64 }{{MinMaxBytes, MinMaxBytes}, {4 * MinMaxBytes, 4 * MinMaxBytes}, {MinMaxBytes, 4 * MinMaxBytes}, {0, 4 * MinMaxBytes}} {
		synctest.Test(t, func(t *testing.T) {
			s, err := Open(t.Context(), Config{Dir: dir, MaxBytes: c.config, Account: "sandbox"})
			if err != nil {
				t.Fatal(err)
			}
			for stream, share := range map[jetstream.Stream]int64{s.events: eventsShare, s.state: stateShare, s.dead: deadShare, s.journal: journalShare} {
				if got := stream.CachedInfo().Config.MaxBytes; got != c.want/100*share {
					t.Errorf("configured for %d, %s has %d", c.config, stream.CachedInfo().Config.Name, got)
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		})
	}
}

// The totals in the packs' headers are what the ledger and the horizon count with: they must go on where they were.
func TestTheRunningTotalsGoOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	for _, want := range [][2]uint64{{1, 2}, {2, 4}, {3, 6}} {
		err := tryOpen(t, dir, func(t *testing.T, s *Store) {
			publishOne(t, s, "a")
			if err := s.Replay(t.Context(), []string{letterID(s.User("a"), 1000)}); err != nil {
				t.Fatal(err)
			}
			msg, err := s.lastPack(t.Context(), logID{})
			if err != nil {
				t.Fatal(err)
			}
			events, items, err := packTotals(msg.Header)
			if got := [2]uint64{events, items}; got != want || err != nil {
				t.Errorf("%d events and items, want %d, %v", got, want, err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The broker tells by a log line that it cannot use its store. The start ends at once and says so.
func TestAStoreThatCannotBeUsedEndsTheStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jetstream"), []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the lock is given back
		_, err := Open(t.Context(), Config{Dir: dir, Account: "sandbox"})
		if err == nil || errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "another data_dir") {
			t.Errorf("opening a directory whose store is a file: %v", err)
		}
	}
}

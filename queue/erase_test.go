package queue_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// readers runs both logs of a partition until the test ends, and keeps what comes.
type readers struct {
	mu    sync.Mutex
	items map[*queue.Partition][]queue.Item
}

func readBoth(t *testing.T, p *queue.Partition) (r *readers, stop func()) {
	t.Helper()
	r = &readers{items: map[*queue.Partition][]queue.Item{}}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, log := range []*queue.Partition{p, p.Activities()} {
		wg.Go(func() {
			if err := log.Run(ctx, func(_ context.Context, items []queue.Item) error {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.items[log] = append(r.items[log], items...)
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	return r, func() { cancel(); wg.Wait() }
}

// settle settles all that has come and is open.
func (r *readers) settle(t *testing.T, log *queue.Partition) (last uint64) {
	t.Helper()
	time.Sleep(time.Second)
	r.mu.Lock()
	items := r.items[log]
	r.items[log] = nil
	r.mu.Unlock()
	for _, it := range items {
		commit(t, log, queue.Settlement{Tally: delivered(1), Positions: []uint64{it.Position}})
		last = it.Position
	}
	return last
}

// holds says whether any file below a directory holds a text.
func holds(t *testing.T, dir, text string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // the broker removes files meanwhile
		}
		content, err := os.ReadFile(path)
		found = found || err == nil && bytes.Contains(content, []byte(text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// An erasure is not said to be over while its user's bytes are in the log's files: not when activities stand still for hours, and
// more waits behind them by then than the log was filled with.
func TestAnErasureIsOverWhenNothingIsLeft(t *testing.T) {
	for name, behind := range map[string]int{"nothing more comes": 0, "a little waits": 8, "a whole file waits": 30} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				s := queuetest.Open(t, dir)
				p := s.Partition()
				r, stop := readBoth(t, p)
				defer stop()
				is := func(when string, want bool) {
					t.Helper()
					erasing, err := s.Erasing(t.Context())
					if there := holds(t, dir, "zq-somebody-zq"); err != nil || erasing != want || there && !erasing {
						t.Errorf("%s: erasing %v, and there: %v, %v", when, erasing, there, err)
					}
				}
				publish(t, s, queue.Entry{UserID: "ann", Data: []byte("zq-somebody-zq")}, activity("other", 1))
				if err := p.Erase(t.Context(), s.User("ann"), r.settle(t, p)); err != nil {
					t.Fatal(err)
				}
				publish(t, s, entry("other", 1))
				r.settle(t, p)
				time.Sleep(3 * time.Minute)
				is("activities stand still", true)
				for n := range behind {
					publish(t, s, queue.Entry{UserID: "other", Data: bytes.Repeat([]byte{byte(n)}, 400_000)})
				}
				r.settle(t, p.Activities())
				time.Sleep(3 * time.Minute)
				is("contacts stand still", behind > 0)
				r.settle(t, p)
				time.Sleep(5 * time.Minute)
				is("all is settled", false)
			})
		})
	}
}

// Where something always waits, though never a whole file of it, an erasure is over once as much has come and gone.
func TestAnErasureIsOverThoughSomethingAlwaysWaits(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		p := s.Partition()
		r, stop := readBoth(t, p)
		defer stop()
		publish(t, s, queue.Entry{UserID: "ann", Data: []byte("zq-somebody-zq")})
		if err := p.Erase(t.Context(), s.User("ann"), r.settle(t, p)); err != nil {
			t.Fatal(err)
		}
		erasing := true
		for round := 0; erasing && round < 12; round++ {
			r.settle(t, p)
			for n := range 6 {
				publish(t, s, queue.Entry{UserID: "other", Data: bytes.Repeat([]byte{byte(n)}, 400_000)})
			}
			time.Sleep(time.Minute)
			var err error
			if erasing, err = s.Erasing(t.Context()); err != nil || !erasing && holds(t, dir, "zq-somebody-zq") {
				t.Errorf("round %d: erasing %v, %v, and it is there", round, erasing, err)
			}
		}
		if erasing {
			t.Error("it is never over")
		}
	})
}

// What an erased user sends later is in the log's files for an hour or so, and nobody is told otherwise meanwhile.
func TestCallsAfterAnErasureAreSaidToBeInTheLog(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		p := s.Partition()
		r, stop := readBoth(t, p)
		defer stop()
		publish(t, s, queue.Entry{UserID: "ann", Data: []byte("zq-somebody-zq")})
		if err := p.EraseLate(t.Context(), r.settle(t, p)); err != nil {
			t.Fatal(err)
		}
		for _, want := range []bool{true, false} {
			erasing, err := s.Erasing(t.Context())
			if err != nil || erasing != want || holds(t, dir, "zq-somebody-zq") != want {
				t.Errorf("erasing %v, %v; wanted %v", erasing, err, want)
			}
			time.Sleep(65 * time.Minute)
		}
	})
}

package queue

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

// No event costs an fsync of its own: under load a pack holds many events, and a commit many settlements. One pack is one
// fsync of the broker, and one commit a dozen, however much is in them.
func TestEventsShareTheirFsyncs(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		const callers, each, events = 64, 50, 64 * 50
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p := s.Partition()
		var settled, wg sync.WaitGroup
		settled.Add(events)
		read := make(chan error, 1)
		go func() {
			read <- p.Run(ctx, func(_ context.Context, items []Item) error {
				for _, it := range items { // each of a user of its own: nothing is merged before the commit
					p.Commit(&Settlement{User: s.User(fmt.Sprint(it.Position)), Record: []byte("x"), Positions: []uint64{it.Position}, Done: func(_ uint64, err error) {
						if err != nil {
							t.Error(err)
						}
						settled.Done()
					}})
				}
				return nil
			})
		}()
		for c := range callers {
			wg.Go(func() {
				for range each {
					publishOne(t, s, fmt.Sprint("user", c))
				}
			})
		}
		wg.Wait()
		settled.Wait()
		cancel()
		if err := <-read; err != nil {
			t.Error(err)
		}
		info, err := s.events.Info(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		p.mu.Lock()
		packs, commits := info.State.LastSeq, p.stored.counters.Commit
		p.mu.Unlock()
		t.Logf("%d events in %d packs, settled by %d commits", events, packs, commits)
		if packs == 0 || packs > events/4 || commits == 0 || commits > events/4 {
			t.Errorf("%d events took %d packs and %d commits: they should share them", events, packs, commits)
		}
	})
}

package ingest

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/freshrelay/freshrelay/segment"
)

const (
	// recentCalls is how many calls a generation remembers; there are two, so memory stays at a few hundred KB.
	recentCalls = 8192
	// recentAge is how long a generation grows. A call is forgotten after one to two of it: what clients and webhooks repeat
	// because an answer was late or lost comes sooner.
	recentAge = 5 * time.Minute
)

// recent remembers calls that were acknowledged, so that a quick repeat is not stored again. It is a help and no guarantee:
// that is the user's record, which finds all repeats of a day. A call is learnt only once it is on disk: dropping the
// repeat of one that was not would lose it.
type recent struct {
	seed maphash.Seed

	mu       sync.Mutex
	now, old map[uint64]struct{}
	since    time.Time
}

func newRecent() *recent { return &recent{seed: maphash.MakeSeed(), now: map[uint64]struct{}{}} }

// key stands for one call of one user. The seed is random, so nobody can make two calls that share a key.
func (r *recent) key(c segment.Received, lane string) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	for _, part := range []string{c.Source, lane, c.MessageID} {
		_, _ = h.WriteString(part)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

func (r *recent) has(key uint64, at time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(at)
	_, young := r.now[key]
	_, older := r.old[key]
	return young || older
}

// learn is told of calls that are stored.
func (r *recent) learn(keys []uint64, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		r.turn(at)
		r.now[key] = struct{}{}
	}
}

// turn begins a new generation when the present one is full or old.
func (r *recent) turn(at time.Time) {
	age := at.Sub(r.since)
	if len(r.now) < recentCalls && age < recentAge {
		return
	}
	r.old, r.now, r.since = r.now, map[uint64]struct{}{}, at
	if age >= 2*recentAge {
		r.old = nil
	}
}

package worker

import (
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
)

// maxMerge is how many waiting items of one user become one change at most. It is taken from the head, so that the
// same head after a crash is merged with at least what it was merged with before.
const maxMerge = 500

// lane is one user's queue. It exists while something waits. Its waiting items are guarded by the backlog; everything
// else belongs to whoever has taken the lane: a runner, a timer, or the committer on its behalf. There is one at a time.
type lane struct {
	user    string
	waiting []queue.Item

	loaded  bool
	record  mapping.Record
	rev     uint64
	letters []string // ids of letters whose replay is committed and which are to be dropped

	trouble *trouble
	limit   int // items of the next change; 0: all. Set while a refused change is taken apart
	unclear int // items at the head that an attempt of unknown outcome held: never sent in smaller parts
}

// trouble is what a lane remembers of its failures since its last success.
type trouble struct {
	waits    *backoff.ExponentialBackOff
	attempts int
	since    time.Time
	heldAt   time.Duration // of gate.heldFor at since
}

func (l *lane) failed(r Retry, held time.Duration) {
	if l.trouble == nil {
		l.trouble = &trouble{waits: newBackOff(r.Initial, r.Max), since: time.Now(), heldAt: held}
	}
	l.trouble.attempts++
}

// age is how long the trouble has lasted, without the time when everything was held.
func (l *lane) age(held time.Duration) time.Duration {
	if l.trouble == nil {
		return 0
	}
	return time.Since(l.trouble.since) - (held - l.trouble.heldAt)
}

func (l *lane) attempts() int {
	if l.trouble == nil {
		return 0
	}
	return l.trouble.attempts
}

// split makes the next change smaller, but not smaller than what may have been sent already: half of it would write
// older values over newer ones.
func (l *lane) split(items int) {
	half := items / 2
	if items > l.unclear {
		half = max(half, l.unclear)
	}
	l.limit = max(1, half)
}

// settled forgets the trouble.
func (l *lane) settled() {
	l.trouble, l.limit, l.unclear = nil, 0, 0
}

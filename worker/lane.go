package worker

import (
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
)

// maxMerge is how many waiting items of one user become one change at most. It is taken from the head, so that the
// same head after a crash is merged with at least what it was merged with before.
const maxMerge = 500

// stallMax is the longest wait after trouble with our own store.
const stallMax = 2 * time.Minute

// askedMost is the longest wait that an answer can ask for, other than a 429.
const askedMost = 30 * time.Minute

// lane is one user's queue. It exists while something waits. Its waiting items are guarded by the backlog; everything
// else belongs to whoever has taken the lane: a runner, a timer, or the committer on its behalf. There is one at a time.
type lane struct {
	user    string
	waiting []queue.Item
	events  int       // of the waiting items, those that are no commands
	place   place     // guarded by the backlog, like waiting
	planned retryPlan // the same

	loaded  bool
	record  mapping.Record
	rev     uint64
	letters []string // ids of letters whose replay is committed and which are to be dropped

	trouble  *trouble
	suspect  bool      // its call failed, and that may be the account's trouble
	alone    bool      // the next change does not go into a bulk
	lapses   int       // alone is over once the gate has opened so often; 0: not before a change is settled
	vain     int       // bulks in a row that came to nothing
	guess    *guess    // the contact that an index names for a user of whom none is known; nil: none
	searched bool      // the index is not to be asked
	doubted  time.Time // since when a lookup speaks against what a write was answered; zero: not at all
	vacant   time.Time // since when no lookup shows a contact to erase, though one may have been made; zero: not at all
	sure     bool      // what the record's intent announces surely has not happened yet
	limit    int       // items of the next change; 0: all. Set while a refused change is taken apart
	// written and recovered tell which changes of the head the account may hold though they are not settled: see split.
	written   []int // sizes, in items, of the changes of this run
	recovered int   // items at the head that an earlier run may have sent, as any number of changes' worth

	spread  uint64   // position of the delete call whose calls for previous ids are in the log
	awaited *trouble // the wait of the head for another lane: for a company's account, or half of an alias call; nil: there is none
	hearing bool     // it is for the end of an alias call of which the user is the previousId

	watched // while the user is not written, see Mode

	buried []uint64                    // positions of letters stored for a settlement that is not committed yet
	stalls *backoff.ExponentialBackOff // waits after trouble with our own store
}

// place is where a lane is.
type place int

const (
	placeTaken place = iota // by a runner, a timer or the committer
	placeNew                // nowhere yet
	placeReady
	placeLater
	placeParked // its items wait for another mode: until there is a new one, or one is too old
)

// trouble is what a lane remembers of its failures since its last success.
type trouble struct {
	waits    *backoff.ExponentialBackOff
	attempts int
	since    time.Time
	heldAt   time.Duration // of gate.idleFor at since
}

func (l *lane) failed(r Retry, held time.Duration) {
	if l.trouble == nil {
		l.trouble = &trouble{waits: newBackOff(r.Initial, r.Max), since: time.Now(), heldAt: held}
	}
	l.trouble.attempts++
}

// pause is how long to wait for the next try; an answer may have asked for more time, and is believed within reason: all of the
// user's later calls wait as well.
func (l *lane) pause(asked time.Duration) time.Duration {
	return max(l.trouble.waits.NextBackOff(), min(asked, askedMost))
}

// age is how long the trouble has lasted, without the time when nothing could be sent.
func (l *lane) age(held time.Duration) time.Duration { return l.trouble.age(held) }

func (t *trouble) age(held time.Duration) time.Duration {
	if t == nil {
		return 0
	}
	return time.Since(t.since) - (held - t.heldAt)
}

func (l *lane) attempts() int {
	if l.trouble == nil {
		return 0
	}
	return l.trouble.attempts
}

// stall is how long to wait after trouble with our own store. It grows: each try may cost API calls again.
func (l *lane) stall() time.Duration {
	if l.stalls == nil {
		l.stalls = newBackOff(time.Second, stallMax)
	}
	return l.stalls.NextBackOff()
}

// wrote notes that the change of the head's first items has or may have had an effect.
func (l *lane) wrote(items int) {
	if !slices.Contains(l.written, items) {
		l.written = append(l.written, items)
	}
}

// unsettled says whether the account may hold something of the head that no record knows of.
func (l *lane) unsettled() bool { return len(l.written) > 0 || l.recovered > 0 }

// split makes a refused change of that many items smaller, but not smaller than a part of it that may have been written:
// a smaller one still would write older values over newer ones. Which part an earlier run may have written nobody knows,
// so what is read again after a start shrinks by one item at a time: it stops at that part at the latest, because that
// was not refused.
func (l *lane) split(items int) {
	l.limit = max(1, items/2, min(items-1, l.recovered))
	for _, n := range l.written {
		if n < items {
			l.limit = max(l.limit, n)
		}
	}
}

// settled forgets the trouble. What may have been written before no longer matters once a change was: it was at least
// that. Otherwise it still does, see shift.
func (l *lane) settled(delivered bool) {
	l.trouble, l.alone, l.vain, l.doubted, l.sure, l.limit, l.stalls, l.awaited = nil, false, 0, time.Time{}, false, 0, nil, nil
	l.guess, l.searched, l.vacant, l.suspect, l.lapses = nil, false, time.Time{}, false, 0
	if delivered {
		l.written, l.recovered = nil, 0
	}
	l.buried = slices.DeleteFunc(l.buried, func(position uint64) bool { return position <= l.record.Pos })
}

// shift follows the removal of the head's first items.
func (l *lane) shift(items int) {
	l.recovered, l.seen = max(0, l.recovered-items), max(0, l.seen-items)
	for i := range l.written {
		l.written[i] -= items
	}
	l.written = slices.DeleteFunc(l.written, func(n int) bool { return n <= 0 })
}

package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/freshrelay/freshrelay/queue"
)

// maxReadAhead bounds the bytes of events that wait in lanes, an equal share for each partition. Beyond it the reader is
// held back, so that memory stays flat whatever the backlog.
const maxReadAhead = 64 << 20

// itemOverhead is added per item, so that many small events count too.
const itemOverhead = 200

// backlog holds the lanes and the order in which they are served.
type backlog struct {
	mu    sync.Mutex
	lanes map[string]*lane
	ready []*lane
	// later are lanes in which only commands about dead letters wait. They are served while nothing is ready, and once for
	// each replayShare others, by as many runners as behind has room for, so that live events find runners free. An entry
	// may be out of date: see place.
	later      []*lane
	passed     int // lanes that were taken since, while one of later waited
	behind     chan struct{}
	bytes      int
	limit      int    // of bytes
	last       uint64 // position of the newest item that came in
	activities bool   // it is about activities
	// settled is told, without the lock, whose first items were removed; nil: nobody is.
	settled func(user string)

	more chan struct{} // capacity 1: a lane is ready
	room chan struct{} // capacity 1: bytes were given back
}

func newBacklog(limit int, behind chan struct{}) *backlog {
	return &backlog{lanes: map[string]*lane{}, limit: limit, behind: behind, more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func itemBytes(it queue.Item) int { return len(it.Data) + itemOverhead }

// add puts items into their lanes, in order. A lane that was not there becomes ready. again says that an earlier run may
// have read them.
func (b *backlog) add(items []queue.Item, again bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, it := range items {
		l := b.lanes[it.User]
		if l == nil {
			l = &lane{user: it.User}
			b.lanes[it.User] = l
			l.place = placeNew
		}
		l.waiting = append(l.waiting, it)
		if it.Kind != queue.KindReplay {
			l.events++
		}
		if l.place == placeNew || l.place == placeParked || l.place == placeLater && l.events > 0 {
			b.put(l)
		}
		if again {
			l.recovered++
		}
		b.bytes += itemBytes(it)
		b.last = max(b.last, it.Position)
	}
	signal(b.more)
}

// hasRoom waits until the reader may go on.
func (b *backlog) hasRoom(ctx context.Context) error {
	for {
		if !b.full() {
			return nil
		}
		select {
		case <-b.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// put lets a lane wait for a runner.
func (b *backlog) put(l *lane) {
	if l.events > 0 || len(l.waiting) == 0 {
		l.place = placeReady
		b.ready = append(b.ready, l)
		return
	}
	l.place = placeLater
	b.later = append(b.later, l)
}

// next takes the lane that has been ready longest, or returns nil when ctx ends. release is to be called after the turn.
func (b *backlog) next(ctx context.Context) (l *lane, release func()) {
	mayLater := false // this runner has one of the places of behind
	drop := func() {
		if mayLater {
			<-b.behind
		}
	}
	for ctx.Err() == nil {
		if !mayLater && b.owes() {
			select {
			case b.behind <- struct{}{}:
				mayLater = true
			default:
			}
		}
		l, isLater, left := b.pop(mayLater)
		if left && l != nil {
			signal(b.more) // one signal may stand for many lanes
		}
		switch {
		case l != nil && isLater:
			return l, drop
		case l != nil:
			drop()
			return l, func() {}
		}
		drop()
		mayLater = false
		var behind chan struct{} // nil: nobody waits there
		if left {
			behind = b.behind
		}
		select {
		case behind <- struct{}{}:
			mayLater = true
		case <-b.more:
		case <-ctx.Done():
		}
	}
	drop()
	return nil, func() {}
}

// owes says that a lane of later has its turn though others are ready.
func (b *backlog) owes() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.passed >= replayShare && len(b.later) > 0
}

// pop takes a lane; left says that there are more.
func (b *backlog) pop(mayLater bool) (l *lane, isLater, left bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.later) > 0 && b.later[0].place != placeLater {
		b.later = b.later[1:] // it became ready meanwhile
	}
	switch {
	case len(b.ready) > 0 && (!mayLater || b.passed < replayShare || len(b.later) == 0):
		if l, b.ready = b.ready[0], b.ready[1:]; len(b.later) > 0 {
			b.passed++
		}
	case len(b.later) > 0 && mayLater:
		l, b.later, isLater = b.later[0], b.later[1:], true
		b.passed = 0
	}
	if l != nil {
		l.place = placeTaken
	}
	return l, isLater, len(b.ready)+len(b.later) > 0
}

// past names the lane's first items as far as they are not beyond position pos.
func (b *backlog) past(l *lane, pos uint64) []uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var past []uint64
	for _, it := range l.waiting {
		if it.Position > pos {
			break
		}
		past = append(past, it.Position)
	}
	return past
}

// head is a copy of the items that the lane's next change is made of.
func (b *backlog) head(l *lane) []queue.Item {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(l.waiting), maxMerge)
	if l.limit > 0 {
		n = min(n, l.limit)
	}
	return append([]queue.Item(nil), l.waiting[:n]...)
}

// done removes the lane's first n items, which are settled.
func (b *backlog) done(l *lane, n int) {
	if b.settled != nil {
		defer b.settled(l.user)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, it := range l.waiting[:n] {
		b.bytes -= itemBytes(it)
		if it.Kind != queue.KindReplay {
			l.events--
		}
		l.waiting[i] = queue.Item{} // let go of its bytes
	}
	l.waiting = l.waiting[n:]
	l.shift(n)
	signal(b.room)
}

// unseen is a copy of the lane's first items that were not looked at; looked is one of those before them.
func (b *backlog) unseen(l *lane) []queue.Item {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(l.waiting[l.seen:min(len(l.waiting), l.seen+maxMerge)])
}

func (b *backlog) looked(l *lane) []queue.Item {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(l.waiting[:l.seen])
}

// park ends a turn of a lane whose items wait for another mode: it is ready again when there is a new one, or one has
// waited until due.
func (b *backlog) park(l *lane, due time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case len(l.waiting) == 0:
		delete(b.lanes, l.user)
	case l.seen < len(l.waiting):
		b.put(l)
		signal(b.more)
	default:
		l.place, l.due = placeParked, due
	}
}

// wakeDue makes parked lanes ready whose first item has waited long enough.
func (b *backlog) wakeDue(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lanes {
		if l.place == placeParked && !now.Before(l.due) {
			b.put(l)
			signal(b.more)
		}
	}
}

// full says that the reader has to wait.
func (b *backlog) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes >= b.limit
}

// giveBack ends a turn: the lane is ready again if something waits or is left to do, otherwise it ceases to exist.
func (b *backlog) giveBack(l *lane) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(l.waiting) == 0 && len(l.letters) == 0 {
		delete(b.lanes, l.user)
		return
	}
	b.put(l)
	signal(b.more)
}

// changes is how many lanes are ready, each with at most one change.
func (b *backlog) changes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.ready)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

package worker

import (
	"context"
	"sync"

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
	bytes int
	limit int // of bytes

	more chan struct{} // capacity 1: a lane is ready
	room chan struct{} // capacity 1: bytes were given back
}

func newBacklog(limit int) *backlog {
	return &backlog{lanes: map[string]*lane{}, limit: limit, more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
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
			b.ready = append(b.ready, l)
		}
		l.waiting = append(l.waiting, it)
		if again {
			l.recovered++
		}
		b.bytes += itemBytes(it)
	}
	signal(b.more)
}

// hasRoom waits until the reader may go on.
func (b *backlog) hasRoom(ctx context.Context) error {
	for {
		b.mu.Lock()
		ok := b.bytes < b.limit
		b.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-b.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next takes the lane that has been ready longest, or returns nil when ctx ends.
func (b *backlog) next(ctx context.Context) *lane {
	for ctx.Err() == nil {
		b.mu.Lock()
		var l *lane
		if len(b.ready) > 0 {
			l, b.ready = b.ready[0], b.ready[1:]
		}
		left := len(b.ready)
		b.mu.Unlock()
		if left > 0 {
			signal(b.more) // one signal may stand for many lanes
		}
		if l != nil {
			return l
		}
		select {
		case <-b.more:
		case <-ctx.Done():
		}
	}
	return nil
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
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, it := range l.waiting[:n] {
		b.bytes -= itemBytes(it)
		l.waiting[i] = queue.Item{} // let go of its bytes
	}
	l.waiting = l.waiting[n:]
	l.shift(n)
	signal(b.room)
}

// giveBack ends a turn: the lane is ready again if something waits or is left to do, otherwise it ceases to exist.
func (b *backlog) giveBack(l *lane) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(l.waiting) == 0 && len(l.letters) == 0 {
		delete(b.lanes, l.user)
		return
	}
	b.ready = append(b.ready, l)
	signal(b.more)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

package worker

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/queue"
)

// A call that is discarded settles the head's first item and writes nothing: what may have been written before still
// begins with the items behind it.
func TestWhatMayHaveBeenWrittenOutlivesADiscardedCall(t *testing.T) {
	t.Parallel()
	b := newBacklog(maxReadAhead)
	items := make([]queue.Item, 20)
	for i := range items {
		items[i] = queue.Item{User: "ann", Position: uint64(i + 1)}
	}
	b.add(items[:9], true)
	b.add(items[9:], false)
	l := b.next(t.Context())
	for _, n := range []int{12, 3, 12} {
		l.wrote(n)
	}
	l.settled(false)
	b.done(l, 4)
	if diff := cmp.Diff([]int{8}, l.written); diff != "" || l.recovered != 5 || len(l.waiting) != 16 {
		t.Errorf("written %v, recovered %d, %d waiting", l.written, l.recovered, len(l.waiting))
	}
	if l.split(16); l.limit != 8 {
		t.Errorf("the next change has %d items", l.limit)
	}
	l.settled(true)
	b.done(l, 10)
	if len(l.written) != 0 || l.recovered != 0 || l.limit != 0 {
		t.Errorf("after a delivery: written %v, recovered %d, limit %d", l.written, l.recovered, l.limit)
	}
}

// A lane that somebody works on, or that waits for its time, is never given out a second time.
func TestALaneIsGivenOutOnce(t *testing.T) {
	t.Parallel()
	b := newBacklog(maxReadAhead)
	item := []queue.Item{{User: "ann", Position: 1}}
	b.add(item, false)
	l := b.next(t.Context())
	b.add([]queue.Item{{User: "ann", Position: 2}}, false)
	if len(b.ready) != 0 {
		t.Error("the lane is ready while it is worked on")
	}
	b.done(l, 1)
	b.giveBack(l)
	if again := b.next(t.Context()); again != l || len(b.ready) != 0 {
		t.Error("the lane is not given out again with what came meanwhile")
	}
	b.done(l, 1)
	b.giveBack(l)
	if len(b.lanes) != 0 || b.bytes != 0 {
		t.Errorf("%d lanes with %d bytes are left", len(b.lanes), b.bytes)
	}
}

func TestTheReaderGoesOnWhenThereIsRoomAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBacklog(maxReadAhead)
		b.add([]queue.Item{{User: "ann", Position: 1, Data: make([]byte, maxReadAhead)}, {User: "ann", Position: 2}}, false)
		went := make(chan error, 1)
		go func() { went <- b.hasRoom(t.Context()) }()
		synctest.Wait()
		if len(went) != 0 {
			t.Error("the reader goes on though the lanes are full")
		}
		b.done(b.next(t.Context()), 1)
		synctest.Wait()
		if len(went) != 1 {
			t.Error("the reader is still held back")
		}
	})
}

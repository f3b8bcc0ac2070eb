package worker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/queue"
)

// A call that is discarded settles the head's first item and writes nothing: what may have been written before still
// begins with the items behind it.
func TestWhatMayHaveBeenWrittenOutlivesADiscardedCall(t *testing.T) {
	t.Parallel()
	b := newBacklog(maxReadAhead, make(chan struct{}, 1))
	items := make([]queue.Item, 20)
	for i := range items {
		items[i] = queue.Item{User: "ann", Position: uint64(i + 1)}
	}
	b.add(items[:9], true)
	b.add(items[9:], false)
	l, _ := b.next(t.Context())
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
	b := newBacklog(maxReadAhead, make(chan struct{}, 1))
	item := []queue.Item{{User: "ann", Position: 1}}
	b.add(item, false)
	l, _ := b.next(t.Context())
	b.add([]queue.Item{{User: "ann", Position: 2}}, false)
	if len(b.ready) != 0 {
		t.Error("the lane is ready while it is worked on")
	}
	b.done(l, 1)
	b.giveBack(l)
	if again, _ := b.next(t.Context()); again != l || len(b.ready) != 0 {
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
		b := newBacklog(maxReadAhead, make(chan struct{}, 1))
		b.add([]queue.Item{{User: "ann", Position: 1, Data: make([]byte, maxReadAhead)}, {User: "ann", Position: 2}}, false)
		went := make(chan error, 1)
		go func() { went <- b.hasRoom(t.Context()) }()
		synctest.Wait()
		if len(went) != 0 {
			t.Error("the reader goes on though the lanes are full")
		}
		l, _ := b.next(t.Context())
		b.done(l, 1)
		synctest.Wait()
		if len(went) != 1 {
			t.Error("the reader is still held back")
		}
	})
}

// Letters alone wait while anything else is ready, take half of the runners at most, and move up when an event joins them.
func TestLettersStandBehindLiveEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBacklog(maxReadAhead, make(chan struct{}, 1))
		command := func(user string) queue.Item { return queue.Item{Kind: queue.KindReplay, User: user} }
		event := func(user string) queue.Item { return queue.Item{Kind: queue.KindEvent, User: user} }
		b.add([]queue.Item{command("a"), command("b"), command("c"), event("live"), event("c")}, false)
		take := func(want string) (*lane, func()) {
			t.Helper()
			l, release := b.next(t.Context())
			if l.user != want {
				t.Fatalf("%s is served, want %s", l.user, want)
			}
			return l, release
		}
		_, releaseLive := take("live")
		_, releaseC := take("c") // its event has brought it forward
		a, release := take("a")
		second := make(chan *lane, 1)
		go func() {
			l, releaseSecond := b.next(t.Context())
			releaseSecond()
			second <- l
		}()
		synctest.Wait()
		if len(second) != 0 {
			t.Error("letters take more than their part of the runners")
		}
		releaseLive()
		releaseC()
		release()
		if l := <-second; l.user != "b" {
			t.Errorf("%s is served, want b", l.user)
		}
		b.done(a, 1)
		b.giveBack(a)
		if len(b.lanes) != 4-1 || len(b.behind) != 0 {
			t.Errorf("%d lanes, %d places taken", len(b.lanes), len(b.behind))
		}
	})
}

// A contact that a job may take for as long as an hour is not asked for every few seconds all that time.
func TestWhoWaitsForAClaimedContactLooksSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tn, looks := &turn{lane: &lane{}}, 0
		for end := time.Now().Add(time.Hour); time.Now().Before(end); looks++ {
			wait, ok := errors.AsType[notYet](tn.claimedBy(time.Second))
			if !ok || looks == 0 && wait != notYet(time.Second) || time.Duration(wait) > claimedMost {
				t.Fatalf("look %d: %v", looks, wait)
			}
			time.Sleep(time.Duration(wait))
		}
		if looks > 25 {
			t.Errorf("%d looks in an hour", looks)
		}
	})
}

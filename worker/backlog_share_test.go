package worker

import (
	"fmt"
	"testing"

	"github.com/freshrelay/freshrelay/queue"
)

// Lanes of letters get a turn now and then though others are always ready, and only while behind has room.
func TestLanesOfLettersHaveTheirShare(t *testing.T) {
	t.Parallel()
	behind := make(chan struct{}, 1)
	b := newBacklog(1<<20, behind)
	pos := uint64(0)
	add := func(user string, kind queue.Kind) {
		pos++
		b.add([]queue.Item{{User: user, Position: pos, Kind: kind}}, false)
	}
	for n := range 10 {
		add(fmt.Sprint("letter", n), queue.KindReplay)
	}
	later := 0
	take := func(turns int) {
		for range turns {
			add(fmt.Sprint("live", pos), queue.KindEvent)
			l, release := b.next(t.Context())
			if l.events == 0 {
				later++
			}
			b.done(l, len(l.waiting))
			release()
		}
	}
	take(100)
	if later < 4 || later > 6 {
		t.Errorf("%d of 100 turns were of letters, want one of twenty", later)
	}
	behind <- struct{}{} // somebody else has the only place
	before := later
	take(50)
	if later != before {
		t.Errorf("%d turns of letters without a place", later-before)
	}
}

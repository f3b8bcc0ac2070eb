package queue

import (
	"context"
	"time"
)

// heldEvery is how often settlements that found no room are tried again.
const heldEvery = 10 * time.Second

// admit returns the settlements that can be committed now. While STATE has no room but its reserve, those of new users are
// held back and tried again later: without them in a batch the others go on. Nothing is sent again meanwhile, the change has
// been made; only those users' lanes wait.
func (c *committer) admit(ctx context.Context, settlements []*Settlement) []*Settlement {
	if len(c.held) == 0 && !hasNew(settlements) {
		return settlements
	}
	if !c.s.room.last(ctx) {
		all := append(c.held, settlements...)
		now := all[:min(len(all), maxCommit)]
		if c.held = all[len(now):]; len(c.held) > 0 {
			c.queue.signal()
		}
		return now
	}
	var known []*Settlement
	for _, s := range settlements {
		if s.isNew() {
			c.held = append(c.held, s)
		} else {
			known = append(known, s)
		}
	}
	if c.again == nil {
		c.again = time.AfterFunc(heldEvery, c.queue.signal)
	} else {
		c.again.Reset(heldEvery)
	}
	return known
}

func (s *Settlement) isNew() bool { return s.User != "" && s.Rev == 0 }

func hasNew(settlements []*Settlement) bool {
	for _, s := range settlements {
		if s.isNew() {
			return true
		}
	}
	return false
}

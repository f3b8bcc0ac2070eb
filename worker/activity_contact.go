package worker

import (
	"context"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

const (
	// contactGrace is how long a call waits, from its arrival, for the contact of a user of whom nothing is known: the identify may
	// have been sent at the same moment, by another connection.
	contactGrace = time.Minute
	// contactLook is the time between two looks while an identify may be coming by a replay.
	contactLook = 5 * time.Second
)

// withoutContact ends the turn of a call whose user has no contact. It waits a moment. Then, if an identify of the user was set aside
// (broken) and still is, the call becomes a letter as well, which comes again by itself; if not, it is discarded.
func (t *turn) withoutContact(c *call, broken bool) error {
	if wait := min(contactGrace, contactGrace-time.Since(c.received.At)); wait > 0 && c.letter == nil {
		t.part.backlog.shelve(t.lane, time.Now().Add(wait))
		return nil
	}
	if broken {
		aside, err := t.p.identifyAside(t.callCtx, t.lane.user)
		if err != nil {
			return err
		}
		if aside {
			return t.alsoAside(c)
		}
	}
	return t.dismiss(mapping.ReasonUnknownContact)
}

// identifyAside says whether an identify of the user is a dead letter. To look takes some milliseconds, so the record is asked first.
func (p *Pool) identifyAside(ctx context.Context, user string) (bool, error) {
	page, err := p.store.Letters(ctx, queue.LetterQuery{
		LetterFilter: queue.LetterFilter{User: user, Type: string(segment.Identify)}, Limit: 1,
	})
	return len(page.Letters) > 0, err
}

// alsoAside sets the call aside, as its user's identify was. A letter that comes again waits a while before: the identify may be
// sent again at the same moment.
func (t *turn) alsoAside(c *call) error {
	l, held := t.lane, t.p.gate.idleFor()
	if c.letter != nil {
		if l.awaited == nil {
			l.awaited = &trouble{since: time.Now(), heldAt: held}
		}
		if l.awaited.age(held) < linkAgain {
			t.part.backlog.shelve(l, time.Now().Add(contactLook))
			return nil
		}
	}
	return t.setAside(&freshmarketer.Error{
		Op: freshmarketer.OpCreateActivity, Kind: freshmarketer.KindGone, Text: "the user has no contact: the identify that would make it is a dead letter",
	}, ReasonUnknownContact)
}

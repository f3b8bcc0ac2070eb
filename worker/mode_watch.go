package worker

import (
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// outcomeObserved is the journal's word for a call that was mapped and waits. It is no outcome of the ledger: there the
// call is pending.
const outcomeObserved = "observed"

// imaginedID stands for the id of the contact that an observed change would have made.
const imaginedID = "observed"

// imagineFrom is from how many waiting calls on a lane keeps its imagined record. Shorter lanes make it anew: there can be
// very many of them.
const imagineFrom = 64

// watchEvery is how often waiting calls are looked at for their age.
const watchEvery = time.Minute

// watched is what a lane knows of calls that wait for another mode.
type watched struct {
	seen     int             // items that were looked at
	imagined *mapping.Record // the record if they had been delivered; nil: to be made anew
	since    time.Time       // when this run saw the lane first
	due      time.Time       // when its first item has waited too long; the backlog's
}

// watch is the turn of a user who is not written. What is new is mapped as if everything before it had been delivered,
// and told in the journal; everything waits on. What has waited for too long is discarded.
func (t *turn) watch() error {
	l := t.lane
	if l.since.IsZero() {
		l.since = time.Now()
	}
	t.skip(t.part.backlog.past(l, l.record.Pos))
	items := t.part.backlog.head(l)
	old := 0
	for old < len(items) && t.p.mode.expired(t.came(items[old])) {
		old++
	}
	if old > 0 {
		return t.discard(items[:old])
	}
	for {
		fresh := t.part.backlog.unseen(l)
		if len(fresh) == 0 {
			break
		}
		if err := t.imagine(fresh); err != nil {
			return err
		}
	}
	// A lane that waits costs no more memory than its items.
	l.loaded, l.record = false, mapping.Record{}
	if l.seen < imagineFrom {
		l.imagined = nil
	}
	due := time.Now()
	if len(items) > 0 {
		due = t.came(items[0]).Add(t.p.mode.ObserveFor)
	}
	t.part.backlog.park(l, due)
	return nil
}

// came is when an item was taken in, as far as it tells. What takes no API call is due at once.
func (t *turn) came(it queue.Item) time.Time {
	if it.Kind == queue.KindReplay {
		if it.Order.Discard != "" {
			return time.Time{}
		}
		return t.lane.since
	}
	if _, imported, _ := queue.DecodeImport(it.Data); imported {
		return time.Time{}
	}
	if received, err := segment.Decode(it.Data); err == nil {
		return received.At
	}
	return t.lane.since
}

// imagine maps items that were not looked at yet, and tells the journal.
func (t *turn) imagine(items []queue.Item) error {
	l := t.lane
	if l.imagined == nil {
		record := l.record.Clone()
		record.ForgetSentUntil(t.p.resyncs.since(l.user))
		l.imagined = &record
		for seen := range slices.Chunk(t.part.backlog.looked(l), maxMerge) {
			if err := t.foldImagined(seen); err != nil {
				return err
			}
		}
	}
	if err := t.foldImagined(items); err != nil {
		return err
	}
	now := time.Now()
	for i := range t.calls {
		c := &t.calls[i]
		if t.mayErase(c) {
			c.outcome = mapping.Outcome{Delivered: true}
		}
		f := c.fate("")
		if f.outcome == queue.Delivered {
			f.reason = "" // it would be delivered, as the fields say
		}
		t.note(t.line(c, fate{outcomeObserved, f.reason}, 0, now))
	}
	l.seen += len(items)
	return nil
}

func (t *turn) foldImagined(items []queue.Item) error {
	t.items, t.calls = items, nil
	if err := t.open(); err != nil {
		return err
	}
	if t.part.contacts != nil {
		t.imagineActivities()
		return nil
	}
	if err := t.foldOnto(*t.lane.imagined); err != nil {
		t.lane.imagined = nil
		return err
	}
	record := t.result.Record
	if record.ContactID == "" && !t.result.Change.Empty() {
		record.ContactID = imaginedID
	}
	t.lane.imagined = &record
	return nil
}

// discard settles the lane's first items, which have waited for too long. Their message ids are not remembered: Segment may
// send them again when the mode is another. A command to replay a letter goes, and leaves its letter. A delete call is not given up.
func (t *turn) discard(items []queue.Item) error {
	t.items, t.calls, t.result = items, nil, mapping.Result{}
	if err := t.open(); err != nil {
		return err
	}
	if t.deletes() && t.calls[len(t.calls)-1].letter == nil {
		last := len(t.items) - 1
		if last == 0 {
			return t.eraseUnsent()
		}
		t.items, t.calls = t.items[:last], t.calls[:len(t.calls)-1]
	}
	for i := range t.calls {
		c := &t.calls[i]
		c.unsent = c.imported == nil && c.order.Discard == ""
	}
	t.lane.imagined = nil // what is discarded is no longer imagined
	return t.settle(t.lane.record.Clone(), nil, "")
}

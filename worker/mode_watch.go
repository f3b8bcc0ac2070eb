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

// imagine plans items that were not looked at yet, and tells the journal. What a delete call among them takes back is told anew.
func (t *turn) imagine(fresh []queue.Item) error {
	l := t.lane
	pl, err := t.planner()
	if err != nil {
		return err
	}
	looked := t.part.backlog.looked(l)
	if l.imagined == nil {
		t.imagineNothing()
		for seen := range slices.Chunk(looked, maxMerge) {
			if _, err := t.plan(pl, seen); err != nil {
				return err
			}
		}
	}
	list, err := t.plan(pl, fresh)
	if err != nil {
		return err
	}
	now := time.Now()
	for i := range list {
		t.tellPlan(&list[i], now)
	}
	if len(looked) > 0 && slices.ContainsFunc(list, func(p plan) bool { return p.erases }) {
		if err := t.tellErased(pl, looked, fresh, now); err != nil {
			return err
		}
	}
	l.seen += len(fresh)
	return nil
}

// imagineNothing begins with what is remembered.
func (t *turn) imagineNothing() {
	record := t.lane.record.Clone()
	record.ForgetSentUntil(t.p.resyncs.since(t.lane.user))
	t.lane.imagined = &record
}

// tellErased tells of calls that were told of before, and that a fresh delete call now takes back.
func (t *turn) tellErased(pl *planner, looked, fresh []queue.Item, now time.Time) error {
	defer func(imagined *mapping.Record) { t.lane.imagined = imagined }(t.lane.imagined)
	t.imagineNothing()
	list, err := t.plan(pl, slices.Concat(looked, fresh))
	if err != nil {
		return err
	}
	told := looked[len(looked)-1].Position
	for _, p := range list {
		if p.erases && p.calls[len(p.calls)-1].item > told {
			p.calls = slices.DeleteFunc(p.calls, func(c call) bool { return c.item > told })
			t.tellPlan(&p, now)
		}
	}
	return nil
}

// planner plans for a lane that waits, with what waits in others.
func (t *turn) planner() (*planner, error) {
	pl := t.p.planner()
	pl.waiting, pl.again = t.p.waitingItems, true
	var err error
	if pl.contacts, err = t.p.catalogue.get(t.waitCtx, t.callCtx); err != nil {
		return nil, err
	}
	pl.younger = func(company bool, have *mapping.Catalogue) (*mapping.Catalogue, error) {
		cat := t.p.catalogue
		if company {
			cat = t.p.accounts.catalogue
		}
		return cat.younger(t.waitCtx, t.callCtx, catalogueUnknown)
	}
	return pl, nil
}

// plan plans items onto the imagined record.
func (t *turn) plan(pl *planner, items []queue.Item) (list []plan, err error) {
	t.items, t.calls = items, nil
	if err := t.open(); err != nil {
		return nil, err
	}
	if t.part.contacts != nil {
		list, *t.lane.imagined, err = pl.happening(t.callCtx, t.lane.user, *t.lane.imagined, t.calls)
		return list, err
	}
	if slices.ContainsFunc(t.calls, func(c call) bool { return c.received.Type == segment.Account || c.received.Type == segment.Group }) {
		if err := t.p.planAccounts(t.waitCtx, pl); err != nil {
			return nil, err
		}
	}
	list, record, err := pl.lane(t.callCtx, t.lane.user, *t.lane.imagined, t.calls)
	if t.lane.imagined = &record; err != nil {
		t.lane.imagined = nil
	}
	return list, err
}

// tellPlan writes the journal's lines of what would be done.
func (t *turn) tellPlan(p *plan, now time.Time) {
	t.calls = p.calls
	for i := range p.calls {
		c := &p.calls[i]
		f := c.fate("")
		e := t.line(c, fate{outcomeObserved, f.reason}, 0, now)
		if e.Note = p.note; f.outcome != queue.Discarded {
			e.Planned = operations(p.requests)
		}
		t.note(e)
	}
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

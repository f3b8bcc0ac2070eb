package worker

import (
	"context"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
)

// pass is leave to make the calls of one change, or another few calls. It is got by enter and ended by leave; between
// them stand admit, the call and report, any number of times.
//
// A pass holds no place at the gate: admit can say errHeld at any call, if everything is held since. It does hold calls
// of the quota, so whoever has to wait for anything else leaves first.
type pass struct {
	gate  *gate
	grant *grant
	extra []*grant // calls beyond those that were asked for
	used  *grant   // of the call under way
	Calls int      // admitted so far
	// patience is how long a call beyond those that were asked for is waited for, before all others.
	patience time.Duration
	// Short says that the last admit failed for want of calls: enter anew for more of them.
	Short bool
}

// enter waits until so many calls may be made: until nothing holds and the quota has them. Lower classes are served
// first, and in one class who came first. waited says that time went by, in which more may have come to be sent.
func (g *gate) enter(ctx context.Context, c class, calls int) (p *pass, waited bool, _ error) {
	if p, err := g.tryEnter(c, calls); err == nil {
		return p, false, nil
	}
	for {
		if err := g.await(ctx); err != nil {
			return nil, true, err
		}
		grant, err := g.quota.acquire(ctx, c, calls)
		if err != nil {
			return nil, true, err
		}
		if g.mayPass() {
			return &pass{gate: g, grant: grant}, true, nil
		}
		grant.giveBack()
	}
}

// tryEnter is enter without the wait: it says errHeld or errNoCalls instead.
func (g *gate) tryEnter(c class, calls int) (*pass, error) {
	if !g.mayPass() {
		return nil, errHeld
	}
	grant, err := g.quota.tryAcquire(c, calls)
	if err != nil {
		return nil, err
	}
	return &pass{gate: g, grant: grant}, nil
}

func (g *gate) mayPass() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.passable()
}

// admit comes before each call. Every admit without an error is followed by a report.
func (p *pass) admit() error {
	p.used, p.Short = p.grant, false
	if !p.grant.spend() {
		more, err := p.gate.quota.more(p.patience)
		if err != nil || !more.spend() {
			p.Short = true
			return errHeld
		}
		p.used, p.extra = more, append(p.extra, more)
	}
	p.gate.mu.Lock()
	ok := p.gate.admit(p)
	p.gate.mu.Unlock()
	if !ok {
		p.used.unspend()
		return errHeld
	}
	p.Calls++
	return nil
}

// report tells what came of a call that writes, for a user or "". It returns whether a failure is the user's to count.
func (p *pass) report(user string, err error) (counts bool) {
	p.used.done()
	return p.gate.report(user, err)
}

// reportRead is report for a call that writes no contact and no account.
func (p *pass) reportRead(user string, err error) (counts bool) {
	p.used.done()
	return p.gate.reportRead(user, err)
}

// stepAside lets the next one go first before whoever has the pass waits for something that may wait for the gate. It keeps the
// pass: the next admit tells whether it may go on.
func (p *pass) stepAside() {
	if p != nil {
		p.gate.left(p)
	}
}

// leave gives back the calls that were not made, and lets the next one go first. It may be called twice.
func (p *pass) leave() {
	p.gate.left(p)
	p.grant.giveBack()
	for _, g := range p.extra {
		g.giveBack()
	}
}

// enter gets leave for the calls of the turn's change.
func (t *turn) enter() (waited bool, err error) {
	if t.pass != nil {
		return false, nil
	}
	t.part.backlog.queue(t.lane, true)
	defer t.part.backlog.queue(t.lane, false)
	if t.pass, waited, err = t.p.gate.enter(t.waitCtx, t.class(), max(t.more, t.needs())); err == nil {
		t.pass.patience = freshFor // what it has read by then is still so
	}
	return waited, err
}

// bulkFrom is how many changes are always sent one by one: that is quicker, and says more about each.
const bulkFrom = 10

// bulkPays says whether so many changes that are ready should share calls: when one by one they would take a notable part of
// the calls that are left this minute.
func (g *gate) bulkPays(ready int) bool { return ready > max(bulkFrom, g.quota.leftThisMinute()/10) }

// needs is how many calls the change takes if nothing unforeseen happens.
func (t *turn) needs() int {
	calls := min(2, 2*len(t.links)) // to read those that it has, and to write them
	switch {
	case t.erasing != nil && t.lane.record.ContactID == "":
		return 3 // to look for the contact, to see whose it is, and to delete it
	case t.erasing != nil:
		return 2
	case t.account():
		return t.accountNeeds()
	case len(t.result.Change.Fields) == 0:
		return calls
	case t.lane.record.ContactID != "" && reads(t.result.Change, t.p.customs.mode(freshmarketer.OpUpdateContact)):
		return calls + 2
	}
	return calls + 1 // a new one is made with everything
}

// unforeseen is how many calls a change is likely to take that takes more than it needs if all goes well: as many as it takes to
// find a contact by its address, with the update.
const unforeseen = 4

// leave gives back the calls that were not made, and remembers if there were too few: the change begins anew then, so it asks for
// plenty the next time.
func (t *turn) leave() {
	if t.pass == nil {
		return
	}
	if t.pass.Short {
		t.more = max(unforeseen, 2*t.pass.Calls)
	}
	t.p.effort.add(t.pass.Calls, 0)
	t.pass.leave()
	t.pass = nil
}

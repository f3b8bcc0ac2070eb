package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// A bulk that is answered with a 5xx, or not at all, may have made a job all the same, which works within bulkUnclear. Until
// then nothing newer may be written to its contacts. The very same values may: so its halves are sent at once, the halves of
// those that fail again, and so on. One change that makes every bulk fail that it is in then keeps nobody's change from the
// account for longer than a few calls take, and only what came after that change waits for bulkUnclear.

// maxLost is how many more bulks may fail than are taken, of one that was halved. If one change is the trouble, of two halves one
// is always taken; if bulks are, none is, and there is no use in trying them all.
const maxLost = 5

// halving is what the parts of one bulk share.
type halving struct {
	end  time.Time     // of the bulk's own bulkUnclear: later no part begins
	one  chan struct{} // capacity 1: a single part is at work at a time, in the place of the bulk itself
	lost int           // bulks that failed less those that were taken; belongs to whoever is at work
}

// went notes what became of a POST of a bulk that is being halved.
func (f *flight) went(taken bool) {
	switch {
	case f.halving == nil:
	case taken:
		f.halving.lost--
	default:
		f.halving.lost++
	}
}

// halve goes on after a POST that may have made a job. It returns with all lanes settled, given back or, on stopping, let go.
func (f *flight) halve() {
	end := f.mark.At.Add(bulkUnclear)
	if f.halving == nil {
		f.halving = &halving{end: end, one: make(chan struct{}, 1), lost: 1}
	} else {
		f.landed()
	}
	f.b.log.Warn("a bulk failed and may have been taken all the same, sending its changes in halves", zap.Int("contacts", len(f.turns)))
	var parts sync.WaitGroup
	defer parts.Wait()
	for _, half := range f.halves(end) {
		parts.Go(half.part)
	}
	if !sleep(f.waitCtx, time.Until(end)) {
		return // the mark stays: whoever comes next waits
	}
	if f.clear(); len(f.turns) == 1 {
		f.giveBack(true)
	}
}

// halves are the two parts of a bulk, none if it cannot be parted.
func (f *flight) halves(end time.Time) []*flight {
	n := len(f.turns) / 2
	if n == 0 {
		return nil
	}
	part := func(from, to int) *flight {
		return &flight{
			b: f.b, waitCtx: f.waitCtx, callCtx: f.callCtx, turns: f.turns[from:to], rows: f.rows[from:to], calls: slices.Clone(f.calls),
			alone: true, until: end, halving: f.halving, landed: sync.OnceFunc(func() { <-f.halving.one }),
		}
	}
	return []*flight{part(0, n), part(n, len(f.turns))}
}

// part runs a part of a bulk that was halved, if it can begin in time.
func (f *flight) part() {
	begun, broken := f.begin()
	if begun {
		f.run()
		f.landed()
		f.b.free <- f.slot
		return
	}
	if !sleep(f.waitCtx, time.Until(f.until)) {
		return
	}
	if broken {
		f.giveBack(true)
	} else {
		f.vain()
	}
}

// begin gets a part what it needs to be sent. broken says that so many failed that it had better not.
func (f *flight) begin() (begun, broken bool) {
	within, cancel := context.WithDeadline(f.waitCtx, f.halving.end)
	defer cancel()
	select {
	case f.halving.one <- struct{}{}:
	case <-within.Done():
		return false, false
	}
	defer func() {
		if !begun {
			f.landed()
		}
	}()
	if f.halving.lost > maxLost {
		return false, true
	}
	select {
	case f.slot = <-f.b.free:
	default:
		return false, false
	}
	pass, _, err := f.b.part.pool.gate.enter(within, classContact, 2)
	if err != nil {
		f.b.free <- f.slot
		return false, false
	}
	f.pass = pass
	return true, false
}

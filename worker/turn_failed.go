package worker

import (
	"errors"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

// after goes on when something else was tried because of a failure.
func (t *turn) after(err error) (again bool, _ error) {
	if err != nil {
		return t.failed(err)
	}
	return true, nil
}

// failed acts on what went wrong. again means that the turn is to be made anew as soon as the gate lets it; otherwise
// the lane is settled, planned for later or given back. On an error nothing has been done with it.
func (t *turn) failed(err error) (again bool, _ error) {
	if errors.Is(err, errHeld) || errors.Is(err, errMapAgain) {
		return true, nil
	}
	if errors.Is(err, errAliased) || freshmarketer.KindOf(err) == freshmarketer.KindGone && t.lane.record.Contested() {
		t.lane.record.Given = true // where it went only the account knows: it is not ours to make anew
		return false, t.withoutEffect(mapping.ReasonAliased)
	}
	if errors.Is(err, errNoContact) {
		return false, t.withoutEffect(mapping.ReasonNoContact)
	}
	if errors.Is(err, queue.ErrLost) || errors.Is(err, errStopping) {
		return false, err
	}
	l, gate := t.lane, t.p.gate
	if wait, ok := errors.AsType[notYet](err); ok {
		t.part.retryLater(l, time.Duration(wait))
		return false, nil
	}
	api := apiError(err)
	if api == nil {
		return false, err // our own store: nobody's try
	}
	f := Failure{
		Kind: api.Kind, Counts: t.counts, Known: l.record.ContactID != "", Merged: len(t.calls), Age: l.age(gate.idleFor()),
		Field: t.droppable(api.Field), Dropped: len(t.dropped), Recreated: t.recreated,
	}
	if t.erasing != nil {
		f.Merged = 1 // what came before the delete call is not worth a call
	}
	if f.Kind == freshmarketer.KindInvalid {
		t.catalogue().doubt()
	}
	action := Decide(f, t.p.cfg.Retry)
	if action == ActionProbe {
		if !gate.verify(t.waitCtx, t.callCtx) {
			t.attempted(metrics.WaySingle, metrics.AttemptHeld, api, 0)
			t.part.backlog.giveBack(l)
			return false, nil
		}
		f.Probed = true
		action = Decide(f, t.p.cfg.Retry)
	}
	if action == ActionSplit || action == ActionSetAside {
		if found, err := t.blame(err); found || err != nil {
			t.attempted(metrics.WaySingle, metrics.AttemptChanged, api, 0)
			return t.after(err)
		}
		if action == ActionSplit && t.partly {
			action = ActionSetAside // a part of the change would write older values over newer ones
		}
	}
	switch action {
	case ActionHold:
		t.attempted(metrics.WaySingle, metrics.AttemptHeld, api, 0)
		t.giveBackHeld(f.Kind)
		return false, nil
	case ActionRetry:
		l.failed(t.p.cfg.Retry, gate.idleFor())
		wait := l.pause(api.RetryAfter)
		t.attempted(metrics.WaySingle, metrics.AttemptRetry, api, wait)
		t.part.retryLater(l, wait)
		return false, nil
	case ActionDropField:
		t.refuse(f.Field)
	case ActionSplit:
		l.split(len(t.items))
	case ActionRecreate:
		t.recreated = true
		l.unguess()
		l.record.ForgetContact()
	case ActionSetAside:
		t.attempted(metrics.WaySingle, metrics.AttemptSetAside, api, 0)
		return false, t.settle(t.broken(), api, reasonOf(err, f))
	}
	t.attempted(metrics.WaySingle, metrics.AttemptChanged, api, 0)
	return true, nil
}

func reasonOf(err error, f Failure) string {
	switch {
	case errors.Is(err, errEmailTaken):
		return ReasonEmailConflict
	case f.Kind == freshmarketer.KindInvalid || f.Kind == freshmarketer.KindConflict:
		return ReasonInvalid
	}
	return ReasonExhausted
}

// untouched is the record after a change that did not happen: its events are known, its fields are as they were, unless an
// earlier try may have written them after all.
func (t *turn) untouched() mapping.Record {
	if t.erasing != nil {
		return *t.erasing
	}
	record := t.lane.record.Clone()
	record.Ring = t.result.Record.Ring
	if t.lane.unsettled() {
		for _, f := range t.result.Change.Fields {
			record.Doubt(f.Name, t.result.Record.Fields[f.Name])
		}
	}
	return record
}

// broken is untouched for calls that are set aside: what they would have made may yet come by a replay.
func (t *turn) broken() mapping.Record {
	record := t.untouched()
	record.Broken = t.erasing == nil
	return record
}

package worker

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

// ReasonUnknownOutcome is the reason of a dead letter whose activity or event may have been recorded, and may not. Nobody sends
// it again but an operator who has looked.
const ReasonUnknownOutcome = "unknown_outcome"

// happen is the turn of a lane of activities: one call, after everything of its user's contact that came before it. On an error
// nothing has been done with the lane.
func (t *turn) happen() error {
	defer t.leave()
	if err := t.load(); err != nil {
		return err
	}
	if !t.p.mode.writes(t.lane.user) {
		return t.watch()
	}
	for {
		if t.waitCtx.Err() != nil {
			return context.Cause(t.waitCtx)
		}
		t.lane.limit = 1
		if err := t.gather(); err != nil {
			return err
		}
		if len(t.calls) == 0 {
			t.part.backlog.giveBack(t.lane)
			return nil
		}
		again, err := t.happenNext()
		if !again {
			return err
		}
		t.leave()
	}
}

// happenNext does the lane's next call, once. again says that it is to be looked at anew.
func (t *turn) happenNext() (again bool, _ error) {
	c := &t.calls[0]
	if !c.mapped() {
		record, _, err := t.part.contacts.loadRecord(t.callCtx, t.lane.user)
		if err != nil {
			return false, err
		}
		if record.Suppressed != 0 {
			suppress(t.calls)
		}
		return false, t.settle(t.unintended(), nil, "")
	}
	if t.p.cfg.Deletion.hears(c) {
		return false, t.eraseActivities(c)
	}
	if open := t.unclear(); open != nil {
		return t.findOut(open)
	}
	reason := mapping.JudgeActivity(t.lane.record, mapping.Call{Event: c.event, Replay: c.letter != nil})
	if reason == "" {
		t.act, reason = t.p.cfg.Activities.Make(c.received, c.event)
	}
	if reason != "" {
		return false, t.dismiss(reason)
	}
	contact, waits, err := t.part.contactBefore(t.callCtx, t.lane.user, c.position)
	switch {
	case errors.Is(err, errSuppressed):
		return false, t.dismiss(mapping.ReasonSuppressed)
	case err != nil:
		return false, err
	case waits:
		return false, t.part.waitForContact(t, c.position)
	case contact.ContactID == "":
		return false, t.withoutContact(c, contact.Broken)
	}
	t.target = contact.ContactID
	if t.stepsBack() {
		return false, nil
	}
	err = t.perform(c)
	if err == nil {
		t.p.gate.performed(t.lane.user)
		t.attempted(metrics.WaySingle, metrics.AttemptDone, nil, 0)
		return false, t.accomplished()
	}
	return t.notPerformed(err)
}

// perform makes the activity or the event.
func (t *turn) perform(c *call) error {
	if t.p.cfg.Activities.As == mapping.AsEvent {
		return t.performEvent(c)
	}
	typeID, ownerID, err := t.p.kinds.resolve(t.waitCtx, t.callCtx, t.act.Type)
	if err != nil {
		return err
	}
	marker := markerOf(t.lane.user, c.position)
	return t.once(c, freshmarketer.OpCreateActivity, "", func(ctx context.Context) error {
		_, err := t.p.cfg.Client.CreateActivity(ctx, freshmarketer.Activity{
			Title: t.act.Title, TypeID: typeID, OwnerID: ownerID, ContactID: t.target, Start: t.act.At, End: t.act.At,
			Notes: withMarker(t.act.Notes, marker),
		})
		return err
	})
}

// once makes a call that cannot be repeated: leave is waited for first, then what is about to happen is committed, and only then
// it happens. Whoever finds the commitment without an outcome has to find out. email is the contact's, where that is what is told
// of it.
func (t *turn) once(c *call, op, email string, do func(context.Context) error) error {
	var err error
	if t.pass, _, err = t.p.gate.enter(t.waitCtx, classActivity, max(1, t.more)); err != nil {
		return err
	}
	if err := t.stillAbout(c, email); err != nil {
		return err
	}
	if err := t.intend(c.position); err != nil {
		return err
	}
	failpoint.Hit(failpoint.EffectBefore)
	err = t.ask(op, func(ctx context.Context) error {
		t.lane.sure = false
		return do(ctx)
	})
	failpoint.Hit(failpoint.EffectAfter)
	if api, ok := errors.AsType[*freshmarketer.Error](err); ok && !api.MayHaveEffect() {
		t.lane.sure = true
	}
	return err
}

// stillAbout looks again at what the call is about to be made for: leave may have taken hours, and contacts go first. errHeld says
// that it is another by now, or erased. The address counts however old it is, unless we have changed it: to read it anew takes leave
// as well, so that would never end.
func (t *turn) stillAbout(c *call, email string) error {
	contact, waits, err := t.part.contactBefore(t.callCtx, t.lane.user, c.position)
	if err != nil && !errors.Is(err, errSuppressed) {
		return err
	}
	if err != nil || waits || contact.ContactID != t.target || email != "" && !t.p.events.still(t.target, email) {
		return errHeld
	}
	return nil
}

// ask makes one API call behind the gate and notes it. t.pass is leave to make it.
func (t *turn) ask(op string, do func(context.Context) error) error {
	if err := t.part.log.Hold(t.waitCtx, t.p.cfg.Client.Timeout()); err != nil {
		return err
	}
	if err := t.pass.admit(); err != nil {
		return err
	}
	began := time.Now()
	err := do(freshmarketer.Guarded(t.callCtx, t.part.log.Held))
	t.counts = t.pass.reportRead(t.lane.user, err)
	t.api = append(t.api, journalCall(op, began, status(freshmarketer.Contact{}, err), err))
	return err
}

// notPerformed acts on what went wrong. again means that the call is to be looked at anew.
func (t *turn) notPerformed(err error) (again bool, _ error) {
	l, gate := t.lane, t.p.gate
	switch {
	case errors.Is(err, errHeld):
		return true, nil
	case errors.Is(err, queue.ErrLost), errors.Is(err, errStopping):
		return false, err
	}
	if missing, ok := errors.AsType[*missingKind](err); ok {
		t.part.backlog.shelve(l, missing.next)
		return false, nil
	}
	if lists, ok := errors.AsType[*unread](err); ok { // costs no attempt and no age
		t.attempted(metrics.WaySingle, metrics.AttemptHeld, lists.err, kindsTrouble)
		t.part.backlog.shelve(l, time.Now().Add(kindsTrouble))
		return false, nil
	}
	if wait, ok := errors.AsType[eventsWait](err); ok {
		t.part.backlog.shelve(l, time.Now().Add(time.Duration(wait)))
		return false, nil
	}
	if errors.Is(err, errNoAddress) {
		return false, t.dismiss(mapping.ReasonMissingEmail)
	}
	api := new(freshmarketer.Error)
	if !errors.As(err, &api) {
		return false, err // our own store
	}
	if open := t.unclear(); open != nil {
		return t.findOut(open)
	}
	switch api.Kind {
	case freshmarketer.KindUnsupported:
		return false, t.withoutEvents(api)
	case freshmarketer.KindGone:
		if api.Op == freshmarketer.OpCreateActivity && t.p.kinds.doubt() {
			return true, nil // it may be the type that is gone
		}
		return false, t.dismiss(mapping.ReasonContactGone)
	case freshmarketer.KindInvalid, freshmarketer.KindConflict:
		t.p.kinds.doubt()
	}
	f := Failure{Kind: api.Kind, Counts: t.counts, Merged: 1, Age: l.age(gate.idleFor())}
	action := Decide(f, t.p.cfg.Retry)
	if action == ActionProbe {
		t.leave()
		if !gate.verify(t.waitCtx, t.callCtx) {
			t.attempted(metrics.WaySingle, metrics.AttemptHeld, api, 0)
			t.part.backlog.giveBack(l)
			return false, nil
		}
		f.Probed = true
		action = Decide(f, t.p.cfg.Retry)
	}
	switch action {
	case ActionHold:
		t.attempted(metrics.WaySingle, metrics.AttemptHeld, api, 0)
		t.giveBackHeld(f.Kind)
		return false, nil
	case ActionSetAside:
		t.attempted(metrics.WaySingle, metrics.AttemptSetAside, api, 0)
		return false, t.setAside(api, reasonOf(err, f))
	}
	t.later(api)
	return false, nil
}

// later plans the lane's next try.
func (t *turn) later(api *freshmarketer.Error) {
	l := t.lane
	l.failed(t.p.cfg.Retry, t.p.gate.idleFor())
	wait := l.pause(api.RetryAfter)
	t.attempted(metrics.WaySingle, metrics.AttemptRetry, api, wait)
	t.part.retryLater(l, wait)
}

// accomplished settles the call as delivered.
func (t *turn) accomplished() error {
	c := &t.calls[0]
	c.outcome.Delivered = true
	return t.settle(t.remembering(c), nil, "")
}

// setAside settles the call as a dead letter.
func (t *turn) setAside(failure *freshmarketer.Error, reason string) error {
	c := &t.calls[0]
	c.outcome.Delivered = true // it would have been, see fate
	return t.settle(t.remembering(c), failure, reason)
}

// dismiss settles the call as discarded.
func (t *turn) dismiss(reason mapping.Reason) error {
	t.calls[0].outcome = mapping.Outcome{Reason: reason}
	return t.settle(t.unintended(), nil, "")
}

// remembering is the record after the call, which is known from then on.
func (t *turn) remembering(c *call) mapping.Record {
	record := t.unintended()
	if c.event.MessageID != "" {
		record.Remember(c.event.Source, c.event.MessageID, c.event.Received)
	}
	return record
}

// unintended is the record without the intent of the call in hand.
func (t *turn) unintended() mapping.Record {
	record := t.lane.record.Clone()
	if open := record.Intent; open != nil && open.Pos == t.calls[0].position {
		record.Intent = nil
	}
	return record
}

// contactID is what the journal says of the contact: that of a change, or that of an activity.
func (t *turn) contactID(changed string) string { return cmp.Or(t.target, changed) }

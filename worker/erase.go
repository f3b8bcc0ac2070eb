package worker

import (
	"cmp"
	"errors"
	"slices"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// A delete call erases its user: the contact, and what we know. It is an entry of the user's lane like any other, so it takes
// effect after all that came before, and what of that still waits need not be sent. What stays is a record with nothing in it
// but that the user is suppressed; it is under the keyed hash of the userId, which is all that tells who it was.

// Deletion says what erasing does.
type Deletion struct {
	// Webhooks lets delete calls of webhooks erase users; operators always may.
	Webhooks bool
	// RecycleBin moves contacts to the account's recycle bin instead of deleting them for good.
	RecycleBin bool
}

// errSuppressed says that a user was erased.
var errSuppressed = errors.New("the user was erased")

// eraseActivities is the turn of a delete call in a lane of activities: the letters go, and what is remembered. Calls that wait
// find out by the user's own record.
func (t *turn) eraseActivities(c *call) error {
	c.outcome = mapping.Outcome{Delivered: true}
	if c.undoes() {
		return t.settle(t.unintended(), nil, "")
	}
	record, _, err := t.part.contacts.loadRecord(t.callCtx, t.lane.user)
	if err != nil {
		return err
	}
	switch concerns, err := c.concerns(record, t.heirs); {
	case err != nil:
		return err
	case !concerns:
		return t.dismiss(mapping.ReasonStale)
	}
	if err := t.collectLetters(); err != nil {
		return err
	}
	var left mapping.Record
	left.Remember(c.received.Source, c.received.MessageID, c.received.At)
	return t.settle(left, nil, "")
}

// deletes says whether the head has a delete call that is to be heard. The head then ends with it: what comes later is another
// turn's.
func (t *turn) deletes() bool {
	t.erasing, t.erased, t.naming = nil, nil, ""
	i := t.p.cfg.Deletion.in(t.calls)
	if i < 0 {
		return false
	}
	t.calls = t.calls[:i+1]
	t.items = t.items[:1+slices.IndexFunc(t.items, func(it queue.Item) bool { return it.Position == t.calls[i].item })]
	return true
}

// erase is the turn of a head that ends with a delete call. It returns false if the head is to be looked at anew.
func (t *turn) erase() (done bool, _ error) {
	last := &t.calls[len(t.calls)-1]
	if last.named() != "" {
		return t.eraseNaming(last)
	}
	if outcome, nobody, err := t.erasesNobody(last); nobody || err != nil {
		if err != nil {
			return false, err
		}
		return t.withoutErasing(last, outcome)
	}
	left, err := t.eraseHere(last)
	if err != nil {
		return false, err
	}
	if last.heir() != "" { // its contact is the other's to erase
		left.ContactID = ""
		return true, t.settle(*left, nil, "")
	}
	if _, err := t.enter(); err != nil {
		return false, err
	}
	if err := t.eraseContact(last.event.UserID); err != nil {
		again, err := t.failed(err)
		t.leave()
		return !again, err
	}
	left.ContactID = ""
	return true, t.settle(*left, nil, "")
}

// eraseUnsent is the turn of a delete call that has waited for another mode for too long. All is erased but the contact, for which the
// call becomes a dead letter: it comes again by itself once the mode is live.
func (t *turn) eraseUnsent() error {
	last := &t.calls[0]
	if t.part.contacts != nil {
		return t.eraseActivities(last)
	}
	if last.named() != "" {
		_, err := t.eraseNaming(last)
		return err
	}
	if outcome, nobody, err := t.erasesNobody(last); nobody || err != nil {
		if err == nil {
			_, err = t.withoutErasing(last, outcome)
		}
		return err
	}
	left, err := t.eraseHere(last)
	switch {
	case err != nil:
		return err
	case last.heir() != "":
		left.ContactID = ""
		return t.settle(*left, nil, "")
	}
	return t.settle(*left, nil, ReasonNotLive)
}

// erasesNobody says of a delete call that is known, or undoes another, or is not about the user any more, what becomes of it.
func (t *turn) erasesNobody(last *call) (outcome mapping.Outcome, nobody bool, _ error) {
	return last.erasesNobody(t.lane.record, t.heirs)
}

// heirs are those of the lane's user.
func (t *turn) heirs(record mapping.Record) (chain []string, last mapping.Record, _ error) {
	return t.p.heirs(t.callCtx, t.lane.user, record)
}

func (c *call) erasesNobody(record mapping.Record, heirs func(mapping.Record) ([]string, mapping.Record, error)) (outcome mapping.Outcome, nobody bool, _ error) {
	concerns, err := c.concerns(record, heirs)
	switch {
	case err != nil:
		return mapping.Outcome{}, false, err
	case !concerns, c.position < record.Allowed: // a letter, and since then the user was let come again
		return mapping.Outcome{Reason: mapping.ReasonStale}, true, nil
	case c.letter == nil && record.Knows(c.received.Source, c.received.MessageID, c.received.At):
		return mapping.Outcome{Reason: mapping.ReasonDuplicate}, true, nil
	case c.undoes():
		return mapping.Outcome{Delivered: true}, true, nil
	}
	return mapping.Outcome{}, false, nil
}

// eraseHere is what erasing is but for the contact, up to the settlement: left is what stays of the user's record.
func (t *turn) eraseHere(last *call) (left *mapping.Record, _ error) {
	for i := range t.calls[:len(t.calls)-1] {
		t.calls[i].drop(mapping.ReasonErased)
	}
	last.outcome = mapping.Outcome{Delivered: true}
	t.lane.unguess() // nothing has confirmed it
	left = leftOf(t.lane.record)
	left.Remember(last.received.Source, last.received.MessageID, last.received.At)
	t.erasing, t.result = left, mapping.Result{Record: *left}
	if err := t.collectLetters(); err != nil {
		return nil, err
	}
	if err := t.eraseAliases(); err != nil {
		return nil, err
	}
	if err := t.part.log.Erase(t.callCtx, t.lane.user, last.item); err != nil {
		return nil, err
	}
	return left, t.erasePrevious(last)
}

// drop discards a call whatever it is: also one that cannot be read, and a letter that is imported, would stay as a dead letter.
func (c *call) drop(reason mapping.Reason) {
	c.broken, c.imported, c.edits = nil, nil, nil
	c.order.Discard = cmp.Or(c.order.Discard, string(reason))
}

// suppress drops what nobody maps of a user who was erased, but for what is to erase him.
func suppress(calls []call) {
	for i := range calls {
		c := &calls[i]
		if !c.mapped() && (c.imported == nil || c.imported.Type != string(segment.Delete)) {
			c.drop(mapping.ReasonSuppressed)
		}
	}
}

// withoutErasing settles a delete call that erases nobody. What stands before it goes first.
func (t *turn) withoutErasing(last *call, outcome mapping.Outcome) (done bool, _ error) {
	if len(t.items) > 1 {
		t.lane.limit = len(t.items) - 1
		return false, nil
	}
	last.outcome = outcome
	if outcome.Delivered {
		if err := t.erasePrevious(last); err != nil {
			return false, err
		}
	}
	record := last.notErasedBy(t.lane.record, outcome)
	t.result = mapping.Result{Record: record}
	return true, t.settle(record, nil, "")
}

// notErasedBy is the record after a delete call that has erased nobody: of a user who may come again, if it undoes.
func (c *call) notErasedBy(record mapping.Record, o mapping.Outcome) mapping.Record {
	record = record.Clone()
	record.Remember(c.received.Source, c.received.MessageID, c.received.At)
	if o.Delivered && record.Suppressed != 0 {
		record.Suppressed, record.Allowed = 0, c.position
	}
	return record
}

package worker

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
)

// reasonNotStored is a left-out reason that only the API's answer can tell: it took the value and did not store it.
const reasonNotStored mapping.Reason = "sent_not_stored"

// freshFor is how long an answer shows a contact as it is now.
const freshFor = time.Second

// send makes the change in the account and returns the record as it then is. Every call may be repeated: a crash or a
// timeout in between leaves nothing that the next try does not put right.
func (t *turn) send() (mapping.Record, error) {
	defer t.releaseClaims()
	w := write(t.result.Change)
	if t.account() {
		return t.sendAccount(w)
	}
	var contact freshmarketer.Contact
	var err error
	switch id := t.lane.record.ContactID; {
	case t.lane.guess != nil:
		contact, err = t.confirm(w)
	case id == "":
		contact, err = t.findOrMake(w)
	case len(t.result.Change.Fields) == 0: // it is about links alone
		contact.ID, t.unread = id, false
	default:
		contact, err = t.update(id, w)
	}
	if err != nil {
		return mapping.Record{}, err
	}
	made := contact
	if contact, err = t.learnCustom(contact, w.Custom); err != nil {
		t.keepFound(made)
		return mapping.Record{}, err
	}
	record := t.result.Record
	record.ContactID = contact.ID
	if t.unread {
		t.noteLost(&record, contact, w.Custom)
	}
	for _, name := range t.notStored(contact) {
		record.ForgetSent(name)
	}
	if err := t.link(&record); err != nil {
		t.keepFound(contact)
		return mapping.Record{}, err
	}
	return record, nil
}

// keepFound keeps a contact that was made, or adopted, in a change that then failed: the next try need not look for it, with
// calls each of which can fail as well.
func (t *turn) keepFound(c freshmarketer.Contact) {
	if t.lane.record.ContactID == "" {
		_ = t.assume(c) // which says errMapAgain: whoever has failed maps again anyway
	}
}

// write turns a change into a request's fields.
func write(c mapping.Change) freshmarketer.ContactWrite {
	w := freshmarketer.ContactWrite{Fields: freshmarketer.Fields{}, Custom: freshmarketer.Fields{}}
	for _, f := range c.Fields {
		set(w, f)
	}
	return w
}

// update changes the contact that is remembered for the user.
func (t *turn) update(id string, w freshmarketer.ContactWrite) (freshmarketer.Contact, error) {
	t.unread = !reads(t.result.Change, t.p.customs.mode(freshmarketer.OpUpdateContact)) && !t.lane.record.Contested()
	if !t.unread {
		contact, err := t.current(id)
		if err != nil {
			return contact, err
		}
		if err := t.ours(contact); err != nil {
			return contact, err
		}
		w = t.join(w, contact)
	}
	contact, err := t.put(id, w)
	if refusedBy(err) {
		contact, err = t.withoutEmail(id, w, err)
	}
	if err != nil {
		return contact, err
	}
	return contact, t.ours(contact)
}

// withoutEmail sends the rest of a refused update if it is its address that was refused: because it belongs to another
// contact, or because the API does not take it. The texts of the API are localised, so the account is asked.
func (t *turn) withoutEmail(id string, w freshmarketer.ContactWrite, refused error) (freshmarketer.Contact, error) {
	none, api := freshmarketer.Contact{}, apiError(refused)
	email, given := w.Fields["email"].(string)
	if !given || t.droppable(api.Field) != "" {
		return none, refused
	}
	found, err := t.lookup("email", email)
	if err != nil {
		return none, err
	}
	switch {
	case slices.ContainsFunc(found, func(c freshmarketer.Contact) bool { return c.ID != id }):
		t.noEmail = ReasonEmailConflict
	case api.Field == "email" || api.Kind == freshmarketer.KindConflict:
		if err := t.doubt(); err != nil {
			return none, err
		}
		t.noEmail = mapping.ReasonRefused
		if api.Kind == freshmarketer.KindConflict {
			t.noEmail = ReasonEmailConflict
		}
	default:
		return none, refused // as far as anybody can see it is about something else
	}
	t.dropEmail()
	if delete(w.Fields, "email"); len(w.Fields) == 0 && len(w.Custom) == 0 {
		return t.get(id)
	}
	return t.put(id, w)
}

// dropEmail takes the address out of the change, and leaves it remembered as sent, so that it is not tried with every call.
func (t *turn) dropEmail() {
	change := &t.result.Change
	change.Fields = slices.DeleteFunc(slices.Clone(change.Fields), func(f mapping.FieldChange) bool { return f.Name == "email" })
	t.leaveOut("email", t.noEmail)
}

// current is the contact as it is now, read unless an answer has just shown it.
func (t *turn) current(id string) (freshmarketer.Contact, error) {
	if fresh := t.fresh; fresh != nil && fresh.ID == id && time.Since(t.freshAt) < freshFor {
		t.fresh = nil
		return *fresh, nil
	}
	return t.get(id)
}

func (t *turn) get(id string) (freshmarketer.Contact, error) {
	return t.call(freshmarketer.OpGetContact, func(ctx context.Context) (freshmarketer.Contact, error) {
		return t.p.cfg.Client.GetContact(ctx, id)
	})
}

func (t *turn) put(id string, w freshmarketer.ContactWrite) (freshmarketer.Contact, error) {
	return t.call(freshmarketer.OpUpdateContact, func(ctx context.Context) (freshmarketer.Contact, error) {
		return t.p.cfg.Client.UpdateContact(ctx, id, w)
	})
}

// call makes one API call behind the gate and notes it.
func (t *turn) call(op string, do func(context.Context) (freshmarketer.Contact, error)) (freshmarketer.Contact, error) {
	if err := t.part.log.Hold(t.waitCtx, t.p.cfg.Client.Timeout()); err != nil {
		return freshmarketer.Contact{}, err
	}
	if err := t.pass.admit(); err != nil {
		return freshmarketer.Contact{}, err
	}
	changes := changing(op)
	if changes {
		failpoint.Hit(failpoint.EffectBefore)
	}
	began := time.Now()
	contact, err := do(freshmarketer.Guarded(t.callCtx, t.part.log.Held))
	if changes {
		failpoint.Hit(failpoint.EffectAfter)
	}
	report := t.pass.reportRead
	if changes {
		report = t.pass.report
	}
	t.counts = report(t.lane.user, err)
	t.api = append(t.api, journalCall(op, began, status(contact, err), err))
	if changes {
		t.p.events.changed(t.lane.record.ContactID) // not only when it is committed: it may take tries until then
		switch freshmarketer.KindOf(err) {
		case "", freshmarketer.KindTemporary, freshmarketer.KindUnknown, freshmarketer.KindCanceled:
			t.lane.wrote(len(t.items)) // without an answer it may have had its effect, and the change may yet fail in its next call
		}
	}
	return contact, err
}

// changing says whether an operation writes.
func changing(op string) bool {
	switch op {
	case freshmarketer.OpCreateContact, freshmarketer.OpUpsertContact, freshmarketer.OpUpdateContact, freshmarketer.OpUpsertAccount, freshmarketer.OpUpdateAccount,
		freshmarketer.OpDeleteContact, freshmarketer.OpForgetContact:
		return true
	}
	return false
}

// status is the HTTP status of a call; a lookup, whose answer is a list, succeeds with 200.
func status(c freshmarketer.Contact, err error) int {
	api := new(freshmarketer.Error)
	switch {
	case errors.As(err, &api):
		return api.Status
	case c.Status != 0:
		return c.Status
	}
	return http.StatusOK
}

// leaveOut corrects the outcome of the calls that set a field which then was not written.
func (t *turn) leaveOut(field string, reason mapping.Reason) {
	for i := range t.calls {
		o := &t.calls[i].outcome
		for j, f := range o.Fields {
			if f.Name == field && f.Action == mapping.ActionSet {
				o.LeftOut = append(o.LeftOut, mapping.LeftOut{Trait: f.Trait, Field: field, Reason: reason})
				o.Fields = append(o.Fields[:j:j], o.Fields[j+1:]...)
				break
			}
		}
	}
}

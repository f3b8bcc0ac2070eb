package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
)

// reasonNotStored is a left-out reason that only the API's answer can tell: it took the value and did not store it.
const reasonNotStored mapping.Reason = "sent_not_stored"

// send makes the change in the account and returns the record as it then is. Every call may be repeated: a crash or a
// timeout in between leaves nothing that the next try does not put right.
func (t *turn) send() (mapping.Record, error) {
	w := write(t.result.Change)
	var contact freshmarketer.Contact
	var err error
	if id := t.lane.record.ContactID; id != "" {
		contact, err = t.update(id, w)
	} else {
		contact, err = t.create(w)
	}
	if err != nil {
		return mapping.Record{}, err
	}
	record := t.result.Record
	record.ContactID = contact.ID
	for _, name := range t.notStored(contact) {
		record.ForgetSent(name)
	}
	return record, nil
}

// write turns a change into a request's fields.
func write(c mapping.Change) freshmarketer.ContactWrite {
	w := freshmarketer.ContactWrite{Fields: freshmarketer.Fields{}, Custom: freshmarketer.Fields{}}
	for _, f := range c.Fields {
		if f.Custom {
			w.Custom[f.Name] = f.Value
		} else {
			w.Fields[f.Name] = f.Value
		}
	}
	return w
}

// update changes the contact that is remembered for the user.
func (t *turn) update(id string, w freshmarketer.ContactWrite) (freshmarketer.Contact, error) {
	if len(w.Custom) > 0 {
		contact, err := t.call(freshmarketer.OpGetContact, func(ctx context.Context) (freshmarketer.Contact, error) { return t.p.cfg.Client.GetContact(ctx, id) })
		if err != nil {
			return contact, err
		}
		if err := t.ours(contact); err != nil {
			return contact, err
		}
		w.Custom = t.union(contact.Custom, w.Custom)
	}
	contact, err := t.put(id, w)
	if taken, lookupErr := t.emailTaken(err, w, id); lookupErr != nil {
		return contact, lookupErr
	} else if taken {
		if contact, err = t.withoutEmail(id, w, err); err != nil {
			return contact, err
		}
	}
	if err != nil {
		return contact, err
	}
	return contact, t.ours(contact)
}

// create finds or makes the contact by the userId and then writes the custom fields. They come second because an account
// may replace them all at once: what the contact already has must be read first, and a lookup could miss it for 20 s.
func (t *turn) create(w freshmarketer.ContactWrite) (freshmarketer.Contact, error) {
	user := t.result.Change.UserID
	first := freshmarketer.ContactWrite{Fields: maps.Clone(w.Fields)}
	first.Fields["external_id"] = user
	contact, err := t.call(freshmarketer.OpUpsertContact, func(ctx context.Context) (freshmarketer.Contact, error) {
		return t.p.cfg.Client.UpsertContact(ctx, "external_id", user, first)
	})
	if kind := freshmarketer.KindOf(err); kind == freshmarketer.KindConflict || kind == freshmarketer.KindInvalid {
		return t.adopt(w, err)
	}
	if err == nil && t.ours(contact) != nil {
		// The account does not find by external_id but by the address, or moved it: not to be written to again.
		return contact, fmt.Errorf("%w: %w", errEmailTaken, &freshmarketer.Error{
			Op: freshmarketer.OpUpsertContact, Kind: freshmarketer.KindConflict, Status: contact.Status, Text: "the answered contact has another external_id",
		})
	}
	if err != nil || len(w.Custom) == 0 {
		return contact, err
	}
	return t.put(contact.ID, freshmarketer.ContactWrite{Custom: t.union(contact.Custom, w.Custom)})
}

// adopt resolves a refused creation: the address may belong to a contact that has no userId yet, which then becomes the
// user's. Another user's contact is never touched.
func (t *turn) adopt(w freshmarketer.ContactWrite, refused error) (freshmarketer.Contact, error) {
	user, email := t.result.Change.UserID, t.result.Change.Email
	found, err := t.lookup(email)
	if err != nil {
		return freshmarketer.Contact{}, err
	}
	if len(found) == 0 {
		return freshmarketer.Contact{}, refused
	}
	// A lookup may show an older state, so the contact itself is read.
	contact, err := t.call(freshmarketer.OpGetContact, func(ctx context.Context) (freshmarketer.Contact, error) {
		return t.p.cfg.Client.GetContact(ctx, found[0].ID)
	})
	if err != nil {
		return contact, err
	}
	if contact.ExternalID != "" && contact.ExternalID != user {
		return contact, fmt.Errorf("%w: %w", errEmailTaken, refused)
	}
	w.Fields["external_id"] = user
	if len(w.Custom) > 0 {
		w.Custom = t.union(contact.Custom, w.Custom)
	}
	return t.put(contact.ID, w)
}

// emailTaken finds out whether a refused update is refused because its address is another contact's. The texts of the
// API are localised, so the account is asked.
func (t *turn) emailTaken(err error, w freshmarketer.ContactWrite, id string) (bool, error) {
	kind := freshmarketer.KindOf(err)
	email, given := w.Fields["email"].(string)
	if !given || kind != freshmarketer.KindConflict && kind != freshmarketer.KindInvalid {
		return false, nil
	}
	found, err := t.lookup(email)
	if err != nil {
		return false, err
	}
	return len(found) > 0 && found[0].ID != id, nil
}

// withoutEmail sends the rest of an update whose address belongs to another contact.
func (t *turn) withoutEmail(id string, w freshmarketer.ContactWrite, refused error) (freshmarketer.Contact, error) {
	delete(w.Fields, "email")
	t.leaveOut("email", ReasonEmailConflict) // and remembered as sent, so that it is not tried with every call
	if len(w.Fields) == 0 && len(w.Custom) == 0 {
		return t.call(freshmarketer.OpGetContact, func(ctx context.Context) (freshmarketer.Contact, error) { return t.p.cfg.Client.GetContact(ctx, id) })
	}
	contact, err := t.put(id, w)
	if kind := freshmarketer.KindOf(err); kind == freshmarketer.KindConflict {
		return contact, errors.Join(err, refused)
	}
	return contact, err
}

func (t *turn) put(id string, w freshmarketer.ContactWrite) (freshmarketer.Contact, error) {
	return t.call(freshmarketer.OpUpdateContact, func(ctx context.Context) (freshmarketer.Contact, error) {
		return t.p.cfg.Client.UpdateContact(ctx, id, w)
	})
}

func (t *turn) lookup(email string) ([]freshmarketer.Contact, error) {
	var found []freshmarketer.Contact
	_, err := t.call(freshmarketer.OpLookupContacts, func(ctx context.Context) (freshmarketer.Contact, error) {
		var err error
		found, err = t.p.cfg.Client.LookupContacts(ctx, "email", email)
		return freshmarketer.Contact{}, err
	})
	return found, err
}

// call makes one API call behind the gate and notes it.
func (t *turn) call(op string, do func(context.Context) (freshmarketer.Contact, error)) (freshmarketer.Contact, error) {
	if err := t.part.log.Hold(t.waitCtx, t.p.cfg.Client.Timeout()); err != nil {
		return freshmarketer.Contact{}, err
	}
	if err := t.pass.admit(); err != nil {
		return freshmarketer.Contact{}, err
	}
	changes := op == freshmarketer.OpUpsertContact || op == freshmarketer.OpUpdateContact
	if changes {
		failpoint.Hit(failpoint.EffectBefore)
	}
	began := time.Now()
	contact, err := do(freshmarketer.Guarded(t.callCtx, t.part.log.Held))
	if changes {
		failpoint.Hit(failpoint.EffectAfter)
	}
	t.counts = t.pass.report(t.lane.user, err)
	t.api = append(t.api, journalCall(op, began, status(contact, err), err))
	if changes {
		switch freshmarketer.KindOf(err) {
		case "", freshmarketer.KindTemporary, freshmarketer.KindUnknown, freshmarketer.KindCanceled:
			t.lane.wrote(len(t.items)) // without an answer it may have had its effect, and the change may yet fail in its next call
		}
	}
	return contact, err
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

// ours says whether an answered contact is (still) the user's. If it has another user's id, whoever gave it that has
// taken it away from ours: the id is forgotten and the contact found or made anew.
func (t *turn) ours(c freshmarketer.Contact) error {
	if c.ExternalID == "" || c.ExternalID == t.result.Change.UserID {
		return nil
	}
	return &freshmarketer.Error{Op: freshmarketer.OpUpdateContact, Kind: freshmarketer.KindGone, Status: 200, Text: "the contact has another external_id now"}
}

// union is what custom_field must hold so that nothing else in it is lost: some accounts merge it, others replace it
// whole (seen in client code since July 2026; the vendor documents neither).
func (t *turn) union(has map[string]json.RawMessage, set freshmarketer.Fields) freshmarketer.Fields {
	t.before = has
	all := freshmarketer.Fields{}
	for name, value := range has {
		if !isNull(value) {
			all[name] = value
		}
	}
	maps.Copy(all, set)
	return all
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

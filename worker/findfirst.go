package worker

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
)

// errNoContact says that there is no contact for a call and none may be created.
var errNoContact = errors.New("there is no contact, and none is to be created")

// findFirst looks for a contact before, or instead of, creating one: for a call without a userId, which has nothing but its
// address to be found by, and where contacts.create is off. errMapAgain means found.
func (t *turn) findFirst(w freshmarketer.ContactWrite) (freshmarketer.Contact, error) {
	none := freshmarketer.Contact{}
	if t.result.Change.UserID == "" {
		if err := t.findByAddress(); err != nil {
			return none, err
		}
		if t.p.cfg.UpdateOnly {
			return none, errNoContact
		}
		contact, err := t.create(t.withDefaults(w))
		if refusedBy(err) { // perhaps with a contact that no lookup shows yet
			if later := t.doubt(); later != nil {
				return none, later
			}
		}
		return contact, err
	}
	if err := t.findOwn(false); err != nil {
		return none, err
	}
	switch holder, contact, err := t.holder(t.result.Change.Email); {
	case err != nil:
		return none, err
	case holder == holderOurs:
		return none, t.assume(contact)
	case holder == holderNobody:
		return t.adopt(contact, w)
	}
	return none, errNoContact
}

// findByAddress looks for the contact with the change's address, whoever's it is, and says errMapAgain if there is one.
func (t *turn) findByAddress() error {
	email := t.result.Change.Email
	found, err := t.lookup("email", email)
	if err != nil {
		return err
	}
	for _, hit := range found[:min(len(found), maxHolders)] {
		contact, err := t.get(hit.ID)
		switch {
		case err == nil && strings.EqualFold(contact.Email, email):
			return t.assume(contact)
		case err != nil && freshmarketer.KindOf(err) != freshmarketer.KindGone:
			return err
		}
	}
	return nil
}

// withDefaults adds what a new contact gets besides. A contact that is there never gets it.
func (t *turn) withDefaults(w freshmarketer.ContactWrite) freshmarketer.ContactWrite {
	if len(t.result.Change.Defaults) == 0 {
		return w
	}
	w = freshmarketer.ContactWrite{Fields: maps.Clone(w.Fields), Custom: maps.Clone(w.Custom)}
	for _, d := range t.result.Change.Defaults {
		set(w, d)
	}
	return w
}

// isDefault reports whether the field is only there because contacts are given it when they are new.
func (t *turn) isDefault(field string) bool {
	return slices.ContainsFunc(t.result.Change.Defaults, func(d mapping.FieldChange) bool { return d.Name == field })
}

// withoutEffect ends the turn: what would have been delivered is discarded.
func (t *turn) withoutEffect(reason mapping.Reason) error {
	for i := range t.calls {
		if o := &t.calls[i].outcome; o.Delivered {
			o.Delivered, o.Reason, o.Fields = false, reason, nil
		}
	}
	t.result.Change = mapping.Change{}
	return t.settle(t.untouched(), nil, "")
}

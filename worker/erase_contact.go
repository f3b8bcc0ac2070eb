package worker

import (
	"context"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
)

// eraseContact deletes the user's contact: the one that is remembered, or else any that has the user's id. One that is gone is
// what was wanted.
func (t *turn) eraseContact(user string) error {
	if id := t.lane.record.ContactID; id != "" {
		if done, err := t.eraseContactOf(user, id); done || err != nil {
			return err
		}
	}
	found, err := t.lookup("external_id", user)
	if err != nil {
		return err
	}
	erased := false
	for _, hit := range found[:min(len(found), maxHolders)] {
		done, err := t.eraseContactOf(user, hit.ID)
		if err != nil {
			return err
		}
		erased = erased || done
	}
	if erased || !t.lane.unsettled() {
		return nil
	}
	// A contact may have been made without our having got the answer, and no lookup may show it yet.
	if t.lane.vacant.IsZero() {
		t.lane.vacant = time.Now()
	}
	if wait := indexLag - time.Since(t.lane.vacant); wait > 0 {
		return notYet(wait)
	}
	return nil
}

// eraseContactOf deletes a contact if it is the user's. It returns false if it was not there, or belongs to another user by now,
// and then is left alone: the user may have another.
func (t *turn) eraseContactOf(user, id string) (done bool, _ error) {
	contact, err := t.get(id)
	gone := freshmarketer.KindOf(err) == freshmarketer.KindGone
	switch {
	case gone && t.p.cfg.Deletion.RecycleBin:
		return false, nil
	case err != nil && !gone:
		return false, err
	case err == nil && contact.ExternalID != user && (contact.ExternalID != "" || id != t.lane.record.ContactID):
		return false, nil
	}
	if err := t.deleteContact(id); err != nil && freshmarketer.KindOf(err) != freshmarketer.KindGone {
		return false, err
	}
	return !gone, nil
}

func (t *turn) deleteContact(id string) error {
	op, do := freshmarketer.OpForgetContact, t.p.cfg.Client.ForgetContact
	if t.p.cfg.Deletion.RecycleBin {
		op, do = freshmarketer.OpDeleteContact, t.p.cfg.Client.DeleteContact
	}
	_, err := t.call(op, func(ctx context.Context) (freshmarketer.Contact, error) {
		return freshmarketer.Contact{ID: id}, do(ctx, id)
	})
	return err
}

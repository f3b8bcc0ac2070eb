package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
)

// How a user's contact is found. One contact belongs to one userId, and a contact that is there is never written to
// before it is known to be nobody else's. So an unknown user's contact is first *created*: a create is refused, and
// changes nothing, if the address or the userId is taken. Only then is it looked for:
//
//   - by the userId, if the refusal names it: it is the user's own contact, which was made before we remembered;
//   - by the address: a contact without a userId becomes the user's, another user's is left alone.
//
// A lookup shows writes up to 20 seconds late. What it finds is therefore read by its id, which shows the present. That it
// finds nothing is believed only after a second try indexLag later, if it speaks against what a write was just answered.

// indexLag is how long a lookup may not show a write. Source: up to about 20 s, seen live.
const indexLag = 25 * time.Second

const (
	// claimedWait is how long to wait at first for a contact that somebody else may take in a bulk, and claimedMost at most.
	claimedWait = 20 * time.Second
	claimedMost = 5 * time.Minute
)

// errMapAgain says that the user's contact has been found: the change is made anew, for that contact.
var errMapAgain = errors.New("the contact is known now")

// errEmailTaken marks a conflict that was found out to be about the address.
var errEmailTaken = errors.New("the address belongs to another user's contact")

// notYet says that a lookup must be repeated after a while before it can be believed.
type notYet time.Duration

func (n notYet) Error() string {
	return fmt.Sprintf("what a lookup shows may be %v old", time.Duration(n))
}

// findOrMake makes the contact of a user of whom none is known, or finds it. errMapAgain means found.
func (t *turn) findOrMake(w freshmarketer.ContactWrite) (freshmarketer.Contact, error) {
	if t.result.Change.UserID == "" || t.p.cfg.UpdateOnly {
		return t.findFirst(w)
	}
	contact, err := t.create(t.withDefaults(w))
	if refusedBy(err) && t.isDefault(apiError(err).Field) {
		t.p.log.Warn("the API refuses a line of contacts.on_create; the contact is made without any", zap.String("field", apiError(err).Field))
		contact, err = t.create(w)
	}
	if refusedBy(err) {
		return t.resolve(w, err)
	}
	if err == nil && t.ours(contact) != nil {
		// It was not made for us: not to be written to.
		return contact, fmt.Errorf("%w: %w", errEmailTaken, &freshmarketer.Error{
			Op: freshmarketer.OpCreateContact, Kind: freshmarketer.KindConflict, Status: contact.Status, Text: "the answered contact has another external_id",
		})
	}
	if err == nil {
		t.p.identity.count(false)
	}
	return contact, err
}

func (t *turn) create(w freshmarketer.ContactWrite) (freshmarketer.Contact, error) {
	// With all it takes, custom fields too: in a new contact there is nothing that they could replace.
	w.Fields = maps.Clone(w.Fields)
	if user := t.result.Change.UserID; user != "" {
		w.Fields["external_id"] = user
	}
	return t.call(freshmarketer.OpCreateContact, func(ctx context.Context) (freshmarketer.Contact, error) {
		return t.p.cfg.Client.CreateContact(ctx, w)
	})
}

// refusedBy says whether the API refused the change as such, so that it surely has changed nothing.
func refusedBy(err error) bool {
	kind := freshmarketer.KindOf(err)
	return kind == freshmarketer.KindConflict || kind == freshmarketer.KindInvalid
}

// apiError is the API's error in err, nil if there is none.
func apiError(err error) *freshmarketer.Error {
	api, _ := errors.AsType[*freshmarketer.Error](err)
	return api
}

// resolve finds out why a create was refused. It returns errMapAgain if the user has a contact now, errEmailTaken if the
// address is another user's, and the refusal itself if it is about the values.
func (t *turn) resolve(w freshmarketer.ContactWrite, refused error) (freshmarketer.Contact, error) {
	none, api := freshmarketer.Contact{}, apiError(refused)
	if t.droppable(api.Field) != "" {
		return none, refused // it names another field: neither the address nor the userId is the trouble
	}
	byUserID := api.Field == "external_id"
	if byUserID {
		if err := t.findOwn(true); err != nil {
			return none, err
		}
	}
	switch holder, contact, err := t.holder(t.result.Change.Email); {
	case err != nil:
		return none, err
	case holder == holderOurs:
		t.p.identity.count(true)
		return none, t.assume(contact)
	case holder == holderNobody:
		return t.adopt(contact, w)
	case holder == holderOther:
		// The user may still have a contact of its own, with another address. An upsert would make one if not.
		if err := t.findOwn(false); err != nil {
			return none, err
		}
		return none, fmt.Errorf("%w: %w", errEmailTaken, refused)
	}
	if api.Kind == freshmarketer.KindConflict || api.Field != "" {
		// First of all whoever has the address should be visible: a look-up that finds nobody only asks for another one.
		if err := t.doubt(); err != nil {
			return none, err
		}
	}
	if !byUserID {
		if err := t.findOwn(false); err != nil {
			return none, err
		}
	}
	if api.Kind == freshmarketer.KindConflict { // with what nobody can see: in the recycle bin, or not for this key's user
		return none, fmt.Errorf("%w: %w", errEmailTaken, refused)
	}
	return t.createBare(w, refused)
}

// createBare makes the contact with nothing but what it needs, because the API refuses more without naming a field. What
// is wrong with the rest is then found out on a contact that is known.
func (t *turn) createBare(w freshmarketer.ContactWrite, refused error) (freshmarketer.Contact, error) {
	bare := freshmarketer.ContactWrite{Fields: freshmarketer.Fields{"email": w.Fields["email"]}}
	if len(w.Fields)+len(w.Custom) > len(bare.Fields) {
		contact, err := t.create(bare)
		if err == nil {
			return contact, t.assume(contact)
		}
		if !refusedBy(err) {
			return contact, err
		}
		refused = err
	}
	if err := t.doubt(); err != nil { // an unnamed refusal in whatever language may be a clash that no lookup shows yet
		return freshmarketer.Contact{}, err
	}
	return freshmarketer.Contact{}, refused
}

// assume takes a contact for the user's and says errMapAgain.
func (t *turn) assume(c freshmarketer.Contact) error {
	r := &t.lane.record
	r.ForgetContact() // what was sent went to another contact
	r.ContactID = c.ID
	t.fresh, t.freshAt = &c, time.Now()
	return errMapAgain
}

// doubt says notYet until indexLag has passed since the lane's first doubt.
func (t *turn) doubt() error {
	if t.lane.doubted.IsZero() {
		t.lane.doubted = time.Now()
	}
	if wait := indexLag - time.Since(t.lane.doubted); wait > 0 {
		return notYet(wait)
	}
	return nil
}

// claimedBy says notYet because another user is about to take the contact. The waits double: a job can be at work for an hour, and each
// look takes two or three calls.
func (t *turn) claimedBy(least time.Duration) error {
	if t.lane.doubted.IsZero() {
		t.lane.doubted = time.Now()
	}
	return notYet(min(max(least, time.Since(t.lane.doubted)), claimedMost))
}

// holders of an address.
type holder int

const (
	holderUnseen holder = iota // no contact that we can see
	holderNobody               // a contact without a userId
	holderOurs                 // this user's contact
	holderOther                // another user's contact
)

// maxHolders bounds how many contacts with one address are read. An account can be told to allow several.
const maxHolders = 3

// holder finds whose contact has the address. One without a userId is claimed until the turn ends.
func (t *turn) holder(email string) (holder, freshmarketer.Contact, error) {
	found, err := t.lookup("email", email)
	if err != nil {
		return holderUnseen, freshmarketer.Contact{}, err
	}
	worst := holderUnseen
	for _, hit := range found[:min(len(found), maxHolders)] {
		if !t.claim(hit.ID) {
			wait := time.Second
			if t.p.backfill.usable() {
				wait = claimedWait // it may be in a bulk
			}
			return holderUnseen, freshmarketer.Contact{}, t.claimedBy(wait) // another user's lane is about to take it
		}
		contact, err := t.get(hit.ID)
		switch {
		case freshmarketer.KindOf(err) == freshmarketer.KindGone, err == nil && !strings.EqualFold(contact.Email, email):
			continue // the index is behind
		case err != nil:
			return holderUnseen, contact, err
		case contact.ExternalID == t.result.Change.UserID:
			return holderOurs, contact, nil
		case contact.ExternalID == "":
			return holderNobody, contact, nil
		}
		worst = holderOther
	}
	return worst, freshmarketer.Contact{}, nil
}

// adopt makes a contact without a userId the user's. Its claim keeps other lanes away until that is answered.
func (t *turn) adopt(contact freshmarketer.Contact, w freshmarketer.ContactWrite) (freshmarketer.Contact, error) {
	userID := freshmarketer.ContactWrite{Fields: freshmarketer.Fields{"external_id": t.result.Change.UserID}}
	w.Fields = maps.Clone(w.Fields)
	maps.Copy(w.Fields, userID.Fields)
	delete(w.Fields, "email") // it has that one
	w = t.join(w, contact)
	switch free, err := t.p.backfill.mayAdopt(t.callCtx, t.pass, contactNumber(contact.ID), t.lane.user); {
	case err != nil:
		return contact, err
	case !free:
		return contact, t.claimedBy(claimedWait) // a bulk of another process is about to take it
	}
	adopted, err := t.put(contact.ID, w)
	if refusedBy(err) {
		// Something else is refused; first of all the contact becomes the user's.
		if adopted, err = t.put(contact.ID, userID); err == nil {
			t.p.identity.count(true)
			return adopted, t.assume(adopted)
		}
		if refusedBy(err) {
			if own := t.findOwn(false); own != nil {
				return adopted, own
			}
		}
	}
	if err == nil {
		t.p.identity.count(true)
		err = t.ours(adopted)
	}
	return adopted, err
}

// findOwn looks for a contact with the user's id, and says errMapAgain if there is one. Whether the API finds contacts
// by external_id in an upsert is learnt here, and only where a refusal has just named the userId, so that there is such a
// contact and none can be made: the upsert carries nothing else, so whatever the API makes of it, it touches no other.
func (t *turn) findOwn(upsert bool) error {
	user := t.result.Change.UserID
	doubted := false
	if upsert && t.p.identity.upserts() {
		contact, err := t.call(freshmarketer.OpUpsertContact, func(ctx context.Context) (freshmarketer.Contact, error) {
			return t.p.cfg.Client.UpsertContact(ctx, "external_id", user, freshmarketer.ContactWrite{})
		})
		switch {
		case err == nil && contact.ExternalID == user:
			t.p.identity.learn(t.callCtx, true)
			t.p.identity.count(true)
			return t.assume(contact)
		case err != nil && !refusedBy(err):
			return err
		}
		doubted = true
	}
	found, err := t.lookup("external_id", user)
	if err != nil {
		return err
	}
	for _, hit := range found[:min(len(found), maxHolders)] {
		contact, err := t.get(hit.ID)
		if freshmarketer.KindOf(err) == freshmarketer.KindGone {
			continue
		}
		if err != nil {
			return err
		}
		if contact.ExternalID == user {
			if doubted { // there is one, and the upsert did not find it
				t.p.identity.learn(t.callCtx, false)
			}
			t.p.identity.count(true)
			return t.assume(contact)
		}
	}
	return nil
}

func (t *turn) lookup(field, value string) ([]freshmarketer.Contact, error) {
	var found []freshmarketer.Contact
	_, err := t.call(freshmarketer.OpLookupContacts, func(ctx context.Context) (freshmarketer.Contact, error) {
		var err error
		found, err = t.p.cfg.Client.LookupContacts(ctx, field, value)
		return freshmarketer.Contact{}, err
	})
	return found, err
}

// claim keeps a contact for this lane until its turn ends, so that two users with one address do not both adopt it.
func (t *turn) claim(id string) bool {
	if !t.p.identity.claim(id, t.lane.user) {
		return false
	}
	t.claimed = append(t.claimed, id)
	return true
}

func (t *turn) releaseClaims() {
	for _, id := range t.claimed {
		t.p.identity.release(id, t.lane.user)
	}
	t.claimed = nil
}

// ours says whether an answered contact is (still) the user's. If it has another user's id, whoever gave it that has
// taken it away from ours: the id is forgotten and the contact found or made anew.
func (t *turn) ours(c freshmarketer.Contact) error {
	if user := t.result.Change.UserID; c.ExternalID == "" || user == "" || c.ExternalID == user {
		return nil
	}
	if t.lane.record.Contested() {
		return errAliased
	}
	t.p.log.Info("a contact has another external_id now, it is no longer the user's", zap.String("lane", t.lane.user), zap.String("contact", c.ID))
	return &freshmarketer.Error{Op: freshmarketer.OpUpdateContact, Kind: freshmarketer.KindGone, Status: 200, Text: "the contact has another external_id now"}
}

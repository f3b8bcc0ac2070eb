package worker

import (
	"errors"
	"fmt"
	"slices"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// An alias call says that two userIds are one person: the contact of the previousId becomes that of the userId. It is two
// entries. That of the previousId only notes, in its lane, to whom its contact may belong from then on. That of the userId
// waits until the first has had its turn, so that the contact is there if it ever will be, and then gives it the new
// external_id. Nothing is committed in two records at once: whether it came off stands in the record of the userId, where
// whatever comes later for the previousId looks, see heirs.go.

// errAliased says that an alias call gave the contact to another userId.
var errAliased = errors.New("the contact belongs to the userId of an alias call")

// aliasIn is the index of the first alias call that is to be heard, or of the first half about a previousId; -1 without one.
func aliasIn(calls []call, half segment.Type, o mapping.Options) int {
	return slices.IndexFunc(calls, func(c call) bool { return c.mapped() && c.received.Type == half && o.Aliases })
}

// judgeAlias says why an alias call does nothing, as far as the record of its userId tells; "" if that does not tell.
func (c *call) judgeAlias(record mapping.Record) mapping.Reason {
	user, previous := c.event.UserID, c.event.PreviousID
	switch {
	case record.Suppressed != 0:
		return mapping.ReasonSuppressed
	case c.event.Disabled:
		return mapping.ReasonIntegrationsDisabled
	case c.letter == nil && record.Knows(c.received.Source, c.received.MessageID, c.received.At):
		return mapping.ReasonDuplicate
	case user == "" || previous == "" || previous == user:
		return mapping.ReasonMissingPreviousID
	}
	return ""
}

// aliasVerdict is what becomes of an alias call that changes nothing in the account. The zero value: the contact is to be renamed.
type aliasVerdict struct {
	reason   mapping.Reason // why it is discarded
	needless bool           // the contact is the userId's already
	aside    string         // why it becomes a dead letter
}

// offers says whether the half of the call that is about the previousId, whose record old is, offered its contact to the userId. A
// letter's did, however long ago that was.
func (c *call) offers(old mapping.Record, self string) bool {
	return old.Marked || old.OfferedBy(self, c.received.Source, c.received.MessageID) || c.letter != nil && old.Offered(self)
}

// judgeBoth goes on with the record of the previousId, after its half of the call. joined is the userId's own record if the two are
// one; self is its token, and heir that of the user to whom an alias call gave the contact of the previousId.
func (c *call) judgeBoth(record, joined, old mapping.Record, self, heir string) aliasVerdict {
	switch {
	case old.ContactID == "" || !c.offers(old, self):
		return aliasVerdict{reason: mapping.ReasonUnknownPrevious}
	case record.ContactID == old.ContactID && !record.Contested(): // else it was given away, and may come back now
		return aliasVerdict{needless: true}
	case heir != "" && heir != self:
		return aliasVerdict{reason: mapping.ReasonUnknownPrevious}
	case len(joined.Previous) > mapping.MaxPrevious:
		return aliasVerdict{aside: ReasonRecordTooLarge}
	}
	return aliasVerdict{}
}

// apart is the record of a user whose contact and that of a previous id are two: two people until somebody merges them, whatever an
// earlier alias call said.
func apart(record mapping.Record, token string) mapping.Record {
	record.Part(token)
	return record
}

// cutAtPrevious has the half of an alias call that is about the previousId alone in its head: what comes later waits for the other half,
// and with what comes before it would be set aside.
func (t *turn) cutAtPrevious() {
	i := aliasIn(t.calls, segment.Previous, t.p.cfg.Mapping)
	if i < 0 {
		return
	}
	at := slices.IndexFunc(t.items, func(it queue.Item) bool { return it.Position == t.calls[i].item })
	if i == 0 {
		i, at = 1, at+1
	}
	t.calls, t.items = t.calls[:i], t.items[:at]
}

// aliases says whether the head begins with an alias call. One further back ends the head before it.
func (t *turn) aliases() bool {
	i := aliasIn(t.calls, segment.Alias, t.p.cfg.Mapping)
	if i < 0 {
		return false
	}
	at := slices.IndexFunc(t.items, func(it queue.Item) bool { return it.Position == t.calls[i].item })
	if i > 0 {
		t.calls, t.items = t.calls[:i], t.items[:at]
		return false
	}
	t.calls, t.items = t.calls[:1], t.items[:at+1]
	return true
}

// alias is the turn of an alias call. It returns false if the head is to be looked at anew.
func (t *turn) alias() (done bool, _ error) {
	c := &t.calls[0]
	record := t.lane.record.Clone()
	record.Remember(c.received.Source, c.received.MessageID, c.received.At)
	t.result = mapping.Result{Record: record, Change: mapping.Change{UserID: c.event.UserID}}
	discard := func(reason mapping.Reason) (bool, error) {
		c.outcome = mapping.Outcome{Reason: reason}
		return true, t.settle(record, nil, "")
	}
	if reason := c.judgeAlias(t.lane.record); reason != "" {
		return discard(reason)
	}
	previous := c.event.PreviousID
	token := t.p.store.User(segment.Received{UserID: previous}.Lane())
	old, err := t.p.remembered(t.callCtx, token)
	if err != nil {
		return false, err
	}
	c.outcome = mapping.Outcome{Delivered: true}
	if c.letter == nil && !old.Settled(c.received.Source, c.received.MessageID, c.received.At, c.position) {
		if t.await(0) {
			return true, nil
		}
		return true, t.settle(record, nil, ReasonExhausted) // its first half is in trouble for very long
	}
	heir, _, _, err := t.p.heir(t.callCtx, token, &old)
	if err != nil {
		return false, err
	}
	joined := record.Clone() // if the two are one
	joined.Inherit(old, t.lane.user, token)
	switch v := c.judgeBoth(record, joined, old, t.lane.user, heir); {
	case v.reason != "":
		return discard(v.reason)
	case v.needless:
		return true, t.settle(joined, nil, "")
	case v.aside != "":
		return true, t.settle(record, nil, v.aside)
	}
	t.more = max(t.more, 2) // to see whose the contact is, and to rename it
	if _, err := t.enter(); err != nil {
		return false, err
	}
	other, err := t.rename(old.ContactID, previous, record.ContactID)
	switch {
	case errors.Is(err, errRenamedGone):
		record = joined // nothing is to be made of the previousId any more
		return discard(mapping.ReasonUnknownPrevious)
	case errors.Is(err, errNoContact):
		return discard(mapping.ReasonUnknownPrevious)
	case err != nil:
		again, err := t.failed(err)
		t.leave()
		return !again, err
	case other != "":
		return true, t.both(apart(record, token), old.ContactID, other)
	}
	record.ForgetContact() // one that was known is gone, or another's
	return true, t.settle(record.TakeOver(old, t.lane.user, token), nil, "")
}

// errRenamedGone says that the contact to be renamed is not there any more.
var errRenamedGone = errors.New("the contact of the previousId is gone")

// rename gives the contact of a previous id the userId. own is the contact that the user is known to have, "" if none; other is
// one that is in the way; one that was given to another userId is not. errRenamedGone and errNoContact say that the contact to be
// renamed is gone, or somebody else's.
func (t *turn) rename(id, previous, own string) (other string, _ error) {
	user := t.result.Change.UserID
	contact, err := t.get(id)
	switch {
	case freshmarketer.KindOf(err) == freshmarketer.KindGone:
		return "", errRenamedGone
	case err != nil:
		return "", err
	case contact.ExternalID == user: // an earlier try did it
		return "", nil
	case contact.ExternalID != "" && contact.ExternalID != previous:
		return "", errNoContact
	}
	if own != "" && own != id {
		has, err := t.get(own)
		given := err == nil && has.ExternalID != "" && has.ExternalID != user
		if freshmarketer.KindOf(err) != freshmarketer.KindGone && !given {
			return own, err // with an error it does not count
		}
	}
	_, err = t.put(id, freshmarketer.ContactWrite{Fields: freshmarketer.Fields{"external_id": user}})
	switch {
	case freshmarketer.KindOf(err) == freshmarketer.KindGone:
		return "", errRenamedGone
	case !refusedBy(err):
		return "", err
	}
	found, lookupErr := t.lookup("external_id", user)
	if lookupErr != nil {
		return "", lookupErr
	}
	for _, hit := range found {
		if hit.ID != id {
			return hit.ID, nil
		}
	}
	return "", err
}

// both sets the call aside: two contacts are one person, and only people can merge them.
func (t *turn) both(record mapping.Record, previous, own string) error {
	return t.settle(record, &freshmarketer.Error{
		Op: freshmarketer.OpUpdateContact, Kind: freshmarketer.KindConflict, Text: fmt.Sprintf("contact %s of the previousId and contact %s of the userId", previous, own),
	}, ReasonAliasConflict)
}

package worker

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
)

// guess is a contact that the index names for an unknown user. It is never believed as it is:
//
//   - in a bulk it goes only after the index was brought up to date and still says the same (see backfill.check and claim),
//   - in a call of its own only after the contact was read,
//   - and no record remembers it before one of them has worked.
type guess struct {
	contact int64
	adopt   bool   // it has no userId; otherwise it has the user's
	address digest // its address as the index has it
}

func (g *guess) id() string { return strconv.FormatInt(g.contact, 10) }

// guessable says whether an index may help: nothing is known of the user, and nothing has gone wrong yet.
func (t *turn) guessable() bool {
	l := t.lane
	if l.record.ContactID != "" && l.guess == nil || t.result.Change.UserID == "" || l.searched || t.isAlone() || l.trouble != nil || l.limit > 0 || !l.doubted.IsZero() {
		return false
	}
	for _, c := range t.calls {
		if c.letter != nil {
			return false
		}
	}
	return true
}

// guess asks the index.
func (t *turn) guess(index *contactIndex, h hashes) {
	l, email := t.lane, h.email(t.result.Change.Email)
	user := h.lane(l.user)
	e, ok := index.lookup(user, email)
	if !ok || e.external != user && e.external != (digest{}) {
		l.searched = true // the account is to be asked
		return
	}
	l.guess = &guess{contact: e.id, adopt: e.external == (digest{}), address: e.email}
	if !l.guess.adopt { // mapped as for a known contact
		l.record.ForgetContact()
		l.record.ContactID = l.guess.id()
	}
}

// unguess forgets what the index said, and asks the account instead.
func (l *lane) unguess() {
	if l.guess == nil {
		return
	}
	if !l.guess.adopt {
		l.record.ForgetContact()
	}
	l.guess, l.searched = nil, true
}

// contact is the id of the user's contact, be it a guess; "" if there is none.
func (l *lane) contact() string {
	if l.guess != nil {
		return l.guess.id()
	}
	return l.record.ContactID
}

// rowWrite is what a bulk carries of the change.
func (t *turn) rowWrite() freshmarketer.ContactWrite {
	w := write(t.result.Change)
	if t.sameEmail() {
		delete(w.Fields, "email") // it has that one
	}
	if g := t.lane.guess; g != nil && g.adopt {
		w.Fields["external_id"] = t.result.Change.UserID
	}
	return w
}

// sameEmail says whether the contact that is guessed has the change's address.
func (t *turn) sameEmail() bool {
	g := t.lane.guess
	return g != nil && g.address != (digest{}) && g.address == t.p.backfill.hashes.email(t.result.Change.Email)
}

// rowFields are the fields of the change that a bulk carries.
func (t *turn) rowFields() []mapping.FieldChange {
	fields := t.result.Change.Fields
	if !t.sameEmail() {
		return fields
	}
	kept := make([]mapping.FieldChange, 0, len(fields))
	for _, f := range fields {
		if f.Name != "email" {
			kept = append(kept, f)
		}
	}
	return kept
}

// confirm reads the contact that was guessed. If it is the user's, or nobody's with the user's address, the change is made
// for it; otherwise as if there had been no guess.
func (t *turn) confirm(w freshmarketer.ContactWrite) (freshmarketer.Contact, error) {
	g, user := t.lane.guess, t.result.Change.UserID
	none := freshmarketer.Contact{}
	if !t.claim(g.id()) {
		t.lane.unguess()
		return none, errMapAgain
	}
	contact, err := t.get(g.id())
	switch {
	case freshmarketer.KindOf(err) == freshmarketer.KindGone:
		t.lane.unguess()
		return none, errMapAgain
	case err != nil:
		return none, err
	}
	adopt := contact.ExternalID == "" && g.adopt && strings.EqualFold(contact.Email, t.result.Change.Email)
	t.lane.unguess()
	switch {
	case contact.ExternalID == user:
		t.p.identity.count(true)
		return none, t.assume(contact)
	case adopt:
		return t.adopt(contact, w)
	}
	return none, errMapAgain // it has become somebody else's
}

// settleGuess adopts or confirms the contact that was guessed, and changes nothing else.
func (t *turn) settleGuess() error {
	defer t.releaseClaims()
	only := freshmarketer.ContactWrite{Fields: freshmarketer.Fields{}, Custom: freshmarketer.Fields{}}
	contact, err := t.confirm(only)
	if err == nil {
		err = t.assume(contact)
	}
	return err
}

// verified leaves of a bulk's changes those that rest on no guess, or on one that is still right. It may make calls of the
// pass. The other lanes are given back.
func (b *bulks) verified(waitCtx, callCtx context.Context, pass *pass, turns []*turn) []*turn {
	var guessed []*turn
	for _, t := range turns {
		if t.lane.guess != nil {
			guessed = append(guessed, t)
		}
	}
	if len(guessed) == 0 {
		return turns
	}
	backfill := b.part.pool.backfill
	var stale map[*turn]bool
	err := backfill.check(waitCtx, callCtx, pass)
	if err == nil {
		stale, err = backfill.claim(callCtx, pass, guessed)
	}
	if err = noRoom(err); errors.As(err, new(giveUp)) {
		_ = backfill.failing(waitCtx, callCtx, err) // which has it ended
	}
	return slices.DeleteFunc(turns, func(t *turn) bool {
		switch g := t.lane.guess; {
		case g == nil:
			return false
		case err != nil: // there is nothing wrong with the guess
			b.part.retryLater(t.lane, time.Second)
		case stale[t] || g.adopt && !t.claim(g.id()):
			t.lane.unguess()
			b.part.backlog.giveBack(t.lane)
		default:
			return false
		}
		return true
	})
}

// checks is how many calls it is likely to take before the changes that wait can go.
func (b *bulks) checks() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.ContainsFunc(b.waiting, func(t *turn) bool { return t.lane.guess != nil }) {
		return b.part.pool.backfill.wanted()
	}
	return 0
}

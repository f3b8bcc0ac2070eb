package worker

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// A delete call erases its user: the contact, and what we know. It is an entry of the user's lane like any other, so it takes
// effect after all that came before, and what of that still waits need not be sent. What stays is a record with nothing in it
// but that the user is suppressed; it is under the keyed hash of the userId, which is all that tells who it was.

// SourceOperator is the source of delete calls that `freshrelay forget` makes. No configured source can be called so.
const SourceOperator = "(operator)"

// Deletion says what erasing does.
type Deletion struct {
	// Webhooks lets delete calls of webhooks erase users; operators always may.
	Webhooks bool
	// RecycleBin moves contacts to the account's recycle bin instead of deleting them for good.
	RecycleBin bool
}

// undo in a delete call of an operator lets an erased user come again.
const undoKey = "undo"

// errSuppressed says that a user was erased.
var errSuppressed = errors.New("the user was erased")

// DeleteActivities is the entry that erases a user's letters of track and page calls, to go with a delete call.
func DeleteActivities(userID, messageID string, now time.Time) queue.Entry {
	e := DeleteCall(userID, messageID+segment.ActivitiesHalf, false, now)
	e.Activity, e.Erases = true, true
	return e
}

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

// DeleteCall is the entry that erases a user, or with undo lets an erased one come again.
func DeleteCall(userID, messageID string, undo bool, now time.Time) queue.Entry {
	members := []segment.Member{
		{Key: "type", Raw: segment.Quote("delete")}, {Key: "userId", Raw: segment.Quote(userID)}, {Key: "messageId", Raw: segment.Quote(messageID)},
	}
	if undo {
		members = append(members, segment.Member{Key: undoKey, Raw: []byte("true")})
	}
	r := segment.Received{
		Source: SourceOperator, Surface: segment.SurfaceWebhook, At: now.UTC(), Type: segment.Delete, MessageID: messageID, UserID: userID, Body: segment.Join(members),
	}
	return queue.Entry{UserID: r.Lane(), Data: r.Encode()}
}

// undoes says whether a delete call lets its user come again.
func (c *call) undoes() bool {
	o, err := segment.ParseObject(c.received.Body)
	return err == nil && c.received.Source == SourceOperator && string(o.Get(undoKey)) == "true"
}

// hears says whether the call is one that changes whether its user is known, and is to be heard.
func (d Deletion) hears(c *call) bool {
	return c.mapped() && c.received.Type == segment.Delete && !c.event.Disabled && (c.event.UserID != "" || c.heir() != "" || c.named() != "") &&
		(c.received.Source == SourceOperator || d.Webhooks)
}

// in is the index of the first such call, -1 without one.
func (d Deletion) in(calls []call) int {
	return slices.IndexFunc(calls, func(c call) bool { return d.hears(&c) })
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

// eraseAliases has the dead letters of alias calls given up that name the user as their previousId. They are other users', perhaps
// in the care of another process, so each is given up in its own lane.
func (t *turn) eraseAliases() error {
	ledger, err := t.p.store.Ledger(t.callCtx)
	if err != nil {
		return err
	}
	some := false // to look for none takes as long as for many
	for c, n := range ledger.Counts {
		some = some || n > 0 && c.Outcome == queue.Dead && c.Type == string(segment.Alias)
	}
	if !some {
		return nil
	}
	var ids []string
	err = t.p.store.EachLetter(t.callCtx, queue.LetterFilter{Type: string(segment.Alias)}, func(l queue.Letter) error {
		whole, err := t.p.store.Letter(t.callCtx, l.ID)
		if errors.Is(err, queue.ErrNoLetter) {
			return nil // settled meanwhile
		}
		if err != nil {
			return err
		}
		received, err := segment.Decode(whole.Event)
		if err != nil || l.User == t.lane.user {
			return nil //nolint:nilerr // it names nobody; the own letters go in this settlement
		}
		if previous := received.PreviousID(); previous != "" && t.p.store.User(segment.Received{UserID: previous}.Lane()) == t.lane.user {
			ids = append(ids, l.ID)
		}
		return nil
	})
	if err != nil || len(ids) == 0 {
		return err
	}
	return t.p.store.Command(t.callCtx, ids, queue.Order{Discard: string(mapping.ReasonErased)})
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

// collectLetters sets erased to the user's dead letters that count, but for those that the turn itself is about. If they are too
// many for one commit, all but the last of them are erased at once.
func (t *turn) collectLetters() error {
	for {
		letters, more, err := t.someLetters()
		if t.erased = letters; err != nil || !more {
			return err
		}
		record, tally := t.lane.record.Clone(), queue.Tally{}
		gone := t.countErased(&record, tally)
		if err := t.keep(record, tally, gone); err != nil {
			return err
		}
		t.lane.letters = gone
		if err := t.load(); err != nil {
			return err
		}
	}
}

// countErased counts the erased letters out, and returns their ids.
func (t *turn) countErased(record *mapping.Record, tally queue.Tally) (gone []string) {
	for _, l := range t.erased {
		tally[queue.Count{Type: l.Type, Outcome: queue.Dead, Reason: l.Reason}]--
		tally[queue.Count{Type: l.Type, Outcome: queue.Discarded, Reason: string(mapping.ReasonErased)}]++
		record.Gone, gone = append(record.Gone, l.Position), append(gone, l.ID)
	}
	return gone
}

// someLetters are the letters of collectLetters, or the first of them if there are more than one commit takes.
func (t *turn) someLetters() (letters []queue.Letter, more bool, _ error) {
	q := queue.LetterQuery{LetterFilter: queue.LetterFilter{User: t.lane.user}, Limit: maxMerge}
	for {
		page, err := t.p.store.Letters(t.callCtx, q)
		if err != nil {
			return nil, false, err
		}
		for _, l := range page.Letters {
			own := slices.ContainsFunc(t.calls, func(c call) bool { return c.position == l.Position && (c.letter != nil || c.tried) })
			if own || l.Activity != t.part.backlog.activities || l.Position > t.lane.record.Pos || slices.Contains(t.lane.buried, l.Position) {
				continue
			}
			if meant, err := t.meant(l); err != nil {
				return nil, false, err
			} else if meant {
				letters = append(letters, l)
			}
		}
		if q.After = page.Next; q.After == "" || len(letters) > maxMerge {
			return letters, q.After != "", nil
		}
	}
}

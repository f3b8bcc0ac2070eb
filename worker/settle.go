package worker

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
)

// fate is what became of one call.
type fate struct{ outcome, reason string }

func (c call) fate(setAside string) fate {
	switch {
	case c.imported != nil:
		return fate{queue.Dead, c.imported.Reason}
	case c.order.Discard != "":
		return fate{queue.Discarded, c.order.Discard}
	case c.unsent && c.letter != nil:
		return fate{queue.Dead, c.letter.Reason} // as it was
	case c.unsent:
		return fate{queue.Discarded, ReasonNotLive}
	case c.broken != nil:
		return fate{queue.Dead, ReasonUnreadable}
	case !c.outcome.Delivered:
		return fate{queue.Discarded, string(c.outcome.Reason)}
	case c.aside != "":
		return fate{queue.Dead, c.aside}
	case setAside != "":
		return fate{queue.Dead, setAside}
	}
	return fate{queue.Delivered, ""}
}

// settle ends the turn: dead letters are stored, then record and counters are committed, and then the lane goes on. With
// setAside, the calls that would have been delivered become dead letters of that reason; failure says why.
func (t *turn) settle(record mapping.Record, failure *freshmarketer.Error, setAside string) error {
	tally := queue.Tally{}
	record.Gone = nil
	if t.lane.guess != nil { // nothing has confirmed it
		record.ForgetContact()
	}
	var gone []string
	late := false // calls of somebody who was erased
	for i := range t.calls {
		c := &t.calls[i]
		f, err := t.putAside(c, setAside, failure)
		if err != nil {
			return err
		}
		kind := string(c.received.Type)
		if c.imported != nil {
			kind = c.imported.Type
		}
		if c.letter != nil {
			kind = c.letter.Type
			c.countForJob(tally, f)
			tally[queue.Count{Type: kind, Outcome: queue.Dead, Reason: c.letter.Reason}]--
			if f.outcome != queue.Dead {
				record.Gone = append(record.Gone, c.letter.Position)
				gone = append(gone, c.letter.ID)
			}
		} else if f.outcome != queue.Dead && (c.tried || c.item == c.position && slices.Contains(t.lane.buried, c.position)) {
			// An earlier try set it aside and got no further than storing the letter.
			record.Gone = append(record.Gone, c.position)
			gone = append(gone, letterID(t.lane.user, c.position))
		}
		tally[queue.Count{Type: kind, Outcome: f.outcome, Reason: f.reason}]++
		late = late || f.reason == string(mapping.ReasonSuppressed)
	}
	gone = append(gone, t.countErased(&record, tally)...)
	positions := make([]uint64, len(t.items))
	for i, it := range t.items {
		positions[i] = it.Position
	}
	if t.erasing == nil && (late || record.Suppressed != 0) {
		if err := t.part.log.EraseLate(t.callCtx, positions[len(positions)-1]); err != nil {
			return err
		}
	}
	record.Pos = max(record.Pos, positions[len(positions)-1])
	data, err := record.Encode()
	if err != nil {
		return fmt.Errorf("encoding a record: %w", err)
	}
	if len(data) > queue.MaxRecord && setAside != ReasonRecordTooLarge {
		// No try would make it smaller. What the change did may be done; without being remembered it counts as not done.
		return t.settle(t.lane.record.Clone(), failure, ReasonRecordTooLarge)
	}
	t.part.log.Commit(&queue.Settlement{
		User: t.lane.user, Record: data, Rev: t.lane.rev, Tally: tally, Positions: positions, Gone: gone,
		Done: func(rev uint64, err error) { t.committed(record, rev, gone, setAside, err) },
	})
	return nil
}

// putAside stores the call's dead letter, if it becomes one, and says what becomes of the call.
func (t *turn) putAside(c *call, setAside string, failure *freshmarketer.Error) (fate, error) {
	f := c.fate(setAside)
	if f.outcome != queue.Dead || c.unsent {
		return f, nil
	}
	err := t.bury(*c, f.reason, failure)
	if c.letter != nil && errors.Is(err, queue.ErrFull) {
		// There is no room for a second copy, and none will be if all letters that are replayed wait for it.
		t.p.log.Warn("a dead letter that failed again stays as it was", zap.String("letter", c.letter.ID), zap.Error(err))
		c.unsent = true
		return c.fate(setAside), nil
	}
	return f, err
}

// bury stores one dead letter. It comes before the commit that counts it, so that no event is ever without a place.
func (t *turn) bury(c call, reason string, failure *freshmarketer.Error) error {
	now := time.Now().UTC()
	l := queue.Letter{
		User: t.lane.user, Position: c.position, MessageID: c.received.MessageID, Type: string(c.received.Type), Source: c.received.Source,
		Reason: reason, Attempts: t.lane.attempts() + 1, FirstTry: now, LastTry: now, Event: c.stored,
	}
	if t.lane.trouble != nil {
		l.FirstTry = t.lane.trouble.since.UTC()
	}
	if c.letter != nil {
		l.FirstTry, l.Attempts = c.letter.FirstTry, l.Attempts+c.letter.Attempts
	}
	if failure != nil {
		l.Status, l.Field, l.Error = failure.Status, failure.Field, failure.Error()
	}
	if c.broken != nil {
		l.Error = c.broken.Error()
	}
	l.Edits, l.Job = c.edits, c.order.Job
	if c.imported != nil {
		l = *c.imported
		l.User, l.Position = t.lane.user, c.position
	}
	if c.letter != nil || c.imported != nil {
		l.Command = c.item
	}
	again := c.letter != nil || slices.Contains(t.lane.buried, c.position)
	if !again {
		t.lane.buried = append(t.lane.buried, c.position) // first: a letter that could not be stored may be there all the same
	}
	if err := t.part.log.PutLetter(t.callCtx, l, again); err != nil {
		return err
	}
	l.ID = letterID(l.User, l.Position)
	t.part.again.watch(l)
	t.p.log.Warn("set aside as a dead letter", zap.String("letter", l.ID), zap.String("reason", reason), zap.Int("status", l.Status), zap.Int("attempts", l.Attempts))
	return nil
}

// committed is called by the committer once the settlement is on disk.
func (t *turn) committed(record mapping.Record, rev uint64, gone []string, setAside string, err error) {
	if err != nil {
		return // the partition has failed or closed: what is not settled is read again after the next start
	}
	l := t.lane
	for _, contact := range []string{l.record.ContactID, record.ContactID} { // before the user's activities go on; erased: it has none now
		t.p.events.changed(contact)
	}
	l.record, l.rev, l.letters = record, rev, gone
	attempts := l.attempts()
	l.settled(setAside == "" && !t.result.Change.Empty())
	if t.account() {
		t.p.accounts.know(l.user, record.ContactID)
	}
	now := time.Now()
	for i := range t.calls {
		t.tell(&t.calls[i], setAside, record.ContactID, attempts, now)
	}
	t.count(setAside)
	t.part.backlog.done(l, len(t.items))
	t.part.backlog.giveBack(l)
}

// tell writes the call's journal line and observes it.
func (t *turn) tell(c *call, setAside, contactID string, attempts int, now time.Time) {
	f := c.fate(setAside)
	t.p.cfg.Metrics.EventSettled(string(c.received.Type), f.outcome, f.reason, 1)
	if f.outcome == queue.Delivered && c.letter == nil {
		age := time.Duration(-1)
		if !c.event.Timestamp.IsZero() {
			age = now.Sub(c.event.Timestamp)
		}
		t.p.cfg.Metrics.Delivered(now.Sub(c.received.At), age)
	}
	e := t.line(c, f, attempts, now)
	if f.outcome != queue.Discarded && c.imported == nil && !c.unsent {
		e.Calls, e.ContactID = t.api, t.contactID(contactID)
	}
	t.p.unmapped.add(c.received.Source, c.outcome, c.received.At)
	t.note(e)
}

// line is what the journal says about a call, but for what was done.
func (t *turn) line(c *call, f fate, attempts int, now time.Time) queue.JournalEntry {
	e := queue.JournalEntry{
		At: now.UTC(), User: t.lane.user, MessageID: c.received.MessageID, Type: string(c.received.Type), Source: c.received.Source,
		Position: c.position, Outcome: f.outcome, Reason: f.reason, MergedWith: len(t.calls) - 1, Received: c.received.At,
		Attempts: attempts, Job: c.order.Job, Replayed: c.letter != nil,
	}
	for _, edit := range c.edits {
		e.Edited = append(e.Edited, edit.Path)
	}
	e.Fields, e.LeftOut = c.journalFields()
	return e
}

func (t *turn) note(e queue.JournalEntry) {
	if err := t.part.log.Note(e); err != nil {
		t.p.log.Warn("the journal could not be written", zap.Error(err))
	}
}

// count adds what the change did to the metrics.
func (t *turn) count(setAside string) {
	t.p.effort.add(0, len(t.calls))
	m := t.p.cfg.Metrics
	m.UnmappedTraits(t.result.Unmapped())
	m.HeldStale(t.result.Held())
	if setAside == "" {
		m.FieldsCleared(t.result.Emptied())
	}
}

package worker

import (
	"errors"
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// Reasons of discards that operators and their rules decide, not the mapping.
const (
	ReasonByOperator = "by_operator" // a dead letter that somebody gave up, with a note
	ReasonExpired    = "expired"     // a dead letter older than dead.retention
)

// resultHeld begins the results of a replay that count a field held back because the contact has a newer value.
const resultHeld = "held:"

// mapped says that the call takes part in the change.
func (c *call) mapped() bool { return c.broken == nil && c.imported == nil && c.order.Discard == "" }

// openEntry decodes an entry of the log: an event, or a letter that comes back into the store.
func (t *turn) openEntry(it queue.Item, c *call) (wanted bool, err error) {
	l, imported, err := queue.DecodeImport(it.Data)
	if !imported {
		c.decode()
		return true, nil
	}
	if err != nil { // nobody but Import writes them
		c.broken = err
		return true, nil
	}
	if l.Position != 0 && l.Position < it.Position { // else from a log that is not this one's past
		c.position = l.Position
	}
	there, err := t.p.store.Letter(t.callCtx, letterID(t.lane.user, c.position))
	twice := slices.ContainsFunc(t.calls, func(o call) bool { return o.imported != nil && o.position == c.position })
	switch {
	case twice, err == nil && there.Command != it.Position:
		// It never left, or was imported before. As an entry it was accepted, so it must end as something.
		c.received.Type, c.received.Source, c.received.MessageID = segment.Type(l.Type), l.Source, l.MessageID
		c.order.Discard = string(mapping.ReasonDuplicate)
		return true, nil
	case err != nil && !errors.Is(err, queue.ErrNoLetter):
		return false, err
	}
	c.imported, c.stored, c.edits, c.tried = &l, l.Event, l.Edits, err == nil
	c.received.Type, c.received.Source, c.received.MessageID = segment.Type(l.Type), l.Source, l.MessageID
	return true, nil
}

// openLetter fetches the letter that a command is about. It is not wanted if there is nothing left to do about it.
func (t *turn) openLetter(it queue.Item, c *call) (wanted bool, err error) {
	if it.Letter > t.lane.record.Pos {
		return false, nil // it does not count yet: its event still waits in this lane
	}
	letter, err := t.p.store.Letter(t.callCtx, letterID(t.lane.user, it.Letter))
	if errors.Is(err, queue.ErrNoLetter) || t.repeated(it.Letter) {
		return false, nil // settled before: a second command does nothing
	}
	if err != nil {
		return false, err
	}
	if it.Order.Job != 0 && letter.Job == it.Order.Job && letter.Command != it.Position {
		return false, nil // it has failed in this very job: the job asks twice after a crash
	}
	failpoint.Hit(failpoint.ReplayTaken)
	c.letter, c.position, c.stored, c.order = &letter, letter.Position, letter.Event, it.Order
	c.edits = mergeEdits(letter.Edits, it.Order.Edits)
	c.decode()
	return true, nil
}

// decode reads the stored bytes, as the edits change them.
func (c *call) decode() {
	if c.received, c.broken = segment.Decode(c.stored); c.broken != nil {
		return
	}
	for _, e := range c.edits {
		body, err := segment.Edit(c.received.Body, e.Path, e.Value)
		if err != nil {
			c.broken = err
			return
		}
		c.received.Body = body
	}
	c.event, c.broken = c.received.Event()
}

// mergeEdits puts newer edits behind older ones; of those at one path the newest stays.
func mergeEdits(older, newer []queue.Edit) []queue.Edit {
	all := slices.DeleteFunc(slices.Clone(older), func(o queue.Edit) bool {
		return slices.ContainsFunc(newer, func(n queue.Edit) bool { return n.Path == o.Path })
	})
	return append(all, newer...)
}

// repeated says whether an earlier command of this very turn is about the same letter.
func (t *turn) repeated(position uint64) bool {
	return slices.ContainsFunc(t.calls, func(c call) bool { return c.letter != nil && c.letter.Position == position })
}

// countForJob counts what becomes of a letter under its job, in the settlement's own batch: exactly once, whatever crashes.
func (c *call) countForJob(tally queue.Tally, f fate) {
	if c.order.Job == 0 {
		return
	}
	result := f.outcome
	if f.reason != "" {
		result += ":" + f.reason
	}
	tally[queue.JobCount(c.order.Job, result)]++
	for _, field := range c.outcome.Fields {
		if field.Action == mapping.ActionHeld {
			tally[queue.JobCount(c.order.Job, resultHeld+field.Name)]++
		}
	}
}

// class is for whom the change's calls are: letters alone stand behind live events when calls are short.
func (t *turn) class() class {
	if slices.ContainsFunc(t.items, func(it queue.Item) bool { return it.Kind != queue.KindReplay }) {
		return classContact
	}
	return classReplay
}

// journalCall is an API call as the journal tells of it. The texts of the API are redacted by the client.
func journalCall(op string, began time.Time, status int, err error) queue.JournalCall {
	c := queue.JournalCall{At: began.UTC(), Operation: op, Status: status, Millis: time.Since(began).Milliseconds()}
	if api := new(freshmarketer.Error); errors.As(err, &api) {
		c.Error = string(api.Kind)
		if api.Text != "" {
			c.Error += ": " + api.Text
		}
	}
	return c
}

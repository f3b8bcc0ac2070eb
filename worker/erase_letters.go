package worker

import (
	"errors"
	"slices"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

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

// meant says whether a letter is one of those that the turn erases.
func (t *turn) meant(l queue.Letter) (bool, error) {
	if t.naming == "" || l.Type != string(segment.Alias) {
		return t.naming == "", nil
	}
	return t.names(l, t.naming)
}

// names says whether the letter of an alias call names a user, by its token, as the previousId.
func (t *turn) names(l queue.Letter, user string) (bool, error) {
	whole, err := t.p.store.Letter(t.callCtx, l.ID)
	if errors.Is(err, queue.ErrNoLetter) {
		return false, nil // settled meanwhile
	}
	if err != nil {
		return false, err
	}
	c := call{stored: whole.Event, edits: whole.Edits}
	c.decode()
	for _, previous := range []string{c.received.PreviousID(), c.event.PreviousID} {
		if previous != "" && t.p.store.User(segment.Received{UserID: previous}.Lane()) == user {
			return true, nil
		}
	}
	return false, nil
}

// eraseAliases has the dead letters of alias calls given up that name the user as their previousId. They are other users', perhaps
// in the care of another process, so each is given up in its own lane; in whatever mode that lane waits, and though nothing of the
// alias call may stand in the user's record. What is no letter yet is for erasePrevious.
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
		if l.User == t.lane.user {
			return nil // the own letters go in this settlement
		}
		named, err := t.names(l, t.lane.user)
		if named {
			ids = append(ids, l.ID)
		}
		return err
	})
	if err != nil || len(ids) == 0 {
		return err
	}
	return t.p.store.Command(t.callCtx, ids, queue.Order{Discard: string(mapping.ReasonErased)})
}

package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Order says what a command does with its letter. The zero Order delivers the letter again.
type Order struct {
	// Job is the replay the command belongs to; 0 is none. What becomes of the letter is counted under it, once: a second
	// command of the same job for a letter that has failed again does nothing.
	Job uint64 `json:"j,omitempty"`
	// Discard settles the letter without delivering it, for this reason. "" delivers.
	Discard string `json:"d,omitempty"`
	// Edits change the event before it is mapped. The letter's own bytes stay; if it fails again the edits are kept beside them.
	Edits []Edit `json:"e,omitempty"`
}

// Edit is one change of an event: a dotted path, and the JSON value to put there. No value removes what is there.
type Edit struct {
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

// orderData is how a command with an order is stored in a pack.
type orderData struct {
	Letter uint64 `json:"l"`
	Order
}

// JobResults is what has become of a job's letters so far, by outcome and reason, as the owners of all partitions have committed it.
func (s *Store) JobResults(ctx context.Context, job uint64) (map[string]int64, error) {
	sum := map[string]int64{}
	for _, id := range s.logs() {
		data, rev, err := s.readState(ctx, s.names.counters(id))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if rev == 0 {
			continue
		}
		c, err := decodeCounters(data)
		if err != nil {
			return nil, err
		}
		for result, n := range JobResults(c.values(), job) {
			sum[result] += n
		}
	}
	return sum, nil
}

// Command puts one command per letter into the log, all with the same order; each takes its turn in its user's lane. A letter
// that is not there any more is passed over when its turn comes. Errors: ErrNoLetter for an id that is none, and those of Publish.
func (s *Store) Command(ctx context.Context, ids []string, o Order) error {
	items, err := s.addressed(ctx, ids)
	if err != nil {
		return err
	}
	plain := o.Job == 0 && o.Discard == "" && len(o.Edits) == 0
	for i := range items {
		if plain {
			continue
		}
		data, err := json.Marshal(orderData{Letter: items[i].letter, Order: o})
		if err != nil {
			return fmt.Errorf("encoding a command: %w", err)
		}
		if len(data) > maxEntryBytes {
			return fmt.Errorf("%w: a command of %d bytes", ErrTooLarge, len(data))
		}
		items[i].kind, items[i].data = kindOrder, data
	}
	return s.publish(ctx, items)
}

// addressed makes a command without an order for each letter, for the log that the letter's event was in.
func (s *Store) addressed(ctx context.Context, ids []string) ([]packed, error) {
	items := make([]packed, len(ids))
	for i, id := range ids {
		digest, position, err := parseLetterID(id)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoLetter, err)
		}
		letter, err := s.Letter(ctx, id)
		if err != nil && !errors.Is(err, ErrNoLetter) {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		items[i] = packed{kind: KindReplay, digest: digest, activity: letter.Activity, letter: position}
	}
	return items, nil
}

// decodeOrder completes a command that was stored with an order.
func (it *Item) decodeOrder(data []byte) error {
	var d orderData
	if err := json.Unmarshal(data, &d); err != nil {
		return fmt.Errorf("%w: an unreadable command", errPack)
	}
	it.Kind, it.Letter, it.Order = KindReplay, d.Letter, d.Order
	return nil
}

// importMark begins the data of an entry that is a letter and not an event. No event begins so: it would be no JSON.
var importMark = []byte("letter\n") //nolint:gochecknoglobals // a constant that cannot be one

// importHead is the line between the mark and the event.
type importHead struct {
	storedLetter
	Edits []Edit `json:"edits,omitempty"`
}

// Import stores letters as entries of the log, like events: each counts as accepted, and becomes a dead letter again when its
// turn comes in the lane of l.User. A letter whose Position is 0 gets a new one. Errors: those of Publish, and ErrNoLetter for
// a letter whose User is no token.
func (s *Store) Import(ctx context.Context, letters []Letter) error {
	items := make([]packed, len(letters))
	for i, l := range letters {
		digest, _, err := parseLetterID(letterID(l.User, l.Position))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNoLetter, err)
		}
		head, err := json.Marshal(importHead{storedLetter: stored(l), Edits: l.Edits})
		if err != nil {
			return fmt.Errorf("encoding a letter: %w", err)
		}
		data := bytes.Join([][]byte{importMark, head, {'\n'}, l.Event}, nil)
		if len(data) > maxEntryBytes {
			return fmt.Errorf("%w: a letter of %d bytes", ErrTooLarge, len(data))
		}
		items[i] = packed{kind: KindEvent, digest: digest, activity: l.Activity, data: data}
	}
	return s.publish(ctx, items)
}

// DecodeImport reads an entry that Import stored. ok is false for an entry that is an event.
func DecodeImport(data []byte) (l Letter, ok bool, err error) {
	rest, ok := bytes.CutPrefix(data, importMark)
	if !ok {
		return Letter{}, false, nil
	}
	line, event, _ := bytes.Cut(rest, []byte{'\n'})
	var head importHead
	if err := json.Unmarshal(line, &head); err != nil {
		return Letter{}, true, fmt.Errorf("an imported letter's head is unreadable: %w", err)
	}
	l = head.letter()
	l.Edits, l.Event = head.Edits, event
	return l, true, nil
}

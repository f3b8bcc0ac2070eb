package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// JournalEntry says what became of one event. It names fields and traits but holds no values.
type JournalEntry struct {
	At         time.Time        `json:"at"`
	User       string           `json:"user"`
	MessageID  string           `json:"message_id"`
	Type       string           `json:"type"`
	Source     string           `json:"source"`
	Position   uint64           `json:"position"`
	Received   time.Time        `json:"received,omitzero"` // at our door
	Outcome    string           `json:"outcome"`           // delivered, discarded or dead
	Reason     string           `json:"reason,omitempty"`
	Attempts   int              `json:"attempts,omitempty"` // failed tries of the change before this outcome
	Job        uint64           `json:"job,omitempty"`      // the replay it belongs to
	Replayed   bool             `json:"replayed,omitempty"` // it was a dead letter
	Edited     []string         `json:"edited,omitempty"`   // paths that an operator had changed
	Fields     []JournalField   `json:"fields,omitempty"`
	LeftOut    []JournalLeftOut `json:"left_out,omitempty"`
	Calls      []JournalCall    `json:"calls,omitempty"`
	ContactID  string           `json:"contact_id,omitempty"`
	MergedWith int              `json:"merged_with,omitempty"` // other events that shared the same API calls
}

// JournalField is one contact field an event spoke about.
type JournalField struct {
	Field  string `json:"field"`
	Label  string `json:"label"`
	Trait  string `json:"trait"`
	Action string `json:"action"` // set, emptied, unchanged or held
}

// JournalLeftOut is one trait that did not reach a field.
type JournalLeftOut struct {
	Trait  string `json:"trait"`
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
}

// JournalCall is one API call made for an event.
type JournalCall struct {
	At        time.Time `json:"at,omitzero"` // when it began
	Operation string    `json:"operation"`
	Status    int       `json:"status"` // 0: no answer
	Millis    int64     `json:"millis"`
	Error     string    `json:"error,omitempty"` // redacted
}

// Note writes a line into the journal. Nothing waits for it: the journal explains, the ledger counts. It does nothing when the
// journal is switched off.
func (p *Partition) Note(e JournalEntry) error {
	if p.s.cfg.Journal.Off {
		return nil
	}
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encoding a journal line: %w", err)
	}
	if err := p.s.nc.Publish(p.s.names.journal(e.User), data); err != nil {
		return fmt.Errorf("writing a journal line: %w", err)
	}
	return nil
}

// JournalOff says that no lines are written.
func (s *Store) JournalOff() bool { return s.cfg.Journal.Off }

// JournalQuery asks what became of an event, or of all of a user.
type JournalQuery struct {
	MessageID string
	User      string    // token; with it only that user's lines are read
	Since     time.Time // zero: all there is
	Limit     int       // the newest so many; 0: 1,000
}

// maxJournalLines is the most lines an answer holds.
const maxJournalLines = 1000

// journalWindows are how far back a message id is looked for, one after the other: most look-ups are about what came just
// now, and a message id alone does not say where in the journal its lines are.
func journalWindows(now, since time.Time) []time.Time {
	var starts []time.Time
	for _, back := range []time.Duration{10 * time.Minute, 6 * time.Hour} {
		if start := now.Add(-back); start.After(since) {
			starts = append(starts, start)
		}
	}
	return append(starts, since)
}

// Journal finds the lines that a query asks for, oldest first. A user's lines are found by their subject. A message id without a
// user is looked for in the last minutes, then hours, then everywhere, and the first of these that has it is the answer.
func (s *Store) Journal(ctx context.Context, q JournalQuery) ([]JournalEntry, error) {
	if q.Limit <= 0 || q.Limit > maxJournalLines {
		q.Limit = maxJournalLines
	}
	if q.User != "" {
		if _, _, err := parseLetterID(letterID(q.User, 0)); err != nil {
			return nil, nil // a user nobody can be
		}
		return s.readJournal(ctx, q, q.Since)
	}
	for _, start := range journalWindows(time.Now(), q.Since) {
		found, err := s.readJournal(ctx, q, start)
		if err != nil || len(found) > 0 {
			return found, err
		}
	}
	return nil, nil
}

func (s *Store) readJournal(ctx context.Context, q JournalQuery, since time.Time) ([]JournalEntry, error) {
	var cfg jetstream.OrderedConsumerConfig
	if q.User != "" {
		cfg.FilterSubjects = []string{s.names.journal(q.User)}
	}
	if !since.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	id, err := json.Marshal(q.MessageID)
	if err != nil {
		return nil, fmt.Errorf("encoding a message id: %w", err)
	}
	var found []JournalEntry
	err = s.scan(ctx, "JOURNAL", cfg, func(msg jetstream.Msg) (bool, error) {
		if q.MessageID != "" && !bytes.Contains(msg.Data(), id) { // most lines need no decoding
			return true, nil
		}
		var e JournalEntry
		if err := json.Unmarshal(msg.Data(), &e); err != nil {
			return false, fmt.Errorf("a journal line is unreadable: %w", err)
		}
		if q.MessageID == "" || e.MessageID == q.MessageID {
			if found = append(found, e); len(found) > 2*q.Limit {
				found = append(found[:0], found[len(found)-q.Limit:]...)
			}
		}
		return true, nil
	})
	return found[max(0, len(found)-q.Limit):], err
}

// journalPoll is how often a tail looks for new lines.
const journalPoll = 200 * time.Millisecond

// JournalTail waits until the journal has lines behind the sequence after, or ctx ends, and returns up to limit of them with the
// sequence of the last. With after 0 it returns no lines and where the journal ends now.
func (s *Store) JournalTail(ctx context.Context, after uint64, limit int) ([]JournalEntry, uint64, error) {
	for {
		info, err := s.journal.Info(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil, after, nil
			}
			return nil, after, fmt.Errorf("asking for the state of JOURNAL: %w", err)
		}
		end := info.State.LastSeq
		switch {
		case after == 0:
			return nil, max(end, 1), nil
		case end < after: // the journal was made anew
			after = end
		case end > after:
			return s.journalAfter(ctx, after, limit)
		}
		timer := time.NewTimer(journalPoll)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, after, nil
		}
	}
}

func (s *Store) journalAfter(ctx context.Context, after uint64, limit int) ([]JournalEntry, uint64, error) {
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1}
	var lines []JournalEntry
	err := s.scan(ctx, "JOURNAL", cfg, func(msg jetstream.Msg) (bool, error) {
		meta, err := msg.Metadata()
		if err != nil {
			return false, fmt.Errorf("reading the journal: %w", err)
		}
		var e JournalEntry
		if err := json.Unmarshal(msg.Data(), &e); err != nil {
			return false, fmt.Errorf("a journal line is unreadable: %w", err)
		}
		lines, after = append(lines, e), meta.Sequence.Stream
		return len(lines) < limit, nil
	})
	return lines, after, err
}

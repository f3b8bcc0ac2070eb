package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
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
	// Planned are the operations of the API calls that would be made, of a call that waits for another mode.
	Planned []string `json:"planned,omitempty"`
	Note    string   `json:"note,omitempty"` // what is to be said besides of such a call
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

// A message id alone does not say where in the journal its lines are. Most look-ups are about what came just now, so the first
// step back is a short one; each is read in bounded time, however long the journal is.
const (
	firstBack = 20_000 // lines
	nextBack  = 100_000
)

// JournalBack looks for a message id in the newest lines, or in those before the sequence before, and says where to go on: 0 if
// nothing is left. Lines come oldest first.
func (s *Store) JournalBack(ctx context.Context, messageID string, since time.Time, before uint64) (found []JournalEntry, next uint64, err error) {
	info, err := s.journal.Info(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("asking for the state of JOURNAL: %w", err)
	}
	back, end := uint64(nextBack), before
	if end == 0 || end > info.State.LastSeq {
		back, end = firstBack, info.State.LastSeq+1
	}
	if end <= max(1, info.State.FirstSeq) || info.State.LastTime.Before(since) {
		return nil, 0, nil
	}
	start := max(1, info.State.FirstSeq)
	if end > start+back {
		start = end - back
		next = start
	}
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: start}
	found, first, err := s.readJournal(ctx, JournalQuery{MessageID: messageID, Limit: maxJournalLines}, cfg, end)
	if first.Before(since) {
		next = 0
		found = slices.DeleteFunc(found, func(e JournalEntry) bool { return e.At.Before(since) })
	}
	return found, next, err
}

// Journal finds the lines that a query asks for, oldest first. A user's lines are found by their subject. A message id without a
// user is looked for step by step, see JournalBack, and the first step that has it is the answer.
func (s *Store) Journal(ctx context.Context, q JournalQuery) ([]JournalEntry, error) {
	if q.Limit <= 0 || q.Limit > maxJournalLines {
		q.Limit = maxJournalLines
	}
	if q.User != "" {
		if _, _, err := parseLetterID(letterID(q.User, 0)); err != nil {
			return nil, nil // a user nobody can be
		}
		cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{s.names.journal(q.User)}}
		if !q.Since.IsZero() {
			cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &q.Since
		}
		found, _, err := s.readJournal(ctx, q, cfg, 0)
		return found, err
	}
	for next := uint64(0); ; {
		found, more, err := s.JournalBack(ctx, q.MessageID, q.Since, next)
		if err != nil || len(found) > 0 || more == 0 {
			return found[max(0, len(found)-q.Limit):], err
		}
		next = more
	}
}

// readJournal reads matching lines before the sequence end, 0: all there are; first is when the first line read was written.
func (s *Store) readJournal(ctx context.Context, q JournalQuery, cfg jetstream.OrderedConsumerConfig, end uint64) (found []JournalEntry, first time.Time, err error) {
	id, err := json.Marshal(q.MessageID)
	if err != nil {
		return nil, first, fmt.Errorf("encoding a message id: %w", err)
	}
	err = s.scan(ctx, s.journal, cfg, func(msg jetstream.Msg) (bool, error) {
		meta, err := msg.Metadata()
		if err != nil {
			return false, fmt.Errorf("reading the journal: %w", err)
		}
		if end > 0 && meta.Sequence.Stream >= end {
			return false, nil
		}
		if first.IsZero() {
			first = meta.Timestamp
		}
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
	return found[max(0, len(found)-q.Limit):], first, err
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
	err := s.scan(ctx, s.journal, cfg, func(msg jetstream.Msg) (bool, error) {
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

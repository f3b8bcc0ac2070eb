package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Note writes a line into the journal. Nothing waits for it: the journal explains, the ledger counts.
func (p *Partition) Note(e JournalEntry) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encoding a journal line: %w", err)
	}
	if err := p.s.nc.Publish(p.s.names.journal(e.User), data); err != nil {
		return fmt.Errorf("writing a journal line: %w", err)
	}
	return nil
}

// Journal finds the lines about a message id, oldest first, that were written at or after since.
func (s *Store) Journal(ctx context.Context, messageID string, since time.Time) ([]JournalEntry, error) {
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since}
	var found []JournalEntry
	err := s.scan(ctx, "JOURNAL", cfg, func(msg jetstream.Msg) (bool, error) {
		var e JournalEntry
		if err := json.Unmarshal(msg.Data(), &e); err != nil {
			return false, fmt.Errorf("a journal line is unreadable: %w", err)
		}
		if e.MessageID == messageID {
			found = append(found, e)
		}
		return true, nil
	})
	return found, err
}

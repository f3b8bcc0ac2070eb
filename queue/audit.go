package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// AuditEntry says what an operator did. It names no person but the operator: letters and users appear as their tokens.
type AuditEntry struct {
	At     time.Time `json:"at"`     // Audit fills it in
	Actor  string    `json:"actor"`  // who, as the command line says it
	Action string    `json:"action"` // replay, set, discard, forget, pause, resume, reveal, export, import, …
	Count  int       `json:"count"`  // of letters or users it was about
	Detail string    `json:"detail,omitempty"`
	Seq    uint64    `json:"seq"` // of the entry; reading goes on behind it
}

// Audit writes a line into the audit log and returns once it is on disk. It comes before what it tells of: what cannot be
// written down is not done. Error: ErrUnavailable.
func (s *Store) Audit(ctx context.Context, e AuditEntry) error {
	e.At, e.Seq = time.Now().UTC(), 0
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encoding an audit line: %w", err)
	}
	if _, err := s.write(ctx, "AUDIT", &nats.Msg{Subject: s.names.audit(), Data: data}); err != nil {
		return fmt.Errorf("%w: writing the audit log: %w", ErrUnavailable, err)
	}
	return nil
}

// AuditLog reads up to limit entries behind the sequence after, oldest first; with after 0 the newest ones.
func (s *Store) AuditLog(ctx context.Context, after uint64, limit int) ([]AuditEntry, error) {
	if after == 0 {
		last, err := s.audit.GetLastMsgForSubject(ctx, s.names.audit())
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		if last.Sequence > uint64(limit) {
			after = last.Sequence - uint64(limit)
		}
	}
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1}
	var list []AuditEntry
	err := s.scan(ctx, s.audit, cfg, func(msg jetstream.Msg) (bool, error) {
		meta, err := msg.Metadata()
		if err != nil {
			return false, fmt.Errorf("reading the audit log: %w", err)
		}
		var e AuditEntry
		if err := json.Unmarshal(msg.Data(), &e); err != nil {
			return false, fmt.Errorf("an audit line is unreadable: %w", err)
		}
		e.Seq = meta.Sequence.Stream
		list = append(list, e)
		return len(list) < limit, nil
	})
	return list, err
}

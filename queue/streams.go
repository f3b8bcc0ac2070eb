package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// openRounds is how often a start looks again that meets another process's first start, or servers without a leader.
const openRounds = 8

// openStreams finds or makes the streams. Several processes may be at it at once: one makes, the others find.
func (s *Store) openStreams(ctx context.Context) error {
	total, err := s.total()
	if err != nil {
		return err
	}
	for round := 1; ; round++ {
		err := s.tryStreams(ctx, total)
		raced := isConflict(err) || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) || errors.Is(err, ErrMismatch) ||
			unclear(err) && !errors.Is(err, ErrDrift) && !errors.Is(err, ErrPartitions)
		if err == nil || ctx.Err() != nil || s.cfg.External == nil || !raced || round == openRounds {
			return err
		}
		s.log.Info("the streams are not there yet, looking again", zap.Error(err))
		if err := pause(ctx, time.Duration(round)*200*time.Millisecond); err != nil {
			return err
		}
	}
}

// tryStreams makes the streams in an order that a crash can break at any place: EVENTS comes first and the identity last,
// so what is left is an empty EVENTS, which is recognised and completed.
func (s *Store) tryStreams(ctx context.Context, total int64) error {
	events, err := s.js.Stream(ctx, s.names.stream("EVENTS"))
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("looking for stream EVENTS: %w", err)
	}
	known, err := s.readIdentity(ctx)
	if err != nil {
		return err
	}
	if err := s.matchIdentity(ctx, events, known, total); err != nil {
		return err
	}
	for _, kind := range []string{"DEAD", "JOURNAL", "AUDIT"} {
		if _, err := s.ensureStream(ctx, s.streamConfig(kind, total, "")); err != nil {
			return fmt.Errorf("creating stream %s: %w", kind, mendCreate(err))
		}
	}
	if err := s.checkDrift(ctx, total); err != nil {
		return err
	}
	return s.bindStreams(ctx, total)
}

// checkDrift looks at streams of an external server, which anybody may have made or changed.
func (s *Store) checkDrift(ctx context.Context, total int64) error {
	if s.cfg.External == nil {
		return nil
	}
	var all error
	for _, kind := range streamKinds() {
		stream, err := s.js.Stream(ctx, s.names.stream(kind))
		if err != nil {
			return fmt.Errorf("opening stream %s: %w", kind, err)
		}
		all = errors.Join(all, s.streamDrift(stream, kind, total))
	}
	return all
}

// streamKinds are the streams of a store.
func streamKinds() []string { return []string{"EVENTS", "STATE", "DEAD", "JOURNAL", "AUDIT"} }

// streamDrift compares a stream with how it would be made.
func (s *Store) streamDrift(stream jetstream.Stream, kind string, total int64) error {
	got, want := stream.CachedInfo().Config, s.streamConfig(kind, total, "")
	if kind == "DEAD" && got.MaxMsgsPerSubject == 1 {
		want.MaxMsgsPerSubject = 1 // an earlier version made it, see takeCopies
	}
	// A limit there must be, or a full log takes the room that draining needs. How large is the operator's to say: by
	// nats.max_bytes, or on the server; and what bounds explanations may always be less.
	if got.MaxBytes > 0 && (s.cfg.MaxBytes == 0 || want.Discard == jetstream.DiscardOld) {
		want.MaxBytes = got.MaxBytes
	}
	return drift(got, want)
}

func mendCreate(err error) error {
	if code := errorCode(err); code == codeStorageLimit || code == codeServerFull {
		return fmt.Errorf("%w: the server has less room than the streams reserve: lower nats.max_bytes, or raise the server's or the account's limit", err)
	}
	return err
}

func (s *Store) matchIdentity(ctx context.Context, events jetstream.Stream, known *identity, total int64) error {
	mend := "restore both from one backup, or start with an empty " + s.placeKey()
	if s.cfg.External != nil {
		mend = "restore both from one backup, or use another nats.prefix"
	}
	switch {
	case known != nil && events == nil:
		return fmt.Errorf("%w: STATE is there but EVENTS is gone: %s", ErrMismatch, mend)
	case known != nil:
		if got := events.CachedInfo().Config.Metadata[metadataID]; got != known.ID {
			return fmt.Errorf("%w: EVENTS and STATE come from different stores: %s", ErrMismatch, mend)
		}
		if s.cfg.Partitions != 0 && s.cfg.Partitions != known.Partitions {
			return fmt.Errorf("%w: the store has %d and nats.partitions is %d: keep %d, or stop every process, let one worker drain the log, and copy the store with: freshrelay migrate --to URL --prefix NEW --partitions %d",
				ErrPartitions, known.Partitions, s.cfg.Partitions, known.Partitions, s.cfg.Partitions)
		}
		s.identity = *known
		return nil
	case events != nil && events.CachedInfo().State.LastSeq > 0:
		return fmt.Errorf("%w: EVENTS holds events but STATE is gone: %s", ErrMismatch, mend)
	}
	return s.createIdentity(ctx, events, total)
}

// defaultPartitions are enough to share the work of one account among more processes than anybody needs.
const defaultPartitions = 16

func (s *Store) partitionsToMake() int {
	if s.cfg.Partitions == 0 && s.cfg.External != nil {
		return defaultPartitions
	}
	return max(1, s.cfg.Partitions)
}

func (s *Store) createIdentity(ctx context.Context, events jetstream.Stream, total int64) error {
	id, err := newIdentity(s.partitionsToMake())
	if err != nil {
		return err
	}
	if events != nil { // made by a start that was cut short; empty
		id.ID = events.CachedInfo().Config.Metadata[metadataID]
	} else if _, err := s.js.CreateStream(ctx, s.streamConfig("EVENTS", total, id.ID)); err != nil {
		return fmt.Errorf("creating stream EVENTS: %w", mendCreate(err))
	}
	if _, err := s.ensureStream(ctx, s.streamConfig("STATE", total, "")); err != nil {
		return fmt.Errorf("creating stream STATE: %w", mendCreate(err))
	}
	data, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("encoding the store's identity: %w", err)
	}
	if _, err := s.js.Publish(ctx, s.names.state("identity"), data, jetstream.WithExpectLastSequencePerSubject(0)); err != nil {
		return fmt.Errorf("storing the store's identity: %w", err)
	}
	s.identity = id
	return nil
}

func (s *Store) readIdentity(ctx context.Context) (*identity, error) {
	state, err := s.js.Stream(ctx, s.names.stream("STATE"))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil //nolint:nilnil // "no store yet" is an ordinary answer here
	}
	if err != nil {
		return nil, fmt.Errorf("looking for stream STATE: %w", err)
	}
	msg, err := state.GetLastMsgForSubject(ctx, s.names.state("identity"))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil //nolint:nilnil // see above
	}
	if err != nil {
		return nil, fmt.Errorf("reading the store's identity: %w", err)
	}
	id, err := decodeIdentity(msg.Data)
	return &id, err
}

// ensureStream makes a stream that may be there already.
func (s *Store) ensureStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	stream, err := s.js.Stream(ctx, cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return s.js.CreateStream(ctx, cfg)
	}
	return stream, err
}

func (s *Store) bindStreams(ctx context.Context, total int64) error {
	for _, b := range []struct {
		kind  string
		into  *jetstream.Stream
		share int64
	}{{"EVENTS", &s.events, eventsShare}, {"STATE", &s.state, stateShare}, {"DEAD", &s.dead, deadShare}, {"JOURNAL", &s.journal, journalShare}, {"AUDIT", &s.audit, auditShare}} {
		stream, err := s.js.Stream(ctx, s.names.stream(b.kind))
		if err != nil {
			return fmt.Errorf("opening stream %s: %w", b.kind, err)
		}
		if *b.into, err = s.enlarge(ctx, stream, total/100*b.share); err != nil {
			return fmt.Errorf("giving stream %s more room: %w", b.kind, err)
		}
	}
	if err := s.addActivities(ctx); err != nil {
		return err
	}
	if err := s.takeCopies(ctx); err != nil {
		return err
	}
	return s.boundJournal(ctx)
}

// boundJournal gives the journal the bounds of the configuration, smaller ones too: nothing but explanations goes.
func (s *Store) boundJournal(ctx context.Context) error {
	if s.cfg.External != nil {
		return nil // on others' servers nothing is changed once it is made
	}
	cfg := s.journal.CachedInfo().Config
	want := cfg
	if want.MaxAge = s.cfg.Journal.MaxAge; want.MaxAge <= 0 {
		want.MaxAge = DefaultJournalAge
	}
	if s.cfg.Journal.MaxBytes > 0 {
		want.MaxBytes = s.cfg.Journal.MaxBytes
	}
	if want.MaxAge == cfg.MaxAge && want.MaxBytes == cfg.MaxBytes {
		return nil
	}
	stream, err := s.js.UpdateStream(ctx, want)
	if err != nil {
		return fmt.Errorf("bounding stream JOURNAL: %w", err)
	}
	s.journal = stream
	return nil
}

// enlarge gives a stream the room that the configuration asks for. It never takes any away: what a stream holds must go
// on fitting. A default total asks for nothing, it depends on the disk's state of the day.
func (s *Store) enlarge(ctx context.Context, stream jetstream.Stream, room int64) (jetstream.Stream, error) {
	cfg := stream.CachedInfo().Config
	if s.cfg.External != nil || s.cfg.MaxBytes == 0 || room <= cfg.MaxBytes { // others' servers are not changed
		return stream, nil
	}
	cfg.MaxBytes = room
	return s.js.UpdateStream(ctx, cfg)
}

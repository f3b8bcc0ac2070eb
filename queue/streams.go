package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Shares of nats.max_bytes, in percent. Each stream has its own limit, so that a full log can never take the room
// that draining it needs.
const (
	eventsShare  = 60
	stateShare   = 20
	deadShare    = 15
	journalShare = 4
	auditShare   = 1

	defaultMaxBytes = 10 << 30
	// MinMaxBytes is the least total: below it STATE could not hold the records of a handful of users.
	MinMaxBytes = 64 << 20

	// DefaultJournalAge is how long a line of the journal is kept.
	DefaultJournalAge = 7 * 24 * time.Hour

	metadataID   = "freshrelay_store"
	deduplicated = 2 * time.Minute // how long the broker recognises a repeated pack
)

// names are the streams and subjects under one prefix.
type names struct{ prefix string }

func (n names) stream(kind string) string    { return strings.ToUpper(n.prefix) + "_" + kind }
func (n names) state(key string) string      { return n.prefix + ".state." + key }
func (n names) lease(p int) string           { return n.state("lease." + strconv.Itoa(p)) }
func (n names) process(id string) string     { return n.state("process." + id) }
func (n names) user(user string) string      { return n.state("user." + user) }
func (n names) journal(user string) string   { return n.prefix + ".journal." + user }
func (n names) audit() string                { return n.prefix + ".audit" }
func (n names) dead(user, pos string) string { return n.prefix + ".dead." + user + "." + pos }
func (n names) letter(id string) string      { return n.prefix + ".dead." + id }

// defaultTotal is the smaller of 10 GiB and half of what is free where the store lies.
func defaultTotal(dir string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("asking for the free space of the data directory: %w", err)
	}
	free := int64(fs.Bavail) * int64(fs.Bsize) //nolint:unconvert // the fields' types differ between systems
	return max(MinMaxBytes, min(defaultMaxBytes, free/2)), nil
}

func (n names) eventsConfig(total int64, id string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: n.stream("EVENTS"), Subjects: []string{n.prefix + ".events.*", n.prefix + ".activities.*"},
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxBytes: total / 100 * eventsShare, Duplicates: deduplicated, Metadata: map[string]string{metadataID: id},
	}
}

func (n names) stateConfig(total int64) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: n.stream("STATE"), Subjects: []string{n.prefix + ".state.>"},
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxBytes: total / 100 * stateShare, MaxMsgsPerSubject: 1, AllowAtomicPublish: true,
	}
}

func (n names) deadConfig(total int64) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: n.stream("DEAD"), Subjects: []string{n.prefix + ".dead.*.*"},
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxBytes: total / 100 * deadShare, MaxMsgsPerSubject: 1, AllowDirect: true,
	}
}

// journalConfig gives up durability for cheapness: no fsync per line. Nothing but explanations is lost with its tail.
func (n names) journalConfig(total int64, j Journal) jetstream.StreamConfig {
	if j.MaxAge <= 0 {
		j.MaxAge = DefaultJournalAge
	}
	if j.MaxBytes <= 0 {
		j.MaxBytes = total / 100 * journalShare
	}
	return jetstream.StreamConfig{
		Name: n.stream("JOURNAL"), Subjects: []string{n.prefix + ".journal.*"},
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
		MaxBytes: j.MaxBytes, MaxAge: j.MaxAge, PersistMode: jetstream.AsyncPersistMode,
	}
}

// auditConfig keeps what operators did for as long as there is room; the oldest lines go first.
func (n names) auditConfig(total int64) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: n.stream("AUDIT"), Subjects: []string{n.audit()},
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld, MaxBytes: total / 100 * auditShare,
	}
}

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

// total is the room for all streams together.
func (s *Store) total() (int64, error) {
	switch {
	case s.cfg.MaxBytes > 0:
		return s.cfg.MaxBytes, nil
	case s.cfg.External != nil:
		return defaultMaxBytes, nil // the servers' disks cannot be looked at from here
	}
	return defaultTotal(s.cfg.Dir)
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

// streamConfig is how a stream is made, here or on an external server.
func (s *Store) streamConfig(kind string, total int64, id string) jetstream.StreamConfig {
	var cfg jetstream.StreamConfig
	switch kind {
	case "EVENTS":
		cfg = s.names.eventsConfig(total, id)
	case "STATE":
		cfg = s.names.stateConfig(total)
	case "DEAD":
		cfg = s.names.deadConfig(total)
	case "AUDIT":
		cfg = s.names.auditConfig(total)
	default:
		cfg = s.names.journalConfig(total, s.cfg.Journal)
	}
	cfg.Replicas = 1
	if e := s.cfg.External; e != nil && e.Replicas > 1 {
		cfg.Replicas = e.Replicas
		cfg.AllowDirect = false                        // a replica may answer with what was
		cfg.PersistMode = jetstream.DefaultPersistMode // the server refuses another with replicas
	}
	return cfg
}

// checkDrift looks at streams of an external server, which anybody may have made or changed.
func (s *Store) checkDrift(ctx context.Context, total int64) error {
	if s.cfg.External == nil {
		return nil
	}
	var all error
	for _, kind := range []string{"EVENTS", "STATE", "DEAD", "JOURNAL", "AUDIT"} {
		stream, err := s.js.Stream(ctx, s.names.stream(kind))
		if err != nil {
			return fmt.Errorf("opening stream %s: %w", kind, err)
		}
		all = errors.Join(all, drift(stream.CachedInfo().Config, s.streamConfig(kind, total, "")))
	}
	return all
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

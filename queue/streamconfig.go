package queue

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
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

// letterCopies is how many copies of a letter DEAD takes: the last is the one that counts. One that is set aside again is stored
// anew before its former copy is removed, see PutLetter.
const letterCopies = 2

func (n names) deadConfig(total int64) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: n.stream("DEAD"), Subjects: []string{n.prefix + ".dead.*.*"},
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxBytes: total / 100 * deadShare, MaxMsgsPerSubject: letterCopies, AllowDirect: true,
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

package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"
)

// Config says where and how a Store keeps its streams.
type Config struct {
	Dir    string // data directory; created with mode 0700
	Prefix string // of stream names and subjects; "" means freshrelay
	// MaxBytes is the room for all streams together. 0 means the smaller of 10 GiB and half of the disk that is free when
	// the store is made. A store made with less is enlarged; none is made smaller.
	MaxBytes int64
	// Account is the fingerprint of the Freshmarketer account the events are for. A store made for another is refused.
	Account string
	// Partitions is how many logs a new store spreads its users over; 0 means 1, or 16 with an external broker. A store
	// keeps the number it was made with.
	Partitions int
	// Role is what this process does, for those who look at all that share the store.
	Role string
	// Says gives, as JSON, what else the others are to know of this process; it is asked with each sign. May be nil.
	Says func() json.RawMessage
	// External is set to use a NATS server or cluster of your own instead of the embedded one.
	External *External
	// Encryption is at rest, of the embedded broker's store.
	Encryption Encryption
	Logger     *zap.Logger
	Journal    Journal
	// OnPublish is told of every stored pack: how long storing took and how many events it held. May be nil.
	OnPublish func(took time.Duration, events int)
	// OnCommit is told of every commit that is stored: how long it took and how many records it held. May be nil.
	OnCommit func(took time.Duration, records int)
	// OnRepeat is told of every write without a clear answer that is sent again: a pack of events or a commit. May be nil.
	OnRepeat func(commit bool)
	// Covers says whether a record holds what an item at a position did. Only Migrate asks.
	Covers func(record []byte, position uint64) (bool, error)

	moving bool // Migrate opens it, also if it has moved
}

// Journal bounds what explains the outcomes. The zero value keeps a week, in its share of MaxBytes.
type Journal struct {
	Off      bool          // no lines are written; what was written before stays until its age
	MaxAge   time.Duration // of a line; 0 means DefaultJournalAge
	MaxBytes int64         // 0 means the journal's share of Config.MaxBytes
}

// Store is an open store. Publish, Letters and the other methods may be called from many goroutines.
type Store struct {
	cfg      Config
	names    names
	log      *zap.Logger
	broker   *embedded // nil with an external one
	nc       *nats.Conn
	js       jetstream.JetStream
	process  string    // a name of this process, for leases
	presence *presence // nil with an embedded broker, and for Migrate
	identity identity

	events, state, dead, journal, audit jetstream.Stream

	waitingBytes atomic.Int64 // of events gathered and not stored yet, in all publishers
	publishers   []*publisher // by partition, those of the activities after those of the contacts
	committer    *committer
	room         room
	letterCounts letterCounts
	moved        atomic.Pointer[error] // why the log takes nothing any more, once that is known
	figures      figures
	silences     silences

	mu    sync.Mutex
	owned map[int]*Partition // by number; with an embedded broker all, from Open to Close
}

// Open starts the embedded broker on the directory or connects to an external one, makes the streams if they are not
// there, and checks that they belong together and to the account. Errors: ErrLocked, ErrMismatch, ErrForeignAccount, ErrDrift.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = "freshrelay"
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	s := &Store{cfg: cfg, names: names{prefix: cfg.Prefix}, log: cfg.Logger.Named("queue"), process: nuid.Next(), owned: map[int]*Partition{}}
	s.room.s = s
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.openStreams(ctx); err != nil {
		return err
	}
	if err := s.checkAccount(ctx); err != nil {
		return err
	}
	if err := s.checkMoved(ctx); err != nil {
		return err
	}
	if s.cfg.External != nil && !s.cfg.moving {
		s.presence = s.startPresence(ctx)
	}
	s.committer = s.startCommitter()
	if s.cfg.External == nil {
		for number := range s.identity.Partitions {
			if s.owned[number], err = s.openPartition(ctx, number, nil); err != nil {
				return err
			}
		}
	}
	for _, id := range s.logs() {
		publisher, err := s.openPublisher(ctx, id)
		if err != nil {
			return err
		}
		s.publishers = append(s.publishers, publisher)
	}
	return nil
}

// connect starts or finds the broker.
func (s *Store) connect(ctx context.Context) (err error) {
	if s.cfg.External != nil {
		if err := checkLeftBehind(s.cfg.Dir); err != nil {
			return err
		}
		s.nc, err = s.cfg.External.connect(ctx, s.log)
	} else if s.broker, err = startEmbedded(ctx, s.cfg.Dir, s.cfg.Encryption, s.cfg.Logger); err == nil {
		s.nc, err = s.broker.connect()
	}
	if err != nil {
		return err
	}
	if s.js, err = jetstream.New(s.nc); err != nil {
		return fmt.Errorf("opening JetStream: %w", err)
	}
	if s.broker != nil {
		return s.broker.checkRecovered(ctx, s.js, s.names, s.cfg.Dir)
	}
	return nil
}

// checkAccount remembers the account at first and refuses another one later: record and contact ids of one account
// mean nothing, or worse, somebody else, in another.
func (s *Store) checkAccount(ctx context.Context) error {
	subject := s.names.state("account")
	msg, err := s.state.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		_, err := s.js.Publish(ctx, subject, []byte(s.cfg.Account), jetstream.WithExpectLastSequencePerSubject(0))
		if isConflict(err) {
			return s.checkAccount(ctx) // another process of ours was quicker
		}
		if err != nil {
			return fmt.Errorf("storing the account's fingerprint: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the account's fingerprint: %w", err)
	}
	return s.sameAccount(string(msg.Data))
}

// sameAccount refuses a store of another account.
func (s *Store) sameAccount(got string) error {
	if got != s.cfg.Account {
		return fmt.Errorf("%w: %s was filled for %q and this run is for %q: give this run another %s, or go back to the configuration the store was made with",
			ErrForeignAccount, s.place(), got, s.cfg.Account, s.placeKey())
	}
	return nil
}

// User is the token of a userId: what records, letters and the journal are filed under. It does not tell the userId.
func (s *Store) User(userID string) string { return token(s.identity.digest(userID)) }

// ID is the store's own name, made with it: letters exported from a store find their old place only in the same one.
func (s *Store) ID() string { return s.identity.ID }

// Alone says that no other process can have this store open: the embedded one is locked.
func (s *Store) Alone() bool { return s.cfg.External == nil }

// Partitions is how many partitions the store has.
func (s *Store) Partitions() int { return s.identity.Partitions }

// place and placeKey say where the store is and which key of the configuration says so.
func (s *Store) place() string {
	if s.cfg.External != nil {
		return "prefix " + s.cfg.Prefix
	}
	return s.cfg.Dir
}

func (s *Store) placeKey() string {
	if s.cfg.External != nil {
		return "nats.prefix"
	}
	return "data_dir"
}

// Partition is the first partition, nil unless this process owns it. The embedded store has one and owns it from Open to Close.
func (s *Store) Partition() *Partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owned[0]
}

// Owned are the partitions that this process owns at this moment, by number.
func (s *Store) Owned() []*Partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.owned), func(a, b *Partition) int { return a.id.number - b.id.number })
}

func (s *Store) setOwned(number int, p *Partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p == nil {
		delete(s.owned, number)
	} else {
		s.owned[number] = p
	}
}

// Own calls run, in a goroutine of its own, for each partition that this process owns, and waits for all of them. The ctx
// of run ends when the partition is to be given back; run then finishes what is under way and returns. The first error of
// a run ends all, and is returned.
func (s *Store) Own(parent context.Context, run func(ctx context.Context, p *Partition) error) error {
	if s.cfg.External != nil {
		return s.newOwnership(run).keep(parent)
	}
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	var all sync.WaitGroup
	partitions := s.Owned()
	errs := make(chan error, len(partitions))
	for _, p := range partitions {
		all.Go(func() {
			if err := run(ctx, p); err != nil {
				errs <- err
				cancel()
			}
		})
	}
	all.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// Close stores what waits to be published or committed and stops the broker. Run must have returned before.
func (s *Store) Close() error {
	var closing sync.WaitGroup
	for _, p := range s.publishers {
		closing.Go(p.close)
	}
	closing.Wait()
	if s.committer != nil {
		s.committer.close()
	}
	if s.presence != nil {
		s.presence.close()
	}
	if s.nc != nil {
		s.nc.Close()
	}
	if s.broker == nil {
		return nil
	}
	return s.broker.stop()
}

// fullShare is how full the log may be, in percent, before Ready says so: senders should notice before it refuses.
const fullShare = 90

// Ready is nil when events can be stored now. It says nothing about delivering them.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.moved.Load(); err != nil {
		return *err
	}
	if n := s.silences.of("EVENTS"); n >= unclearTries {
		return fmt.Errorf("%w: %d tries to store events had no answer: %s", ErrUnavailable, n, s.silenceMend())
	}
	info, err := s.events.Info(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if _, free := s.room.look(ctx); free < minFree {
		return fmt.Errorf("%w: %d bytes are free on its disk", ErrFull, free)
	}
	if limit := info.Config.MaxBytes; limit > 0 && info.State.Bytes > uint64(limit)/100*fullShare {
		return fmt.Errorf("%w: the log holds %d of %d bytes", ErrFull, info.State.Bytes, limit)
	}
	for _, p := range s.Owned() {
		if err := p.Err(); err != nil {
			return err
		}
	}
	return nil
}

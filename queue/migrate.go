package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// Errors of Migrate.
var (
	// ErrNotDrained says that events of the store are not settled yet.
	ErrNotDrained = errors.New("the store still holds events that are not delivered")
	// ErrInUse says that other processes have the store open.
	ErrInUse = errors.New("the store is in use")
	// ErrOccupied says that the target has streams of this prefix already.
	ErrOccupied = errors.New("the target already has streams of this prefix")
	// ErrMoved says that the store has been copied elsewhere, and is not to be used any more.
	ErrMoved = errors.New("the store has moved")
)

// Migration says what Migrate did.
type Migration struct {
	Partitions int    `json:"partitions"` // of the new store
	Records    int    `json:"records"`    // subjects of STATE that were copied: users, accounts, quota and the like
	Letters    int    `json:"letters"`    // dead letters
	Accepted   int64  `json:"accepted"`   // events ever taken in; the books go on with it
	FirstSeq   uint64 `json:"first_seq"`  // of the new log
}

// Migrate copies a store to streams that are not there yet: from the embedded broker to a cluster, or to another number of
// partitions under another prefix. Nothing may use the store meanwhile, and all its events must be settled. Identity, records,
// dead letters and the books come along; the journal, which only explains, stays behind. The old log is closed, so that a process
// nobody thought of stores nothing in it, and the old store is marked and refuses to open from then on. Errors: those of Open,
// ErrInUse, ErrNotDrained, ErrOccupied.
func Migrate(ctx context.Context, from, to Config) (m Migration, err error) {
	from.moving = true
	src, err := Open(ctx, from)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if err := src.checkUnused(ctx); err != nil {
		return m, err
	}
	mv := &move{src: src}
	if mv.ends, err = src.checkDrained(ctx); err != nil {
		return m, err
	}
	end, err := src.events.Info(ctx)
	if err != nil {
		return m, fmt.Errorf("asking for the state of the log: %w", err)
	}
	if mv.dst, err = attach(ctx, to); err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, mv.dst.Close()) }()
	mv.done.FirstSeq = end.State.LastSeq + 1
	if err := mv.copy(ctx); err != nil {
		return m, err
	}
	return mv.done, mv.finish(ctx)
}

// attach connects to the target without making or expecting anything there.
func attach(ctx context.Context, to Config) (*Store, error) {
	if to.Logger == nil {
		to.Logger = zap.NewNop()
	}
	to.Dir = "" // what it holds is what is moved
	s := &Store{cfg: to, names: names{prefix: to.Prefix}, log: to.Logger.Named("queue"), owned: map[int]*Partition{}}
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	for _, kind := range []string{"EVENTS", "STATE", "DEAD", "JOURNAL", "AUDIT"} {
		_, err := s.js.Stream(ctx, s.names.stream(kind))
		if err == nil {
			return nil, errors.Join(fmt.Errorf("%w: %s: use another prefix, or remove what an interrupted migration left: nats stream rm %s", ErrOccupied, s.names.stream(kind), s.names.stream(kind)), s.Close())
		}
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, errors.Join(fmt.Errorf("looking for stream %s: %w", kind, err), s.Close())
		}
	}
	return s, nil
}

// checkUnused refuses a store that other processes have open, whatever they do with it.
func (s *Store) checkUnused(ctx context.Context) error {
	around, err := s.Sharing(ctx)
	if err != nil {
		return err
	}
	var users []string
	for _, p := range around.Processes {
		if !p.Silent {
			users = append(users, p.String())
		}
	}
	for n, owner := range around.Owners {
		if !slices.ContainsFunc(around.Processes, func(p Process) bool { return p.ID == owner && !p.Silent }) {
			users = append(users, fmt.Sprintf("the owner of partition %d", n))
		}
	}
	if len(users) == 0 {
		return nil
	}
	slices.Sort(users)
	return fmt.Errorf("%w, by %s: stop every process, also those with --role ingest, and migrate again; one that was killed counts for %v more",
		ErrInUse, strings.Join(users, ", "), s.cfg.External.lease())
}

// checkDrained refuses a store whose logs hold something unsettled. It returns where each ended before that was looked at.
func (s *Store) checkDrained(ctx context.Context) (ends map[logID]uint64, err error) {
	ends = map[logID]uint64{}
	open := 0
	for _, id := range s.logs() {
		last, err := s.lastPack(ctx, id)
		if err != nil {
			return nil, err
		}
		if ends[id] = 0; last != nil {
			ends[id] = last.Sequence
		}
		left, err := s.unsettled(ctx, id)
		if err != nil {
			return nil, err
		}
		open += left
	}
	if open > 0 {
		return nil, fmt.Errorf("%w: %d: let nothing new in (for example: freshrelay serve --listen 127.0.0.1:0), wait until `freshrelay status` shows none pending, stop it, and migrate again", ErrNotDrained, open)
	}
	return ends, nil
}

// unsettled counts the items of a log after the floor that no record covers. The floor alone is not enough: it is
// written now and then.
func (s *Store) unsettled(ctx context.Context, id logID) (open int, err error) {
	floor, _, err := s.readNumber(ctx, s.names.floor(id))
	if err != nil {
		return 0, err
	}
	for seq := floor + 1; ; seq++ {
		msg, err := s.events.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(s.names.packs(id)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return open, nil
		}
		if err != nil {
			return 0, fmt.Errorf("reading the log: %w", err)
		}
		items, err := decodePack(msg.Sequence, msg.Data)
		if err != nil {
			return 0, err
		}
		for _, it := range items {
			covered, err := s.covered(ctx, id, it)
			if err != nil {
				return 0, err
			}
			if !covered {
				open++
			}
		}
		seq = msg.Sequence
	}
}

func (s *Store) covered(ctx context.Context, id logID, it Item) (bool, error) {
	if s.cfg.Covers == nil {
		return false, nil
	}
	record, _, err := s.readState(ctx, s.names.record(id, it.User))
	if err != nil {
		return false, err
	}
	return s.cfg.Covers(record, it.Position)
}

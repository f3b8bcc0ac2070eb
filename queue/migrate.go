package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// Errors of Migrate.
var (
	// ErrNotDrained says that events of the store are not settled yet.
	ErrNotDrained = errors.New("the store still holds events that are not delivered")
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
// dead letters and the books come along; the journal, which only explains, stays behind. The old store is marked and refuses to
// open from then on. Errors: those of Open, ErrNotDrained, ErrOccupied.
func Migrate(ctx context.Context, from, to Config) (m Migration, err error) {
	from.moving = true
	src, err := Open(ctx, from)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if err := src.checkIdle(ctx); err != nil {
		return m, err
	}
	end, err := src.events.Info(ctx)
	if err != nil {
		return m, fmt.Errorf("asking for the state of the log: %w", err)
	}
	dst, err := attach(ctx, to)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	mv := &move{src: src, dst: dst}
	mv.done.FirstSeq = end.State.LastSeq + 1
	if err := mv.copy(ctx); err != nil {
		return m, err
	}
	if now, err := src.events.Info(ctx); err != nil || now.State.LastSeq != end.State.LastSeq {
		return m, errors.Join(fmt.Errorf("%w: some arrived during the copying: stop every process first", ErrNotDrained), err)
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

// checkIdle refuses a store that others use, or whose log holds something unsettled.
func (s *Store) checkIdle(ctx context.Context) error {
	if s.cfg.External != nil {
		for n := range s.identity.Partitions {
			data, _, err := s.readState(ctx, s.names.lease(n))
			if err != nil {
				return err
			}
			if h, err := decodeHolder(data); err != nil || h.Process != "" {
				return errors.Join(fmt.Errorf("%w: a process owns partition %d: stop every process; one that was killed leaves leases behind, which the next one gives back when it stops", ErrNotDrained, n), err)
			}
		}
	}
	open := 0
	for _, id := range s.logs() {
		left, err := s.unsettled(ctx, id)
		if err != nil {
			return err
		}
		open += left
	}
	if open > 0 {
		return fmt.Errorf("%w: %d: let nothing new in (for example: freshrelay serve --listen 127.0.0.1:0), wait until `freshrelay status` shows none pending, stop it, and migrate again", ErrNotDrained, open)
	}
	return nil
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

// move is one migration under way.
type move struct {
	src, dst *Store
	done     Migration
	books    []counters // by new partition
	accepted []uint64
}

func (m *move) copy(ctx context.Context) error {
	id := m.src.identity
	id.Partitions = m.dst.partitionsToMake()
	m.dst.identity, m.done.Partitions = id, id.Partitions
	total, err := m.dst.total()
	if err != nil {
		return err
	}
	for _, kind := range []string{"EVENTS", "STATE", "DEAD", "JOURNAL", "AUDIT"} {
		cfg := m.dst.streamConfig(kind, total, id.ID)
		if kind == "EVENTS" {
			cfg.FirstSeq = m.done.FirstSeq // positions go on: records and letters compare them
		}
		if _, err := m.dst.js.CreateStream(ctx, cfg); err != nil {
			return fmt.Errorf("creating stream %s: %w", kind, mendCreate(err))
		}
	}
	if m.done.Records, err = m.copyStream(ctx, "STATE", m.movable); err != nil {
		return err
	}
	if _, err := m.copyStream(ctx, "AUDIT", func(string) bool { return true }); err != nil {
		return err
	}
	if err := m.splitBooks(ctx); err != nil {
		return err
	}
	if m.done.Letters, err = m.copyStream(ctx, "DEAD", func(string) bool { return true }); err != nil {
		return err
	}
	return m.openBooks(ctx)
}

// movable says which subjects of STATE come along: all but those about the old log and its owners, which are made anew.
func (m *move) movable(subject string) bool {
	key := strings.TrimPrefix(subject, m.src.names.state(""))
	kind, _, _ := strings.Cut(key, ".")
	switch kind {
	case "identity", "floor", "horizon", "counters", "lease", "process", "moved":
		return false
	}
	return true
}

// copyWindow is how many copies may be on their way at once.
const copyWindow = 256

// copyStream copies messages with their own headers, in order, and waits until all are stored.
func (m *move) copyStream(ctx context.Context, kind string, wanted func(subject string) bool) (n int, err error) {
	var acks []jetstream.PubAckFuture
	settle := func() error {
		for _, ack := range acks {
			select {
			case <-ack.Ok():
			case err := <-ack.Err():
				return fmt.Errorf("copying %s: %w", kind, err)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		acks = acks[:0]
		return nil
	}
	err = m.src.scan(ctx, kind, jetstream.OrderedConsumerConfig{}, func(msg jetstream.Msg) (bool, error) {
		if !wanted(msg.Subject()) {
			return true, nil
		}
		out := nats.NewMsg(m.dst.cfg.Prefix + strings.TrimPrefix(msg.Subject(), m.src.cfg.Prefix))
		out.Data = msg.Data()
		for name, values := range msg.Headers() {
			if !strings.HasPrefix(name, "Nats-") { // the broker's own
				out.Header[name] = values
			}
		}
		ack, err := m.dst.js.PublishMsgAsync(out)
		if err != nil {
			return false, fmt.Errorf("copying %s: %w", kind, err)
		}
		n++
		if acks = append(acks, ack); len(acks) == copyWindow {
			return true, settle()
		}
		return true, nil
	})
	return n, errors.Join(err, settle())
}

// splitBooks makes each new partition's counters and its number of accepted events. Who is in which partition is known of dead
// letters alone; everything else is put down to the first, so that each partition's account is right by itself.
func (m *move) splitBooks(ctx context.Context) error {
	m.books, m.accepted = make([]counters, m.done.Partitions), make([]uint64, m.done.Partitions)
	sums := make([]map[Count]int64, m.done.Partitions)
	for n := range sums {
		sums[n] = map[Count]int64{}
	}
	for _, id := range m.src.logs() {
		data, rev, err := m.src.readState(ctx, m.src.names.counters(id))
		if err != nil {
			return err
		}
		if rev > 0 {
			c, err := decodeCounters(data)
			if err != nil {
				return err
			}
			for count, v := range c.values() {
				sums[0][count] += v
			}
		}
		accepted, err := m.src.accepted(ctx, id)
		if err != nil {
			return err
		}
		m.accepted[0] += accepted
	}
	m.done.Accepted = int64(m.accepted[0])
	err := m.src.EachLetter(ctx, func(l Letter) error {
		digest, _, err := parseLetterID(l.ID)
		if err != nil {
			return err
		}
		if n := m.dst.identity.partition(digest); n != 0 {
			count := Count{Type: l.Type, Outcome: Dead, Reason: l.Reason}
			sums[0][count]--
			sums[n][count]++
			m.accepted[0]--
			m.accepted[n]++
		}
		return nil
	})
	for n, sum := range sums {
		m.books[n] = countersOf(sum)
	}
	return err
}

// openBooks begins each partition's log with a pack without items, whose totals the next one continues. What was an
// activity is put down there, too; the logs of activities begin at nothing.
func (m *move) openBooks(ctx context.Context) error {
	n := m.dst.names
	for p := range m.done.Partitions {
		id := logID{number: p}
		total := strconv.FormatUint(m.accepted[p], 10)
		msg := nats.NewMsg(n.packs(id))
		msg.Data = encodePack(nil)
		msg.Header.Set(headerEvents, total)
		msg.Header.Set(headerItems, total)
		ack, err := m.dst.js.PublishMsg(ctx, msg)
		if err != nil {
			return fmt.Errorf("beginning the log: %w", err)
		}
		data, err := json.Marshal(m.books[p])
		if err != nil {
			return fmt.Errorf("encoding the counters: %w", err)
		}
		for subject, value := range map[string]string{n.floor(id): strconv.FormatUint(ack.Sequence, 10), n.horizon(id): total, n.counters(id): string(data)} {
			if _, err := m.dst.js.Publish(ctx, subject, []byte(value)); err != nil {
				return fmt.Errorf("writing STATE: %w", err)
			}
		}
	}
	return nil
}

// finish marks the old store and only then completes the new one: never are there two that can be used.
func (m *move) finish(ctx context.Context) error {
	if _, err := m.src.js.Publish(ctx, m.src.names.state("moved"), []byte(m.dst.cfg.Prefix)); err != nil {
		return fmt.Errorf("marking the old store: %w", err)
	}
	data, err := json.Marshal(m.dst.identity)
	if err != nil {
		return fmt.Errorf("encoding the store's identity: %w", err)
	}
	if _, err := m.dst.js.Publish(ctx, m.dst.names.state("identity"), data, jetstream.WithExpectLastSequencePerSubject(0)); err != nil {
		return fmt.Errorf("storing the store's identity: %w", err)
	}
	if m.src.broker == nil {
		return nil
	}
	if err := os.WriteFile(filepath.Join(m.src.cfg.Dir, movedFile), []byte("This directory's store was moved to NATS servers by freshrelay migrate.\n"), 0o600); err != nil {
		return fmt.Errorf("the store has moved, but its directory cannot say so: %w", err)
	}
	return nil
}

// movedFile in the data directory says that its embedded store was moved. The store itself can only be asked by starting it.
const movedFile = "moved"

// checkLeftBehind refuses to use other servers while the data directory holds an embedded store that was not moved: its events
// and records would be forgotten without a word.
func checkLeftBehind(dir string) error {
	if dir == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, "jetstream")); err != nil {
		return nil // there is none
	}
	if _, err := os.Stat(filepath.Join(dir, movedFile)); err == nil {
		return nil
	}
	return fmt.Errorf("%w: nats.url is set and %s holds an embedded store that has not been moved: take nats.url out and run: freshrelay migrate --to URL; or give this process another data_dir if nothing in it is needed", ErrMismatch, dir)
}

// checkMoved refuses a store that was copied elsewhere: what it would deliver has been delivered from there.
func (s *Store) checkMoved(ctx context.Context) error {
	if s.cfg.moving {
		return nil
	}
	data, rev, err := s.readState(ctx, s.names.state("moved"))
	if err != nil || rev == 0 {
		return err
	}
	return fmt.Errorf("%w: to prefix %s on NATS servers (freshrelay migrate): set nats.url; if that migration was interrupted, remove its streams there and run it again", ErrMoved, data)
}

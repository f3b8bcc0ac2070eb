package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// finish closes the old log, marks the old store and only then completes the new one: never are there two that can be used.
func (m *move) finish(ctx context.Context) error {
	if err := m.closeLog(ctx); err != nil {
		return err
	}
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

// closeLog puts a last pack without items into each log, compared with the end that was read: if something was
// stored since, it is refused, and after it nothing can be stored. Presence alone would not do: a process that stood still for
// longer than a lease time gives no sign and may wake up.
func (m *move) closeLog(ctx context.Context) error {
	var closed []uint64
	for _, id := range m.src.logs() {
		msg := nats.NewMsg(m.src.names.packs(id))
		msg.Data = encodePack(nil)
		accepted, items, err := m.src.totals(ctx, id)
		if err != nil {
			return err
		}
		setTotals(msg, accepted, items)
		msg.Header.Set(headerMoved, m.dst.cfg.Prefix)
		ack, err := m.src.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(m.ends[id]))
		if err == nil {
			closed = append(closed, ack.Sequence)
			continue
		}
		for _, seq := range closed { // the old store stays in use
			err = errors.Join(err, m.src.events.DeleteMsg(ctx, seq))
		}
		if isConflict(err) {
			return fmt.Errorf("%w: some arrived during the copying: stop every process first: %w", ErrNotDrained, err)
		}
		return fmt.Errorf("closing the old log: %w", err)
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
	return movedTo(string(data))
}

func movedTo(prefix string) error {
	return fmt.Errorf("%w: to prefix %s on NATS servers (freshrelay migrate): set nats.url; if that migration was interrupted, remove its streams there and run it again", ErrMoved, prefix)
}

package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// move is one migration under way.
type move struct {
	src, dst *Store
	ends     map[logID]uint64 // the old logs' last packs
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
	if m.done.Records, err = m.copyStream(ctx, m.src.state, m.movable); err != nil {
		return err
	}
	if _, err := m.copyStream(ctx, m.src.audit, func(string) bool { return true }); err != nil {
		return err
	}
	if err := m.splitBooks(ctx); err != nil {
		return err
	}
	if m.done.Letters, err = m.copyStream(ctx, m.src.dead, func(subject string) bool { return !m.src.names.isFence(subject) }); err != nil {
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
func (m *move) copyStream(ctx context.Context, stream jetstream.Stream, wanted func(subject string) bool) (n int, err error) {
	name := stream.CachedInfo().Config.Name
	var acks []jetstream.PubAckFuture
	settle := func() error {
		for _, ack := range acks {
			select {
			case <-ack.Ok():
			case err := <-ack.Err():
				return fmt.Errorf("copying %s: %w", name, err)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		acks = acks[:0]
		return nil
	}
	err = m.src.scan(ctx, stream, jetstream.OrderedConsumerConfig{}, func(msg jetstream.Msg) (bool, error) {
		if !wanted(msg.Subject()) {
			return true, nil
		}
		out := nats.NewMsg(m.dst.cfg.Prefix + strings.TrimPrefix(msg.Subject(), m.src.cfg.Prefix))
		out.Data = msg.Data()
		for header, values := range msg.Headers() {
			if !strings.HasPrefix(header, "Nats-") { // the broker's own
				out.Header[header] = values
			}
		}
		ack, err := m.dst.js.PublishMsgAsync(out)
		if err != nil {
			return false, fmt.Errorf("copying %s: %w", name, err)
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
	err := m.src.EachLetter(ctx, LetterFilter{}, func(l Letter) error {
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
		setTotals(msg, m.accepted[p], m.accepted[p])
		ack, err := m.dst.js.PublishMsg(ctx, msg)
		if err != nil {
			return fmt.Errorf("beginning the log: %w", err)
		}
		settled := int64(m.accepted[p])
		m.books[p].Settled = &settled
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

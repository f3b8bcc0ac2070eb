package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// batch is one commit as the broker gets it: the settlements of some partitions.
type batch struct {
	settlements []*Settlement
	parts       []*batchPart
	msgs        []*nats.Msg
	records     []int              // by settlement: index of its record's message, -1 without one
	fenced      map[*standing]bool // partitions whose lease the batch is compared with
	releases    map[*standing]bool // partitions whose lease it gives back
	began       time.Time          // of the first try
	refused     int                // tries in a row, see refuse
}

// batchPart is one partition's share of a batch.
type batchPart struct {
	p             *Partition
	before, after storedState
	horizon       int // index of its message; -1: it did not move
	counters      int // index of its message; every part has one
	lease         int // index of the renewal; -1 without one
	leaseRev      uint64
}

// layOut makes the messages: for each partition one per record, then horizon and floor if they moved, then the counters.
func (c *committer) layOut(settlements []*Settlement) (*batch, error) {
	b := &batch{settlements: settlements, records: make([]int, len(settlements)), fenced: map[*standing]bool{}, releases: map[*standing]bool{}}
	byPartition := map[*Partition][]int{}
	var order []*Partition
	for i, s := range settlements {
		if byPartition[s.p] == nil {
			order = append(order, s.p)
		}
		byPartition[s.p] = append(byPartition[s.p], i)
	}
	for _, s := range settlements {
		b.releases[s.p.standing] = b.releases[s.p.standing] || s.release
	}
	for _, p := range order {
		if err := b.add(p, byPartition[p]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *batch) put(msg *nats.Msg) int {
	b.msgs = append(b.msgs, msg)
	return len(b.msgs) - 1
}

// add lays out one partition's settlements, given by their indexes.
func (b *batch) add(p *Partition, indexes []int) error {
	n := p.s.names
	part := &batchPart{p: p, horizon: -1, lease: -1}
	var own []*Settlement
	var positions []uint64
	for _, i := range indexes {
		s := b.settlements[i]
		own, positions = append(own, s), append(positions, s.Positions...)
		b.records[i] = -1
		if s.User != "" {
			b.records[i] = b.put(expecting(n.record(p.id, s.User), s.Record, s.Rev))
		}
	}
	p.mu.Lock()
	part.before = p.stored
	part.after = part.before
	part.after.floor = p.progress.floor
	settled := p.progress.settledEvents(positions)
	part.after.counters = part.before.counters.plus(own)
	part.after.counters.DeadFrom, part.after.counters.Gone = p.strays.next(own)
	p.mu.Unlock()
	part.after.counters.Settled, part.after.counters.Reading = &settled, p.reading()
	confirm := false
	for _, s := range own {
		part.after.horizon = max(part.after.horizon, s.horizon)
		confirm = confirm || s.confirm
	}
	if confirm || part.after.horizon != part.before.horizon {
		part.horizon = b.put(expecting(n.horizon(p.id), []byte(strconv.FormatUint(part.after.horizon, 10)), part.before.horizonRev))
	}
	b.fence(part)
	data, err := json.Marshal(part.after.counters)
	if err != nil {
		return fmt.Errorf("encoding the counters: %w", err)
	}
	part.counters = b.put(expecting(n.counters(p.id), data, part.before.countersRev))
	b.parts = append(b.parts, part)
	return nil
}

// fence lays out the floor and what makes the batch fail if another process has taken the lease over: a renewal, which is
// compared with the last, or else an expectation about the lease on the floor's message.
func (b *batch) fence(part *batchPart) {
	p, n := part.p, part.p.s.names
	floor := plain(n.floor(p.id), strconv.FormatUint(part.after.floor, 10))
	l, h := p.held()
	part.after.counters.By = h.Tenure
	moved := part.after.floor != part.before.floor
	switch {
	case l == nil || b.fenced[p.standing]: // a batch fails as a whole, so the partition's other log has it fenced
	case b.releases[p.standing] || l.due(time.Now()):
		b.fenced[p.standing], part.leaseRev = true, l.rev
		if b.releases[p.standing] {
			h = holder{}
		}
		part.lease = b.put(expecting(n.lease(p.id.number), h.encode(), part.leaseRev))
	default:
		b.fenced[p.standing], part.leaseRev = true, l.rev
		floor.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(part.leaseRev, 10))
		floor.Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, n.lease(p.id.number))
		moved = true
	}
	if moved {
		b.put(floor)
	}
}

// plain always sets a header: jetstreamext panics on a message without one.
func plain(subject, data string) *nats.Msg {
	return &nats.Msg{Subject: subject, Data: []byte(data), Header: nats.Header{}}
}

// expecting makes a message that is refused, with its whole batch, unless the subject's last revision is rev.
func expecting(subject string, data []byte, rev uint64) *nats.Msg {
	return &nats.Msg{Subject: subject, Data: data, Header: nats.Header{jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(rev, 10)}}}
}

// shrink says what follows from an answer after which less is to be sent at once. The smallest batch can still get lost on its way
// to a new leader, but is too long for no broker that this program can use. An embedded broker loses it when it cannot write: mend says
// what to do then.
func (b *batch) shrink(why error, mend string) error {
	switch {
	case len(b.settlements) > 1:
		return backoff.Permanent(fmt.Errorf("%w: %w", errSmaller, why))
	case errorCode(why) == codeBatchTooLong:
		return backoff.Permanent(fmt.Errorf("committing one record: %w: raise the server's limit of messages in a batch", why))
	}
	return b.refuse(fmt.Errorf("what a batch begins with is lost, or had no answer: %s: %w", mend, why))
}

// refuse gives a batch some more tries, and then up: what a process cannot find out about, its next start reads.
func (b *batch) refuse(why error) error {
	if b.refused++; b.refused >= refusedTries {
		return backoff.Permanent(fmt.Errorf("committing, %d tries: %w", b.refused, why))
	}
	return fmt.Errorf("committing: %w", why)
}

// landed finds out, after a refusal, whether an earlier try of this very batch is stored. The same bytes under counters
// are the same commit: they hold its number. A batch is stored whole, so one partition's counters tell for all.
func (b *batch) landed(ctx context.Context, s *Store) (last uint64, landed bool, err error) {
	for _, part := range b.parts {
		data, rev, err := s.readState(ctx, s.names.counters(part.p.id))
		if err != nil {
			return 0, false, err
		}
		if rev > 0 && bytes.Equal(data, b.msgs[part.counters].Data) {
			return rev + uint64(len(b.msgs)-1-part.counters), true, nil
		}
	}
	return 0, false, nil
}

// lost finds out which partitions of a refused batch have another owner. A lease with a new revision and our own name is
// an earlier try of this batch that has just landed.
func (b *batch) lost(ctx context.Context, s *Store) ([]*Partition, error) {
	var lost []*Partition
	for _, part := range b.parts {
		if part.leaseRev == 0 {
			continue
		}
		data, rev, err := s.readState(ctx, s.names.lease(part.p.id.number))
		if err != nil {
			return nil, err
		}
		h, err := decodeHolder(data)
		if err != nil {
			return nil, err
		}
		if rev != part.leaseRev && h.Tenure != part.after.counters.By {
			lost = append(lost, part.p)
		}
	}
	return lost, nil
}

// applied mirrors the stored batch in memory, a partition at a time and each in one step: a reader of the ledger sees all
// of it or nothing. It returns the records' revisions.
func (b *batch) applied(last uint64) ([]uint64, error) {
	// The messages of a batch are stored in a row.
	rev := func(index int) uint64 { return last - uint64(len(b.msgs)-1-index) }
	for _, part := range b.parts {
		part.after.countersRev = rev(part.counters)
		if part.horizon >= 0 {
			part.after.horizonRev = rev(part.horizon)
		}
		if err := b.apply(part); err != nil {
			return nil, err
		}
		if part.lease >= 0 {
			part.p.renewed(rev(part.lease), b.began)
		}
	}
	revs := make([]uint64, len(b.settlements))
	for i, index := range b.records {
		if index >= 0 {
			revs[i] = rev(index)
		}
	}
	return revs, nil
}

func (b *batch) apply(part *batchPart) error {
	p := part.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stored = part.after
	for _, s := range b.settlements {
		if s.p != p {
			continue
		}
		p.strays.committed(s)
		for _, position := range s.Positions {
			if err := p.progress.settled(position); err != nil {
				return err // a bug: going on could let the floor pass an open event
			}
		}
	}
	return nil
}

package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/failpoint"
)

const (
	// maxCommit is how many settlements go into one batch at most; JetStream takes 1,000 messages, and three more
	// than the records ride along (NATS documentation, "atomic batch publish").
	maxCommit = 500
	// linger is how long the first settlement of a batch waits for company. It adds nothing to delivery latency: the
	// effect has happened, only that user's next event waits.
	linger        = 20 * time.Millisecond
	commitTimeout = 5 * time.Second
)

var errClosed = errors.New("the store is closing")

// Settlement is what has become of some items of one user: the record as it is now, and what is to be counted.
type Settlement struct {
	User      string
	Record    []byte
	Rev       uint64   // revision of the record that Record was made from; 0: there was none
	Tally     Tally    // added to the counters in the same batch
	Positions []uint64 // items that are settled by it
	// Done is called once, from the committer, with the record's new revision. On an error nothing of the settlement
	// is stored, or the partition has failed.
	Done func(rev uint64, err error)

	horizon uint64 // set by the reader instead of a record
}

// Commit hands a settlement to the committer and returns. A user must have only one on its way.
func (p *Partition) Commit(s *Settlement) {
	if err := p.commits.put(s); err != nil {
		s.Done(0, err)
	}
}

// commitLoop gathers settlements and stores them, one atomic batch at a time. ctx ends it even while an outcome is unclear.
func (p *Partition) commitLoop(ctx context.Context) {
	defer close(p.stopped)
	for {
		batch := p.gather()
		if len(batch) == 0 {
			return
		}
		revs, err := p.commit(ctx, batch)
		if err != nil {
			p.fail(err)
			p.commits.close(err)
			for len(batch) > 0 {
				for _, s := range batch {
					s.Done(0, err)
				}
				batch, _ = p.commits.take(maxCommit)
			}
			return
		}
		for i, s := range batch {
			s.Done(revs[i], nil)
		}
	}
}

// gather waits for a first settlement and lingers for more. It returns none once the queue is closed and empty.
func (p *Partition) gather() []*Settlement {
	batch, closed := p.commits.take(maxCommit)
	for len(batch) == 0 && !closed {
		<-p.commits.wake
		batch, closed = p.commits.take(maxCommit)
	}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for len(batch) < maxCommit && !closed {
		select {
		case <-p.commits.wake:
		case <-timer.C:
			return batch
		}
		var more []*Settlement
		more, closed = p.commits.take(maxCommit - len(batch))
		batch = append(batch, more...)
	}
	return batch
}

// commit stores one batch until its outcome is known and returns the records' new revisions. Its errors are final.
func (p *Partition) commit(ctx context.Context, batch []*Settlement) ([]uint64, error) {
	p.mu.Lock()
	before, floor := p.stored, p.progress.floor
	p.mu.Unlock()
	after := before
	after.counters, after.floor = before.counters.plus(batch), floor
	for _, s := range batch {
		after.horizon = max(after.horizon, s.horizon)
	}
	msgs, err := p.messages(batch, before, after)
	if err != nil {
		return nil, err
	}
	var last uint64
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	err = backoff.RetryNotify(func() (err error) {
		last, err = p.try(ctx, msgs)
		return err
	}, backoff.WithContext(wait, ctx), func(err error, next time.Duration) {
		p.log.Warn("a commit has no clear outcome, repeating it", zap.Int("records", len(batch)), zap.Duration("wait", next), zap.Error(err))
	})
	if ctx.Err() != nil && err != nil {
		return nil, fmt.Errorf("%w: a commit of %d records has no clear outcome; the next start reads what is stored", errClosed, len(batch))
	}
	if err != nil {
		return nil, err
	}
	after.countersRev = last
	if err := p.applied(batch, after); err != nil {
		return nil, err
	}
	return revisions(batch, last, len(msgs)), nil
}

// applied mirrors a stored batch in memory, in one step: a reader of the ledger sees all of it or nothing.
func (p *Partition) applied(batch []*Settlement, after storedState) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stored = after
	for _, s := range batch {
		for _, position := range s.Positions {
			if err := p.progress.settled(position); err != nil {
				return err // a bug: going on could let the floor pass an open event
			}
		}
	}
	return nil
}

// messages lays the batch out: one per record, then horizon and floor if they moved, then the counters.
func (p *Partition) messages(batch []*Settlement, before, after storedState) ([]*nats.Msg, error) {
	n := p.s.names
	var msgs []*nats.Msg
	for _, s := range batch {
		if s.User != "" {
			msgs = append(msgs, expecting(n.user(s.User), s.Record, s.Rev))
		}
	}
	if after.horizon != before.horizon {
		msgs = append(msgs, plain(n.state("horizon.0"), strconv.FormatUint(after.horizon, 10)))
	}
	if after.floor != before.floor {
		msgs = append(msgs, plain(n.state("floor.0"), strconv.FormatUint(after.floor, 10)))
	}
	data, err := json.Marshal(after.counters)
	if err != nil {
		return nil, fmt.Errorf("encoding the counters: %w", err)
	}
	return append(msgs, expecting(n.state("counters.0"), data, before.countersRev)), nil
}

// plain always sets a header: jetstreamext panics on a message without one.
func plain(subject, data string) *nats.Msg {
	return &nats.Msg{Subject: subject, Data: []byte(data), Header: nats.Header{}}
}

// expecting makes a message that is refused, with its whole batch, unless the subject's last revision is rev.
func expecting(subject string, data []byte, rev uint64) *nats.Msg {
	return &nats.Msg{Subject: subject, Data: data, Header: nats.Header{jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(rev, 10)}}}
}

// try sends the batch once and returns the sequence of its last message. If the broker says that something has changed,
// the counters tell whether an earlier try of this very batch has landed.
func (p *Partition) try(ctx context.Context, msgs []*nats.Msg) (uint64, error) {
	sendCtx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	// The batch's last message is answered for all of them, so no acks in between are asked for.
	failpoint.Hit(failpoint.CommitBefore)
	ack, err := jetstreamext.PublishMsgBatch(sendCtx, p.s.js, msgs, jetstreamext.BatchFlowControl{})
	if err == nil {
		failpoint.Hit(failpoint.CommitAfter)
		return ack.Sequence, nil
	}
	if !isConflict(err) {
		return 0, fmt.Errorf("committing: %w", err)
	}
	data, rev, readErr := p.s.readState(ctx, p.s.names.state("counters.0"))
	if readErr != nil {
		return 0, readErr
	}
	// The same bytes are the same commit: they hold its number.
	if rev > 0 && bytes.Equal(data, msgs[len(msgs)-1].Data) {
		return rev, nil
	}
	return 0, backoff.Permanent(fmt.Errorf("%w: %w", ErrConflict, err))
}

// revisions computes each record's revision from the batch's last sequence: the messages of a batch are stored in a row.
func revisions(batch []*Settlement, last uint64, messages int) []uint64 {
	revs := make([]uint64, len(batch))
	next := last - uint64(messages-1)
	for i, s := range batch {
		if s.User != "" {
			revs[i] = next
			next++
		}
	}
	return revs
}

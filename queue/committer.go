package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/failpoint"
)

const (
	// maxCommit is how many settlements go into one batch at most; JetStream takes 1,000 messages, and a few more
	// per partition than the records ride along (NATS documentation, "atomic batch publish").
	maxCommit = 500
	// linger is how long the first settlement of a batch waits for company. It adds nothing to delivery latency: the
	// effect has happened, only that user's next event waits.
	linger        = 20 * time.Millisecond
	commitTimeout = 5 * time.Second
	// refusedTries is how often in a row a batch may be refused for a reason that nobody knows, or that smaller batches do not mend.
	refusedTries = 5
	// conflictPatience is how long a refused batch is compared again on replicas, which answer with what has been applied
	// and refuse for what is on its way.
	conflictPatience = 15 * time.Second
	// MaxRecord is the largest record that is committed (bytes): half of what a message of the broker can be.
	MaxRecord = 512 << 10
)

var errClosed = errors.New("the store is closing")

// Settlement is what has become of some items of one user: the record as it is now, and what is to be counted.
type Settlement struct {
	User      string
	Record    []byte
	Rev       uint64   // revision of the record that Record was made from; 0: there was none
	Tally     Tally    // added to the counters in the same batch
	Positions []uint64 // items that are settled by it
	Gone      []string // letters that are no more with it; who commits removes them afterwards
	// Done is called once, from the committer, with the record's new revision. On an error nothing of the settlement
	// is stored, or the partition has failed. The settlement of a new user waits while STATE has no room for one.
	Done func(rev uint64, err error)

	p       *Partition
	horizon uint64 // set by the reader instead of a record
	confirm bool   // write the horizon again, to compare it
	release bool   // give the lease back
}

// Commit hands a settlement to the committer and returns. A user must have only one on its way.
func (p *Partition) Commit(s *Settlement) {
	s.p = p
	if len(s.Record) > MaxRecord {
		s.Done(0, fmt.Errorf("%w: a record of %d bytes, the limit is %d", ErrTooLarge, len(s.Record), MaxRecord))
		return
	}
	if err := p.s.committer.queue.put(s); err != nil {
		s.Done(0, err)
	}
}

// committer gathers the settlements of all partitions of this process and stores them, one atomic batch at a time.
type committer struct {
	s       *Store
	log     *zap.Logger
	queue   commitQueue
	stopped chan struct{} // the loop has ended
	giveUp  context.CancelFunc

	held  []*Settlement // of new users, for which STATE has no room
	again *time.Timer   // for trying those again
}

func (s *Store) startCommitter() *committer {
	c := &committer{s: s, log: s.log, queue: commitQueue{wake: make(chan struct{}, 1)}, stopped: make(chan struct{})}
	ctx, giveUp := context.WithCancel(context.Background())
	c.giveUp = giveUp
	go c.loop(ctx)
	return c
}

// close commits what waits and ends the committer. A broker that does not answer is given one timeout: what is not
// committed then is read again by the next start.
func (c *committer) close() {
	c.queue.close(errClosed)
	stop := time.AfterFunc(commitTimeout, c.giveUp)
	<-c.stopped
	stop.Stop()
	c.giveUp()
}

// loop ends with the queue, or with a commit after which nothing can be trusted. ctx ends it even while an outcome is unclear.
func (c *committer) loop(ctx context.Context) {
	defer close(c.stopped)
	for {
		settlements, closed := c.gather()
		if len(settlements) == 0 && closed {
			for _, s := range c.held {
				s.Done(0, errClosed)
			}
			return
		}
		if !c.store(ctx, c.sift(c.admit(ctx, settlements))) {
			return
		}
	}
}

// store commits settlements, as one batch unless the broker wants smaller ones. It returns false after a commit with which
// everything has ended.
func (c *committer) store(ctx context.Context, settlements []*Settlement) bool {
	for most := maxCommit; len(settlements) > 0; {
		part := settlements[:min(len(settlements), most)]
		revs, err := c.commit(ctx, part)
		if lost, ok := errors.AsType[*lostError](err); ok {
			settlements = c.drop(settlements, lost.partitions)
			continue
		}
		if errors.Is(err, errSmaller) {
			most = (len(part) + 1) / 2
			c.log.Warn("the broker did not take a commit as one batch, sending it as two", zap.Int("records", len(part)), zap.Error(err))
			continue
		}
		if err != nil {
			c.end(settlements, err)
			return false
		}
		for i, s := range part {
			s.Done(revs[i], nil)
		}
		settlements = settlements[len(part):]
	}
	return true
}

// errSmaller says of a batch of several settlements that nothing of it is stored, and that less at once may be.
var errSmaller = errors.New("a batch is to be smaller")

// lostError says which partitions of a refused batch have another owner now. Nothing of the batch is stored.
type lostError struct{ partitions []*Partition }

func (e *lostError) Error() string { return ErrLost.Error() }

// drop fails the lost partitions and returns the settlements of the others.
func (c *committer) drop(settlements []*Settlement, lost []*Partition) []*Settlement {
	for _, p := range lost {
		c.log.Warn("another process has taken a partition over", zap.Int("partition", p.id.number))
		p.fail(ErrLost)
	}
	return c.sift(settlements)
}

// sift answers the settlements of failed partitions and returns the others.
func (c *committer) sift(settlements []*Settlement) []*Settlement {
	return slices.DeleteFunc(settlements, func(s *Settlement) bool {
		err := s.p.Err()
		if err != nil {
			s.Done(0, err)
		}
		return err != nil
	})
}

// end tells everybody that nothing is committed any more.
func (c *committer) end(settlements []*Settlement, err error) {
	for _, p := range c.s.Owned() {
		p.fail(err)
	}
	c.queue.close(err)
	for len(settlements) > 0 {
		for _, s := range settlements {
			s.Done(0, err)
		}
		settlements, _ = c.queue.take(maxCommit)
	}
}

// gather waits for a first settlement and lingers for more. closed says that the queue takes no more; it may have given some.
// While settlements are held back it also returns with none, for them to be tried again.
func (c *committer) gather() (batch []*Settlement, closed bool) {
	batch, closed = c.queue.take(maxCommit)
	for len(batch) == 0 && !closed {
		<-c.queue.wake
		if batch, closed = c.queue.take(maxCommit); len(c.held) > 0 {
			break
		}
	}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for len(batch) < maxCommit && !closed {
		select {
		case <-c.queue.wake:
		case <-timer.C:
			return batch, closed
		}
		var more []*Settlement
		more, closed = c.queue.take(maxCommit - len(batch))
		batch = append(batch, more...)
	}
	return batch, closed
}

// commit stores settlements as one batch until its outcome is known and returns the records' new revisions. Its errors
// are final.
func (c *committer) commit(ctx context.Context, settlements []*Settlement) ([]uint64, error) {
	b, err := c.layOut(settlements)
	if err != nil {
		return nil, err
	}
	b.began = time.Now()
	var last uint64
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	err = backoff.RetryNotify(func() (err error) {
		last, err = c.try(ctx, b)
		return err
	}, backoff.WithContext(wait, ctx), func(err error, next time.Duration) {
		c.s.repeats(true)
		if isFull(err) {
			c.log.Error("STATE is full and nothing can be settled: give nats.max_bytes more room and start again; nothing is lost, everything waits",
				zap.Int("records", len(settlements)), zap.Duration("wait", next), zap.Error(err))
			return
		}
		c.log.Warn("a commit has no clear outcome, repeating it", zap.Int("records", len(settlements)), zap.Duration("wait", next), zap.Error(err))
	})
	if ctx.Err() != nil && err != nil {
		return nil, fmt.Errorf("%w: a commit of %d records has no clear outcome; the next start reads what is stored", errClosed, len(settlements))
	}
	if err != nil {
		return nil, err
	}
	if c.s.cfg.OnCommit != nil {
		c.s.cfg.OnCommit(time.Since(b.began), len(settlements))
	}
	return b.applied(last)
}

// try sends the batch once and returns the sequence of its last message. If the broker says that something has changed,
// the counters tell whether an earlier try of this very batch has landed.
func (c *committer) try(ctx context.Context, b *batch) (uint64, error) {
	sendCtx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	failpoint.Hit(failpoint.CommitBefore)
	began := time.Now()
	// The batch's last message is answered for all of them, so no acks in between are asked for.
	ack, err := jetstreamext.PublishMsgBatch(sendCtx, c.s.js, b.msgs, jetstreamext.BatchFlowControl{})
	if ctx.Err() == nil {
		if stuck := c.s.watched("STATE", began, err); stuck != nil {
			return 0, backoff.Permanent(stuck)
		}
	}
	switch verdictOf(err) {
	case verdictStored:
		failpoint.Hit(failpoint.CommitAfter)
		return ack.Sequence, nil
	case verdictAgain, verdictFull:
		b.refused = 0
		return 0, fmt.Errorf("committing: %w", err)
	case verdictNever:
		return 0, backoff.Permanent(fmt.Errorf("committing: %w", err))
	case verdictUnknown:
		return 0, b.refuse(err)
	case verdictConflict, verdictSmaller: // an earlier try may be stored
	}
	last, landed, readErr := b.landed(ctx, c.s)
	if readErr != nil || landed {
		return last, readErr
	}
	if verdictOf(err) == verdictSmaller {
		return 0, b.shrink(err, c.s.silenceMend())
	}
	lost, readErr := b.lost(ctx, c.s)
	switch {
	case readErr != nil:
		return 0, readErr
	case len(lost) > 0:
		return 0, backoff.Permanent(&lostError{lost})
	case c.s.cfg.External != nil && time.Since(b.began) < conflictPatience:
		return 0, fmt.Errorf("committing: %w", err) // an earlier try may still be on its way through the replicas
	}
	return 0, backoff.Permanent(fmt.Errorf("%w: %w", ErrConflict, err))
}

package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// On servers that processes share, DEAD holds a fence for each partition: a message that every owner puts there anew before it looks
// at the letters. A letter is stored only while the fence is still its writer's, so one that a former owner sends late is refused,
// however long its process stood still. Commits do the same with the lease, but a condition must be about the same stream.

// fenceToken stands in the fences' subjects where those of letters have a user, whose token it cannot be.
const fenceToken = "fence"

// never is the time of a fence for versions that take it for a letter: it does not expire.
func never() time.Time { return time.Date(9999, time.January, 1, 0, 0, 0, 0, time.UTC) }

// letterFence is the fence as its owner knows it. Who holds the turn may look at it and change it. The turn also lets a partition
// write one letter at a time: replicas refuse a second condition about one subject while the first is on its way.
type letterFence struct {
	turn chan struct{}
	seq  uint64 // of this tenure's fence in DEAD; 0: there is none
	// doubt says that a letter had no clear answer and may still be stored, as long as the fence stays.
	doubt bool
}

func newLetterFence() letterFence {
	f := letterFence{turn: make(chan struct{}, 1)}
	f.turn <- struct{}{}
	return f
}

// take waits for the turn; the caller gives it back with give.
func (f *letterFence) take(ctx context.Context) error {
	select {
	case <-f.turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *letterFence) give() { f.turn <- struct{}{} }

func (n names) fence(partition int) string { return n.dead(fenceToken, strconv.Itoa(partition)) }

func (n names) isFence(subject string) bool {
	return strings.HasPrefix(subject, n.dead(fenceToken, ""))
}

// fenceMsg also looks like a letter of nobody, for processes of versions that know no fences.
func fenceMsg(subject, tenure string) (*nats.Msg, error) {
	msg, err := letterMsg(subject, Letter{Reason: fenceToken, FirstTry: never(), LastTry: never()})
	if err == nil {
		msg.Data = []byte(tenure) // for people who look
	}
	return msg, err
}

// fenceLetters sees to it that no letter that was sent before can be stored any more, whoever sent it, and that this tenure can
// store some. With ErrFull only the latter is missing. Other errors: ErrLost, ErrUnavailable. The caller has the turn.
func (p *Partition) fenceLetters(ctx context.Context) error {
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxElapsedTime(conflictPatience))
	err := backoff.Retry(func() error {
		err := p.tryFence(ctx)
		if err == nil || isConflict(err) {
			return err
		}
		return backoff.Permanent(err)
	}, backoff.WithContext(wait, ctx))
	if lost := p.Err(); lost != nil {
		return lost
	}
	if err == nil || errors.Is(err, ErrFull) {
		return err
	}
	return fmt.Errorf("%w: fencing the dead letters: %w", ErrUnavailable, err)
}

func (p *Partition) tryFence(ctx context.Context) error {
	subject, f := p.s.names.fence(p.id.number), &p.fence
	former, err := p.s.lastFence(ctx, subject)
	if err != nil {
		return err
	}
	// The partition is still ours with this commit, so whoever takes it over looks at the fence later than we have: its fence
	// comes after ours, or ours is refused.
	if err := commitAll(ctx, Settlement{}, p); err != nil {
		return err
	}
	_, h := p.held()
	msg, err := fenceMsg(subject, h.Tenure)
	if err != nil {
		return err
	}
	ack, err := p.s.write(ctx, "DEAD", msg, jetstream.WithExpectLastSequencePerSubject(former), jetstream.WithRetryAttempts(0))
	if isFull(err) && former > 0 {
		// Taking the former fence away keeps its owner out as well, and makes the room for ours.
		if err := p.s.dead.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(former+1)); err != nil {
			return fmt.Errorf("removing a former fence: %w", err)
		}
		former = 0
		ack, err = p.s.write(ctx, "DEAD", msg, jetstream.WithExpectLastSequencePerSubject(0), jetstream.WithRetryAttempts(0))
	}
	switch {
	case isFull(err): // no letter can be stored either, so it is time enough when one is to be
		f.seq, f.doubt = 0, false
		return errDeadFull
	case err != nil:
		return err
	}
	f.seq, f.doubt = ack.Sequence, false
	if former > 0 {
		if err := p.s.dead.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(f.seq)); err != nil {
			p.log.Debug("a former fence could not be removed, the next one pushes it out", zap.Error(err))
		}
	}
	return nil
}

// lastFence is the sequence of a fence in DEAD, 0 if there is none.
func (s *Store) lastFence(ctx context.Context, subject string) (uint64, error) {
	msg, err := s.dead.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading a fence: %w", err)
	}
	return msg.Sequence, nil
}

// fenced sees to it that no letter of another owner, and none of ours that had no clear answer, comes any more. Errors: those of
// fenceLetters; with ErrFull this holds too.
func (p *Partition) fenced(ctx context.Context) error {
	if p.s.Alone() {
		return nil
	}
	if err := p.fence.take(ctx); err != nil {
		return err
	}
	defer p.fence.give()
	if p.fence.seq > 0 && !p.fence.doubt {
		return nil
	}
	return p.fenceLetters(ctx)
}

// putFenced stores a letter under the fence, and returns its sequence in DEAD: 0 if it is there already and not to be replaced.
func (p *Partition) putFenced(ctx context.Context, id string, msg *nats.Msg, update bool) (seq uint64, err error) {
	f := &p.fence
	if err := f.take(ctx); err != nil {
		return 0, err
	}
	defer f.give()
	if !update { // the condition of the write is the fence; nobody else stores letters behind it
		switch _, there, err := p.s.stored(ctx, id); {
		case there > 0:
			return 0, nil
		case err != nil:
			return 0, err
		}
	}
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(10*time.Millisecond), backoff.WithMaxElapsedTime(conflictPatience))
	err = backoff.Retry(func() error {
		seq, err = p.tryFenced(ctx, msg)
		if err == nil || isConflict(err) {
			return err
		}
		return backoff.Permanent(err)
	}, backoff.WithContext(wait, ctx))
	return seq, err
}

func (p *Partition) tryFenced(ctx context.Context, msg *nats.Msg) (uint64, error) {
	f, subject := &p.fence, p.s.names.fence(p.id.number)
	if f.seq == 0 {
		if err := errors.Join(p.fenceLetters(ctx), p.Hold(ctx, publishTimeout)); err != nil {
			return 0, err
		}
	}
	ack, err := p.s.write(ctx, "DEAD", msg, jetstream.WithExpectLastSequenceForSubject(f.seq, subject))
	switch {
	case err == nil:
		return ack.Sequence, nil
	case !isConflict(err):
		f.doubt = f.doubt || unclear(err) // an answer to this letter says nothing about one before
		return 0, err
	}
	last, readErr := p.s.lastFence(ctx, subject)
	if readErr == nil && last != f.seq { // another owner's, or removed by hand: who is right is found out before the next try
		f.seq = 0
	}
	return 0, err
}

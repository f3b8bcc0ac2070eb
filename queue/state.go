package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// State is what is remembered under a key of STATE, and its revision; revision 0 means that there is nothing. Keys are
// dotted names such as "quota". It is for what belongs to the account as a whole; records and progress have their own ways.
// Error: ErrUnavailable.
func (s *Store) State(ctx context.Context, key string) (data []byte, rev uint64, err error) {
	data, rev, err = s.readState(ctx, s.names.state(key))
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return data, rev, nil
}

// PutState remembers data under key and returns the new revision once it is on disk. rev is what State answered: if
// somebody else has written since, nothing is stored and the error is ErrConflict. Errors: ErrConflict, ErrFull,
// ErrUnavailable, after which data may be stored all the same.
func (s *Store) PutState(ctx context.Context, key string, data []byte, rev uint64) (uint64, error) {
	ack, err := s.write(ctx, "STATE", &nats.Msg{Subject: s.names.state(key), Data: data}, jetstream.WithExpectLastSequencePerSubject(rev))
	switch {
	case err == nil:
		return ack.Sequence, nil
	case isConflict(err):
		return 0, fmt.Errorf("%w: STATE %s", ErrConflict, key)
	case isFull(err):
		return 0, fmt.Errorf("%w: stream STATE: give it more room (nats.max_bytes)", ErrFull)
	default:
		return 0, fmt.Errorf("%w: writing STATE %s: %w", ErrUnavailable, key, err)
	}
}

// StateRoom is how many bytes STATE takes before it is so full that events of new users are refused (80 %): as much as may be
// stored there of what can be done without. Error: ErrUnavailable.
func (s *Store) StateRoom(ctx context.Context) (int64, error) {
	info, err := s.state.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("%w: asking for the size of STATE: %w", ErrUnavailable, err)
	}
	return max(0, info.Config.MaxBytes/100*tightShare-int64(info.State.Bytes)), nil
}

// Clock is the broker's time: one clock for all processes that share the store. Error: ErrUnavailable.
func (s *Store) Clock(ctx context.Context) (time.Time, error) {
	info, err := s.state.Info(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: asking for the broker's time: %w", ErrUnavailable, err)
	}
	return info.TimeStamp, nil
}

// StateKeys are the keys below prefix that STATE holds something under: with prefix "replay" those like replay.1.
func (s *Store) StateKeys(ctx context.Context, prefix string) ([]string, error) {
	info, err := s.state.Info(ctx, jetstream.WithSubjectFilter(s.names.state(prefix+".*")))
	if err != nil {
		return nil, fmt.Errorf("%w: reading STATE: %w", ErrUnavailable, err)
	}
	var keys []string
	for subject := range info.State.Subjects {
		keys = append(keys, strings.TrimPrefix(subject, s.names.state("")))
	}
	slices.Sort(keys)
	return keys, nil
}

// DropState forgets what is remembered under key. Forgetting what is not there is no error.
func (s *Store) DropState(ctx context.Context, key string) error {
	if err := s.state.Purge(ctx, jetstream.WithPurgeSubject(s.names.state(key))); err != nil {
		return fmt.Errorf("%w: writing STATE %s: %w", ErrUnavailable, key, err)
	}
	return nil
}

// EraseState forgets what is remembered under key and overwrites its bytes in the broker's file. It is for keys that are written
// once: of former values the broker leaves the bytes. Error: ErrUnavailable.
func (s *Store) EraseState(ctx context.Context, key string) error {
	msg, err := s.lastState(ctx, s.names.state(key))
	if err == nil && msg != nil {
		err = s.state.SecureDeleteMsg(ctx, msg.Sequence)
	}
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("%w: erasing STATE %s: %w", ErrUnavailable, key, err)
	}
	return nil
}

// readState is the last value of a STATE subject and its revision; revision 0 means that there is none.
func (s *Store) readState(ctx context.Context, subject string) (data []byte, rev uint64, err error) {
	msg, err := s.lastState(ctx, subject)
	if err != nil || msg == nil {
		return nil, 0, err
	}
	return msg.Data, msg.Sequence, nil
}

// lastState is the last message of a STATE subject, nil if there is none.
func (s *Store) lastState(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	msg, err := s.state.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil //nolint:nilnil // "nothing is remembered" is an ordinary answer here
	}
	if err != nil {
		return nil, fmt.Errorf("reading STATE: %w", err)
	}
	return msg, nil
}

// writeState stores a value once, without a second try, and returns its revision.
func (s *Store) writeState(ctx context.Context, subject string, data []byte, opts ...jetstream.PublishOpt) (uint64, error) {
	ack, err := s.write(ctx, "STATE", &nats.Msg{Subject: subject, Data: data}, append(opts, jetstream.WithRetryAttempts(0))...)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

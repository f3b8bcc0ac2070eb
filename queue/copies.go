package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// A letter is an event with a person's data. The broker overwrites the bytes of what it is told to remove securely, but never of
// what it removes by itself because a newer message is on the same subject. So DEAD takes a letter's new copy beside the former
// one, and who stores it removes the former: at no moment is there none, and no copy ever leaves the index with its bytes in the file.

// shredCopies removes the copies of a letter with a smaller sequence than before, and overwrites their bytes.
func (s *Store) shredCopies(ctx context.Context, id string, before uint64) error {
	for from := uint64(1); ; from++ {
		msg, err := s.dead.GetMsg(ctx, from, jetstream.WithGetMsgSubject(s.names.letter(id)))
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && msg.Sequence >= before {
			return nil
		}
		if err == nil {
			from = msg.Sequence
			err = s.dead.SecureDeleteMsg(ctx, msg.Sequence)
		}
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return fmt.Errorf("%w: removing a copy of a dead letter: %w", ErrUnavailable, err)
		}
	}
}

// only is a letter that is about to be replaced, and its sequence: 0 if there is none. An earlier try may have got no further than
// storing it, and a third copy would push the first out, so what is there of former ones goes.
func (s *Store) only(ctx context.Context, id string) (*Letter, uint64, error) {
	old, seq, err := s.stored(ctx, id)
	if err != nil && seq == 0 {
		return nil, 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err != nil {
		s.figures.doubt() // it cannot be decoded, so nobody knows as what it was counted
		old = nil
	}
	return old, seq, s.shredCopies(ctx, id, seq)
}

// shredFormer removes the former copies of letters, given by the sequences of their last ones, that a crash has left.
func (p *Partition) shredFormer(ctx context.Context, last map[string]uint64) error {
	info, err := p.s.letterInfo(ctx)
	if err != nil {
		return err
	}
	copies := int64(info.State.Msgs)
	for _, fences := range info.State.Subjects {
		copies -= int64(fences)
	}
	if copies == lettersIn(info) {
		return nil // to ask for each would take a minute with a million letters
	}
	for id, seq := range last {
		if err := p.s.shredCopies(ctx, id, seq); err != nil {
			return err
		}
	}
	return nil
}

// letterInfo is the state of DEAD. The subjects that it lists are those of fences.
func (s *Store) letterInfo(ctx context.Context) (*jetstream.StreamInfo, error) {
	var opts []jetstream.StreamInfoOpt
	if !s.Alone() {
		opts = append(opts, jetstream.WithSubjectFilter(s.names.dead(fenceToken, "*")))
	}
	info, err := s.dead.Info(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("asking for the state of DEAD: %w", err)
	}
	return info, nil
}

// lettersIn is how many letters DEAD holds, by its letterInfo: each has a subject of its own.
func lettersIn(info *jetstream.StreamInfo) int64 {
	return int64(info.State.NumSubjects) - int64(len(info.State.Subjects))
}

// takeCopies lets DEAD take a letter's new copy beside the former one where an earlier version made it.
func (s *Store) takeCopies(ctx context.Context) error {
	cfg := s.dead.CachedInfo().Config
	if cfg.MaxMsgsPerSubject != 1 {
		return nil
	}
	if s.cfg.External != nil { // nothing is changed on others' servers
		s.log.Warn("letters that are set aside again leave their former copies in the broker's files until it uses these again",
			zap.String("stream", cfg.Name), zap.String("mend", fmt.Sprintf("nats stream edit %s --max-msgs-per-subject=%d", cfg.Name, letterCopies)))
		return nil
	}
	cfg.MaxMsgsPerSubject = letterCopies
	stream, err := s.js.UpdateStream(ctx, cfg)
	if err != nil {
		return fmt.Errorf("letting stream DEAD take copies: %w", err)
	}
	s.dead = stream
	return nil
}

package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/freshrelay/freshrelay/failpoint"
)

const (
	// headerLetter carries what is known about a letter, as JSON, so that a list needs no bodies.
	headerLetter = "Freshrelay-Letter"
	// headerEdits carries the edits. They hold what operators typed, so they are as personal as the body and never listed.
	headerEdits = "Freshrelay-Edits"
)

// storedLetter is a letter's header.
type storedLetter struct {
	Letter
	Job      uint64 `json:"job,omitempty"`
	Command  uint64 `json:"command,omitempty"`
	Activity bool   `json:"activity,omitempty"`
}

func stored(l Letter) storedLetter {
	return storedLetter{Letter: l, Job: l.Job, Command: l.Command, Activity: l.Activity}
}

func (s storedLetter) letter() Letter {
	l := s.Letter
	l.Job, l.Command, l.Activity = s.Job, s.Command, s.Activity
	return l
}

// PutLetter stores a dead letter and returns once it is on disk. The settlement that counts it comes after. A letter
// that is there already is replaced only if update is set: the first copy of a repeated settlement stays as it is. The bytes of the
// copy that is replaced are overwritten.
// Errors: ErrFull, ErrUnavailable, ErrLost.
func (p *Partition) PutLetter(ctx context.Context, l Letter, update bool) error {
	if err := p.fenced(ctx); err != nil {
		return err
	}
	if err := p.Hold(ctx, publishTimeout); err != nil {
		return err
	}
	l.ID, l.Activity = letterID(l.User, l.Position), p.id.activities
	msg, err := letterMsg(p.s.names.letter(l.ID), l)
	if err != nil {
		return err
	}
	var old *Letter
	var oldSeq uint64
	if update {
		if old, oldSeq, err = p.s.only(ctx, l.ID); err != nil {
			return err
		}
	}
	failpoint.Hit(failpoint.LetterBefore)
	p.burying(l)
	seq, err := p.writeLetter(ctx, l.ID, msg, update)
	if err != nil {
		if err = letterError(err); !errors.Is(err, ErrFull) {
			p.s.figures.doubt()
		}
		return err
	}
	if seq > 0 {
		p.buried(seq)
		p.s.figures.stored(l, seq, old, oldSeq)
	}
	if oldSeq > 0 {
		failpoint.Hit(failpoint.LetterReplaced)
		if err := p.s.shredCopies(ctx, l.ID, seq); err != nil {
			return err
		}
	}
	failpoint.Hit(failpoint.LetterAfter)
	return nil
}

// writeLetter stores a letter and returns its sequence in DEAD: 0 if it is there already and not to be replaced.
func (p *Partition) writeLetter(ctx context.Context, id string, msg *nats.Msg, update bool) (uint64, error) {
	if !p.s.Alone() {
		return p.putFenced(ctx, id, msg, update)
	}
	var opts []jetstream.PublishOpt
	if !update {
		opts = append(opts, jetstream.WithExpectLastSequencePerSubject(0))
	}
	ack, err := p.s.write(ctx, "DEAD", msg, opts...)
	switch {
	case err == nil:
		return ack.Sequence, nil
	case !update && isConflict(err):
		return 0, nil
	}
	return 0, err
}

var errDeadFull = fmt.Errorf("%w: stream DEAD: replay or discard dead letters, or give more room (nats.max_bytes)", ErrFull)

// letterError is why a letter was not stored.
func letterError(err error) error {
	switch {
	case errors.Is(err, ErrLost), errors.Is(err, ErrFull):
		return err
	case isFull(err):
		return errDeadFull
	}
	return fmt.Errorf("%w: storing a dead letter: %w", ErrUnavailable, err)
}

func letterMsg(subject string, l Letter) (*nats.Msg, error) {
	msg := nats.NewMsg(subject)
	msg.Data = l.Event
	head, err := json.Marshal(stored(l))
	if err != nil {
		return nil, fmt.Errorf("encoding a dead letter: %w", err)
	}
	msg.Header.Set(headerLetter, string(head))
	if len(l.Edits) == 0 {
		return msg, nil
	}
	edits, err := json.Marshal(l.Edits)
	if err != nil {
		return nil, fmt.Errorf("encoding a dead letter's edits: %w", err)
	}
	msg.Header.Set(headerEdits, string(edits))
	return msg, nil
}

func decodeLetter(h nats.Header, event []byte) (Letter, error) {
	var head storedLetter
	if err := json.Unmarshal([]byte(h.Get(headerLetter)), &head); err != nil {
		return Letter{}, fmt.Errorf("a dead letter's header is unreadable: %w", err)
	}
	l := head.letter()
	if edits := h.Get(headerEdits); edits != "" {
		if err := json.Unmarshal([]byte(edits), &l.Edits); err != nil {
			return Letter{}, errors.New("a dead letter's edits are unreadable") // the text of err may hold a value
		}
	}
	l.Event = event
	return l, nil
}

// DropLetter removes a letter, and its bytes from the broker's file. Removing one that is not there is no error. It removes what
// it has seen while the partition was surely its own: a new owner may store the same letter anew, and have it count.
// Errors: ErrUnavailable, ErrLost.
func (p *Partition) DropLetter(ctx context.Context, id string) error {
	if err := p.fenced(ctx); err != nil && !errors.Is(err, ErrFull) {
		return err
	}
	old, seq, err := p.s.stored(ctx, id)
	if err != nil {
		p.s.figures.doubt()
	}
	if err != nil && seq == 0 {
		return fmt.Errorf("%w: removing a dead letter: %w", ErrUnavailable, err)
	}
	readable := err == nil
	if err := p.Hold(ctx, publishTimeout); err != nil {
		return err
	}
	if err := p.s.shredCopies(ctx, id, seq+1); err != nil {
		p.s.figures.doubt()
		return fmt.Errorf("removing a dead letter: %w", err)
	}
	p.dropped(id)
	if old != nil && readable {
		p.s.figures.dropped(*old, seq)
	}
	return nil
}

// Letter is one dead letter with its event. Error: ErrNoLetter.
func (s *Store) Letter(ctx context.Context, id string) (Letter, error) {
	if _, _, err := parseLetterID(id); err != nil {
		return Letter{}, fmt.Errorf("%w: %w", ErrNoLetter, err)
	}
	l, _, err := s.stored(ctx, id)
	if err != nil {
		return Letter{}, err
	}
	if l == nil {
		return Letter{}, ErrNoLetter
	}
	return *l, nil
}

// stored is a letter and its sequence in DEAD; nil if there is none.
func (s *Store) stored(ctx context.Context, id string) (*Letter, uint64, error) {
	msg, err := s.dead.GetLastMsgForSubject(ctx, s.names.letter(id))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading a dead letter: %w", err)
	}
	l, err := decodeLetter(msg.Header, msg.Data)
	return &l, msg.Sequence, err
}

// EachLetter calls each with every letter that a filter selects, without its event, in the order in which they were set aside last.
// Who looks at all of them counts them by the way, see figures.
func (s *Store) EachLetter(ctx context.Context, f LetterFilter, each func(Letter) error) error {
	counting := false
	if f.All() && s.cfg.External == nil {
		last, err := s.LastLetter(ctx)
		if err != nil {
			return err
		}
		counting = s.figures.begin(last)
	}
	err := s.scanLetters(ctx, letterScan{user: f.User, may: f.may()}, func(seq uint64, l Letter) (bool, error) {
		if counting {
			s.figures.seen(seq, l)
		}
		if !f.Matches(l) {
			return true, nil
		}
		return true, each(l)
	})
	if counting {
		s.figures.end(err == nil)
	}
	return err
}

// letterScan says which part of DEAD to read.
type letterScan struct {
	user   string // ""
	from   uint64 // first sequence; 0: the first there is
	bodies bool
	// may says by the raw header that a letter need not be decoded; nil: all are.
	may func(head string) bool
}

// scanLetters calls each with a letter's sequence in DEAD and the letter until it says false.
func (s *Store) scanLetters(ctx context.Context, scan letterScan, each func(seq uint64, l Letter) (bool, error)) error {
	cfg := jetstream.OrderedConsumerConfig{HeadersOnly: !scan.bodies}
	if scan.user != "" { // a filter for all of them would cost the broker seconds with a million letters
		if _, _, err := parseLetterID(letterID(scan.user, 0)); err != nil {
			return nil // a user nobody can be: no letter is theirs, and it must not become a part of a subject
		}
		cfg.FilterSubjects = []string{s.names.dead(scan.user, "*")}
	}
	if scan.from > 1 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, scan.from
	}
	return s.scan(ctx, s.dead, cfg, func(msg jetstream.Msg) (bool, error) {
		if s.names.isFence(msg.Subject()) {
			return true, nil
		}
		meta, err := msg.Metadata()
		if err != nil {
			return false, fmt.Errorf("reading the dead letters: %w", err)
		}
		if scan.may != nil && !scan.may(msg.Headers().Get(headerLetter)) {
			return true, nil
		}
		l, err := decodeLetter(msg.Headers(), msg.Data())
		if err != nil {
			return false, err
		}
		if !scan.bodies {
			l.Event = nil
		}
		return each(meta.Sequence.Stream, l)
	})
}

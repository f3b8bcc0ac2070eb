package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/freshrelay/freshrelay/failpoint"
)

// headerLetter carries what is known about a letter, as JSON, so that a list needs no bodies.
const headerLetter = "Freshrelay-Letter"

const defaultLetters = 100

// PutLetter stores a dead letter and returns once it is on disk. The settlement that counts it comes after. A letter
// that is there already is replaced only if update is set: the first copy of a repeated settlement stays as it is.
// Errors: ErrFull, ErrUnavailable.
func (p *Partition) PutLetter(ctx context.Context, l Letter, update bool) error {
	// Letters are not fenced as commits are: one that a former owner stores late would count, though its event is delivered.
	if err := p.Hold(ctx, publishTimeout); err != nil {
		return err
	}
	l.ID = letterID(l.User, l.Position)
	head, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encoding a dead letter: %w", err)
	}
	msg := nats.NewMsg(p.s.names.dead(l.User, strconv.FormatUint(l.Position, 10)))
	msg.Data = l.Event
	msg.Header.Set(headerLetter, string(head))
	var opts []jetstream.PublishOpt
	if !update {
		opts = append(opts, jetstream.WithExpectLastSequencePerSubject(0))
	}
	failpoint.Hit(failpoint.LetterBefore)
	_, err = p.s.js.PublishMsg(ctx, msg, opts...)
	switch code := errorCode(err); {
	case err == nil, !update && isConflict(err):
		failpoint.Hit(failpoint.LetterAfter)
		return nil
	case code == codeStreamFull, code == codeServerFull:
		return fmt.Errorf("%w: stream DEAD: replay or discard dead letters, or give more room (nats.max_bytes)", ErrFull)
	default:
		return fmt.Errorf("%w: storing a dead letter: %w", ErrUnavailable, err)
	}
}

// DropLetter removes a letter. Removing one that is not there is no error.
func (p *Partition) DropLetter(ctx context.Context, id string) error {
	if err := p.s.dead.Purge(ctx, jetstream.WithPurgeSubject(p.s.names.letter(id))); err != nil {
		return fmt.Errorf("removing a dead letter: %w", err)
	}
	return nil
}

// EachLetter calls each with every stored letter, without its event, oldest first.
func (s *Store) EachLetter(ctx context.Context, each func(Letter) error) error {
	return s.scanLetters(ctx, s.names.dead("*", "*"), func(l Letter) error { return each(l) })
}

func (s *Store) scanLetters(ctx context.Context, subject string, each func(Letter) error) error {
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}, HeadersOnly: true}
	return s.scan(ctx, "DEAD", cfg, func(msg jetstream.Msg) (bool, error) {
		l, err := decodeLetter(msg.Headers(), nil)
		if err != nil {
			return false, err
		}
		return true, each(l)
	})
}

func decodeLetter(h nats.Header, event []byte) (Letter, error) {
	var l Letter
	if err := json.Unmarshal([]byte(h.Get(headerLetter)), &l); err != nil {
		return Letter{}, fmt.Errorf("a dead letter's header is unreadable: %w", err)
	}
	l.Event = event
	return l, nil
}

// Letter is one dead letter with its event. Error: ErrNoLetter.
func (s *Store) Letter(ctx context.Context, id string) (Letter, error) {
	if _, _, err := parseLetterID(id); err != nil {
		return Letter{}, fmt.Errorf("%w: %w", ErrNoLetter, err)
	}
	msg, err := s.dead.GetLastMsgForSubject(ctx, s.names.letter(id))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Letter{}, ErrNoLetter
	}
	if err != nil {
		return Letter{}, fmt.Errorf("reading a dead letter: %w", err)
	}
	return decodeLetter(msg.Header, msg.Data)
}

// Letters lists dead letters, oldest first, without their events, and says how many match in all.
func (s *Store) Letters(ctx context.Context, q LetterQuery) (letters []Letter, total int, err error) {
	if q.Limit == 0 {
		q.Limit = defaultLetters
	}
	user := q.User
	if user == "" {
		user = "*"
	}
	err = s.scanLetters(ctx, s.names.dead(user, "*"), func(l Letter) error {
		if !q.matches(l) {
			return nil
		}
		if total >= q.Offset && len(letters) < q.Limit {
			letters = append(letters, l)
		}
		total++
		return nil
	})
	return letters, total, err
}

func (q LetterQuery) matches(l Letter) bool {
	return (q.Reason == "" || q.Reason == l.Reason) && (q.Type == "" || q.Type == l.Type) && (q.Source == "" || q.Source == l.Source)
}

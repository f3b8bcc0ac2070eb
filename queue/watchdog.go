package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// unclearTries is how many tries to store something may go without an answer in a row. A full or broken disk looks like this:
// the embedded broker still tells its state but stores nothing, also when there is space again, and only a start heals it.
const unclearTries = 3

func (s *Store) silenceMend() string {
	if s.cfg.External != nil {
		return "see whether the NATS servers run and have a leader for the streams: nats stream report"
	}
	return "see whether the disk is full or broken, then restart"
}

// silences counts, for each stream, the tries in a row that have had no answer: a write error sticks to one stream, while the others
// go on.
type silences struct {
	mu      sync.Mutex
	streams map[string]silence
}

type silence struct {
	tries   int32
	counted time.Time // when the last of them was given up
}

// heard notes what became of a try that began at that moment. Tries that run at the same time meet the same trouble, so they count
// as one. Returned is how many have gone unanswered in a row.
func (s *silences) heard(stream string, began time.Time, answered bool) int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.streams[stream]
	switch {
	case answered:
		now = silence{}
	case !began.Before(now.counted):
		now.tries, now.counted = now.tries+1, time.Now()
	}
	if s.streams == nil {
		s.streams = map[string]silence{}
	}
	s.streams[stream] = now
	return now.tries
}

func (s *silences) of(stream string) int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[stream].tries
}

// watched counts one try to write to a stream, by its error. With an embedded broker the third in a row that timed out is the end:
// all partitions fail, and with them the process, for whoever supervises it to start it again. An external one is waited for.
func (s *Store) watched(stream string, began time.Time, last error) error {
	tries := s.silences.heard(stream, began, !unclear(last))
	if s.broker == nil || tries < unclearTries || !errors.Is(last, context.DeadlineExceeded) && !errors.Is(last, nats.ErrTimeout) {
		return nil
	}
	err := fmt.Errorf("%w: %d tries to write to stream %s had no answer: %s", ErrStuck, tries, stream, s.silenceMend())
	for _, p := range s.Owned() {
		p.fail(err)
	}
	s.log.Error("the embedded broker stores nothing in a stream any more; nothing accepted is lost, but only a new start can go on",
		zap.String("stream", stream), zap.Int32("tries", tries))
	return err
}

// write stores one message with a time of its own. An error is the broker's, or ErrStuck with it.
func (s *Store) write(ctx context.Context, stream string, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	tryCtx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	began := time.Now()
	ack, err := s.js.PublishMsg(tryCtx, msg, opts...)
	if ctx.Err() == nil { // else it was the caller who waited no longer
		if stuck := s.watched(stream, began, err); stuck != nil {
			return nil, fmt.Errorf("%w: %w", stuck, err)
		}
	}
	return ack, err
}

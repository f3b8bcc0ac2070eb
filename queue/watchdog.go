package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
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

// silent is told how many tries have gone unanswered in a row. With an embedded broker a third that timed out is the end: all partitions
// fail, and with them the process, for whoever supervises it to start it again. An external one is waited for.
func (s *Store) silent(what string, tries int32, last error) error {
	if s.broker == nil || tries < unclearTries || !errors.Is(last, context.DeadlineExceeded) && !errors.Is(last, nats.ErrTimeout) {
		return nil
	}
	err := fmt.Errorf("%w: %d tries to store %s had no answer: %s", ErrStuck, tries, what, s.silenceMend())
	for _, p := range s.Owned() {
		p.fail(err)
	}
	s.log.Error("the embedded broker stores nothing any more; nothing accepted is lost, but only a new start can go on", zap.String("what", what), zap.Int32("tries", tries))
	return err
}

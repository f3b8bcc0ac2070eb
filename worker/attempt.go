package worker

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/metrics"
)

// AttemptLogger is the name of the logger that has one line per attempt. Its lines are never folded: each is the only one
// about its attempt.
const AttemptLogger = "attempt"

// attempted says what came of one attempt to bring the turn's change to the account: one line in the log, with the same
// keys whatever came of it, and one count. failure is nil where there is none; wait is until the next attempt.
func (t *turn) attempted(way, outcome string, failure *freshmarketer.Error, wait time.Duration) {
	t.p.cfg.Metrics.Attempted(way, outcome)
	level, text := zapcore.InfoLevel, "delivered"
	switch outcome {
	case metrics.AttemptRetry:
		level, text = zapcore.WarnLevel, "delivery failed, trying again"
	case metrics.AttemptHeld:
		text = "delivery held"
	case metrics.AttemptChanged:
		text = "delivery failed, trying another way"
	case metrics.AttemptSetAside:
		level, text = zapcore.WarnLevel, "delivery failed, giving up"
	}
	line := t.p.attempts.Check(level, text)
	if line == nil {
		return
	}
	var id string
	if len(t.items) > 0 {
		id = letterID(t.lane.user, t.items[len(t.items)-1].Position)
	}
	if failure == nil {
		failure = new(freshmarketer.Error)
	}
	attempt := t.lane.attempts()
	if outcome != metrics.AttemptRetry { // the others are not counted as trouble of the lane's, or not yet
		attempt++
	}
	line.Write(zap.String("event_id", id), zap.String("lane", t.lane.user), zap.Int("events", len(t.calls)), zap.String("way", way),
		zap.Int("attempt", attempt), zap.String("outcome", outcome), zap.String("reason", string(failure.Kind)),
		zap.String("operation", failure.Op), zap.Int("status", failure.Status), zap.Duration("wait", wait))
}

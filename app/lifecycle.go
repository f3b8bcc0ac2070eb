package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// lifecycle is a stack of things to stop. Each is registered as soon as it exists and stopped in reverse order.
type lifecycle struct {
	log   *zap.Logger
	steps []step
}

type step struct {
	name  string
	limit time.Duration
	stop  func(context.Context) error
}

// onStop registers a stop. ctx ends after limit; the stop should return then, whatever it has left undone.
func (l *lifecycle) onStop(name string, limit time.Duration, stop func(ctx context.Context) error) {
	l.steps = append(l.steps, step{name, limit, stop})
}

// stop runs all stops, last first, and joins their errors. A second call finds nothing left.
func (l *lifecycle) stop() error {
	var all error
	for len(l.steps) > 0 {
		last := l.steps[len(l.steps)-1]
		l.steps = l.steps[:len(l.steps)-1]
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), last.limit)
		if err := last.stop(ctx); err != nil {
			all = errors.Join(all, fmt.Errorf("stopping %s: %w", last.name, err))
		}
		cancel()
		l.log.Debug("stopped", zap.String("part", last.name), zap.Duration("took", time.Since(began)))
	}
	return all
}

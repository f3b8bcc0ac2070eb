package queue

import (
	"fmt"
	"slices"
	"sync"

	"go.uber.org/zap"
)

// keptComplaints is how many of the broker's complaints are kept for the error of a start that cannot go on.
const keptComplaints = 5

// brokerLog routes the broker's own log to zap. Its lines name streams and hashed subjects, never event contents. What the
// broker calls a notice is for whoever looks for a fault in it: debug.
type brokerLog struct {
	log   *zap.SugaredLogger
	fatal chan string // capacity 1: the first line after which the broker is of no use

	mu         sync.Mutex
	complaints []string // the first warnings and errors
}

// Noticef logs what the broker does.
func (b *brokerLog) Noticef(format string, v ...any) { b.log.Debugf(format, v...) }

// Warnf logs what the broker could not do and goes on without.
func (b *brokerLog) Warnf(format string, v ...any) {
	b.complain(format, v...)
	b.log.Warnf(format, v...)
}

// Errorf logs what went wrong.
func (b *brokerLog) Errorf(format string, v ...any) {
	b.complain(format, v...)
	b.log.Errorf(format, v...)
}

// Fatalf logs the line on which a broker of its own would end its process.
func (b *brokerLog) Fatalf(format string, v ...any) {
	b.complain(format, v...)
	b.log.Errorf(format, v...)
	select {
	case b.fatal <- fmt.Sprintf(format, v...):
	default:
	}
}

// Debugf and Tracef are off in the broker: they show every message.
func (b *brokerLog) Debugf(string, ...any) {}

// Tracef is off.
func (b *brokerLog) Tracef(string, ...any) {}

func (b *brokerLog) complain(format string, v ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complaints) < keptComplaints {
		b.complaints = append(b.complaints, fmt.Sprintf(format, v...))
	}
}

func (b *brokerLog) said() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.complaints)
}

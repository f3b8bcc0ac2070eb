package app

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/freshrelay/freshrelay/worker"
)

const (
	// foldAfter is how many lines of one text are written in a foldTime; what repeats them is only counted.
	foldAfter = 5
	foldTime  = time.Minute
)

// folds counts the lines that were not written because they repeat others, and says so once a foldTime.
type folds struct {
	log *zap.Logger // below the folding

	mu     sync.Mutex
	counts map[foldedLine]int
	timer  *time.Timer // set while there is something to say
}

// foldedLine is what repeats: texts are our own and few, so they can be kept.
type foldedLine struct {
	level        zapcore.Level
	logger, text string
}

// fold returns a logger that writes a line of one text only so often a minute, and at the end of the minute one more that
// says how many there were. Attempts are never folded: each line is the only one about its attempt. tell is told of every
// line by its level. end says what is still to be said.
func fold(log *zap.Logger, tell func(level string, folded bool)) (folded *zap.Logger, end func()) {
	f := &folds{log: log, counts: map[foldedLine]int{}}
	wrap := zap.WrapCore(func(plain zapcore.Core) zapcore.Core {
		plain = zapcore.RegisterHooks(plain, func(e zapcore.Entry) error {
			tell(e.Level.String(), false)
			return nil
		})
		sampled := zapcore.NewSamplerWithOptions(plain, foldTime, foldAfter, 0, zapcore.SamplerHook(func(e zapcore.Entry, d zapcore.SamplingDecision) {
			if d&zapcore.LogDropped != 0 {
				tell(e.Level.String(), true)
				f.count(e)
			}
		}))
		return foldingCore{plain, sampled}
	})
	return log.WithOptions(wrap), f.say
}

// foldingCore chooses between the two ways for each line.
type foldingCore struct {
	zapcore.Core

	sampled zapcore.Core
}

// With implements zapcore.Core.
func (c foldingCore) With(fields []zapcore.Field) zapcore.Core {
	return foldingCore{c.Core.With(fields), c.sampled.With(fields)}
}

// Check implements zapcore.Core.
func (c foldingCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if e.LoggerName == worker.AttemptLogger || strings.HasSuffix(e.LoggerName, "."+worker.AttemptLogger) {
		return c.Core.Check(e, checked)
	}
	return c.sampled.Check(e, checked)
}

func (f *folds) count(e zapcore.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[foldedLine{e.Level, e.LoggerName, e.Message}]++
	if f.timer == nil {
		f.timer = time.AfterFunc(foldTime, f.say)
	}
}

// say writes one line for each text that was folded.
func (f *folds) say() {
	f.mu.Lock()
	counts := f.counts
	f.counts = map[foldedLine]int{}
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	f.mu.Unlock()
	for _, line := range slices.SortedFunc(maps.Keys(counts), func(a, b foldedLine) int { return strings.Compare(a.text, b.text) }) {
		f.log.Named(line.logger).Log(line.level, "lines were not written, they repeat others", zap.String("line", line.text), zap.Int("folded", counts[line]))
	}
}

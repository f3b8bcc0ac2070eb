package app

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/freshrelay/freshrelay/worker"
)

func TestRepeatsAreFolded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, lines := observer.New(zapcore.InfoLevel)
		told := map[bool]int{}
		log, end := fold(zap.New(core), func(_ string, folded bool) { told[folded]++ })
		named := log.Named("queue").With(zap.String("who", "x"))
		for range 100 {
			named.Warn("the broker does not answer")
			named.Debug("not for this level")
		}
		named.Warn("something else")
		if got := lines.FilterMessage("the broker does not answer").Len(); got != foldAfter {
			t.Errorf("%d lines were written", got)
		}
		if got := lines.FilterMessage("something else").Len(); got != 1 {
			t.Errorf("another line was written %d times", got)
		}
		time.Sleep(foldTime + time.Second)
		synctest.Wait()
		sums := lines.FilterMessage("lines were not written, they repeat others").All()
		if len(sums) != 1 || sums[0].ContextMap()["line"] != "the broker does not answer" || sums[0].ContextMap()["folded"] != int64(95) ||
			sums[0].Level != zapcore.WarnLevel || sums[0].LoggerName != "queue" {
			t.Errorf("the sum is %+v", sums)
		}
		named.Warn("the broker does not answer")
		if got := lines.FilterMessage("the broker does not answer").Len(); got != foldAfter+1 {
			t.Errorf("in the next minute it is written again: %d", got)
		}
		if told[false] != foldAfter+2 || told[true] != 95 {
			t.Errorf("told of %v", told)
		}
		end()
		if got := lines.FilterMessage("lines were not written, they repeat others").Len(); got != 1 {
			t.Errorf("%d sums, and there was nothing more to say", got)
		}
	})
}

// TestAttemptsAreNotFolded: each line is the only one about its attempt.
func TestAttemptsAreNotFolded(t *testing.T) {
	t.Parallel()
	core, lines := observer.New(zapcore.InfoLevel)
	log, end := fold(zap.New(core), func(string, bool) {})
	attempts := log.Named("worker").Named(worker.AttemptLogger)
	for range 50 {
		attempts.Info("delivered")
	}
	end()
	if lines.Len() != 50 {
		t.Errorf("%d of 50 lines were written", lines.Len())
	}
}

// TestWhatIsFoldedAtTheEndIsSaid, so that no line is lost without a word.
func TestWhatIsFoldedAtTheEndIsSaid(t *testing.T) {
	t.Parallel()
	core, lines := observer.New(zapcore.InfoLevel)
	log, end := fold(zap.New(core), func(string, bool) {})
	for range foldAfter + 2 {
		log.Info("again")
	}
	end()
	if got := lines.FilterField(zap.Int("folded", 2)).Len(); got != 1 {
		t.Errorf("%+v", lines.All())
	}
}

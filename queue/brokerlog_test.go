package queue

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// What the embedded broker has to say comes out of the program's own log, under its name and by its weight: here a directory
// among its streams that is none.
func TestTheBrokersWarningsAreOurs(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "jetstream", "jetstream", "$G", "streams", "STRAY"), 0o700); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	e, err := startEmbedded(t.Context(), dir, Encryption{}, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.stop(); err != nil {
			t.Error(err)
		}
	}()
	warned := logs.FilterLevelExact(zapcore.WarnLevel).FilterMessageSnippet("STRAY").All()
	if len(warned) != 1 || warned[0].LoggerName != "broker" {
		t.Errorf("warnings: %+v", warned)
	}
	// They also explain a start that cannot go on.
	if !slices.ContainsFunc(e.log.said(), func(line string) bool { return strings.Contains(line, "STRAY") }) {
		t.Errorf("it is not among the complaints: %q", e.log.said())
	}
	notices := logs.FilterLevelExact(zapcore.DebugLevel).FilterMessageSnippet("Server is ready").All()
	if len(notices) != 1 || notices[0].LoggerName != "broker" {
		t.Errorf("notices: %+v", notices)
	}
	if loud := logs.Filter(func(l observer.LoggedEntry) bool { return l.LoggerName == "broker" && l.Level == zapcore.InfoLevel }).Len(); loud != 0 {
		t.Errorf("%d notices of the broker are told to everybody", loud)
	}
}

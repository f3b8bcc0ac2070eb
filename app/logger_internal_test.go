package app

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/freshrelay/freshrelay/app/config"
)

func TestLoggerSpeaksToMachinesAndToPeople(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		format string
		json   bool
	}{{config.FormatJSON, true}, {config.FormatConsole, false}, {config.FormatAuto, true}} { // a buffer is no terminal
		var out bytes.Buffer
		log, _, err := NewLogger(config.Log{Level: "info", Format: tt.format}, &out)
		if err != nil {
			t.Fatal(err)
		}
		log.Named("queue").Warn("something", zap.Duration("wait", 1500*time.Millisecond))
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); (err == nil) != tt.json {
			t.Errorf("%s: %s", tt.format, out.String())
		}
		if !tt.json {
			if !strings.Contains(out.String(), "\tWARN\tqueue\tsomething\t") {
				t.Errorf("%s: %q", tt.format, out.String())
			}
			continue
		}
		if diff := cmp.Diff([]string{"level", "logger", "msg", "time", "wait"}, slices.Sorted(maps.Keys(line))); diff != "" || line["wait"] != "1.5s" {
			t.Errorf("%s: %v %s", tt.format, line, diff)
		}
	}
}

func TestLoggerChangesItsLevel(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, level, err := NewLogger(config.Log{Level: "warn", Format: config.FormatJSON}, &out)
	if err != nil {
		t.Fatal(err)
	}
	folded, end := fold(log, func(string, bool) {}) // as the service has it
	defer end()
	folded.Info("not yet")
	level.SetLevel(zapcore.DebugLevel)
	folded.Debug("now")
	level.SetLevel(zapcore.ErrorLevel)
	folded.Warn("no longer")
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"msg":"now"`) {
		t.Error(got)
	}
	if _, _, err := NewLogger(config.Log{Level: "loud"}, &out); err == nil {
		t.Error("a level that does not exist was taken")
	}
}

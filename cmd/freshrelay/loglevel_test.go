package main

import (
	"testing"

	"go.uber.org/zap/zapcore"

	"github.com/freshrelay/freshrelay/admin"
)

func TestLogLevel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if got := r.run(t, "log-level"); got.code != exitOK || got.out != "info\n" {
		t.Errorf("log-level: %+v", got)
	}
	if got := r.run(t, "log-level", "debug"); got.code != exitOK || got.out != "debug\n" || r.level.Level() != zapcore.DebugLevel {
		t.Errorf("log-level debug: %+v, and it is %v", got, r.level.Level())
	}
	if got := decode[admin.LogLevel](t, r.run(t, "log-level", "-o", "json").out); got.Level != "debug" {
		t.Errorf("log-level -o json: %+v", got)
	}
	if got := r.run(t, "log-level", "loud"); got.code != exitUsage || r.level.Level() != zapcore.DebugLevel {
		t.Errorf("a level that does not exist: %+v", got)
	}
}

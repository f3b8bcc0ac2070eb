package admin

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestLogLevel(t *testing.T) {
	t.Parallel()
	level := zap.NewAtomicLevelAt(zapcore.InfoLevel)
	s := newService(t, func(c *Config) { c.Level = level })
	if got := read[LogLevel](t, s, "GET", "/api/log-level", "", 200); got.Level != "info" {
		t.Errorf("it is %+v", got)
	}
	if got := read[LogLevel](t, s, "POST", "/api/log-level", `{"level":"debug"}`, 200); got.Level != "debug" || level.Level() != zapcore.DebugLevel {
		t.Errorf("told %+v, and it is %v", got, level)
	}
	if len(s.store.audits) != 1 || s.store.audits[0].Action != "log_level" || s.store.audits[0].Detail != "from info to debug" {
		t.Errorf("the audit log has %+v", s.store.audits)
	}
	for _, wrong := range []string{`{"level":"loud"}`, `{"level":""}`, `{"level":"fatal"}`, `{}`} {
		if p := read[Problem](t, s, "POST", "/api/log-level", wrong, 400); p.Mend == "" || level.Level() != zapcore.DebugLevel {
			t.Errorf("%s: %+v, and it is %v", wrong, p, level)
		}
	}
	fixed := newService(t)
	read[Problem](t, fixed, "GET", "/api/log-level", "", 409)
	read[Problem](t, fixed, "POST", "/api/log-level", `{"level":"debug"}`, 409)
}

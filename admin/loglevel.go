package admin

import (
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// LogLevel is what /api/log-level takes and answers: debug, info, warn or error.
type LogLevel struct {
	Level string `json:"level"`
}

// Leveler is how much is logged. *zap.AtomicLevel is one.
type Leveler interface {
	Level() zapcore.Level
	SetLevel(level zapcore.Level)
}

func logLevels() []string { return []string{"debug", "info", "warn", "error"} }

func (s *server) logLevel(w http.ResponseWriter, _ *http.Request) error {
	if s.Level == nil {
		return noLevel()
	}
	return answer(w, http.StatusOK, LogLevel{s.Level.Level().String()})
}

// setLogLevel holds until the next start, which takes the configured one.
func (s *server) setLogLevel(w http.ResponseWriter, r *http.Request) error {
	var req LogLevel
	if err := body(w, r, &req); err != nil {
		return err
	}
	level, err := zapcore.ParseLevel(req.Level)
	if err != nil || !slices.Contains(logLevels(), req.Level) {
		return badRequest("there is no such log level", "use "+strings.Join(logLevels(), ", "))
	}
	if s.Level == nil {
		return noLevel()
	}
	if err := s.audit(r, "log_level", 1, "from "+s.Level.Level().String()+" to "+level.String()); err != nil {
		return err
	}
	s.Level.SetLevel(level)
	s.Logger.Info("the log level was changed, until the next start", zap.Stringer("to", level))
	return answer(w, http.StatusOK, LogLevel{level.String()})
}

func noLevel() error {
	return &problem{http.StatusConflict, "the log of this process has a fixed level", "set log.level and start it again"}
}

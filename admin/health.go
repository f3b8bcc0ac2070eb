package admin

import (
	"net/http"

	"go.uber.org/zap"
)

// Health is the answer of /healthz: the process runs and answers.
type Health struct {
	Status  string `json:"status"`
	Version string `json:"version"`
}

// Readiness is the answer of /readyz. Reasons are from closed lists; the path is open to everybody.
type Readiness struct {
	Ready   bool     `json:"ready"`            // events can be stored now
	Reason  string   `json:"reason,omitempty"` // why not
	Sending bool     `json:"sending"`          // nothing holds the sender
	Paused  []string `json:"paused"`           // why it is held
	// Recovering is there while the store is being opened or closed.
	Recovering *Recovery `json:"recovering,omitempty"`
}

func (s *server) health(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, Health{Status: "ok", Version: s.Version})
}

func (s *server) ready(w http.ResponseWriter, r *http.Request) error {
	out := Readiness{Ready: true, Paused: []string{}}
	for _, p := range s.Sending().Paused {
		out.Paused = append(out.Paused, p.Reason)
	}
	out.Sending = len(out.Paused) == 0
	code := http.StatusOK
	if err := s.Ready(r.Context()); err != nil {
		s.Logger.Warn("not ready", zap.Error(err))
		out.Ready, out.Reason, code = false, problemOf(err).what, http.StatusServiceUnavailable
	}
	return answer(w, code, out)
}

package admin

import (
	"context"
	"net/http"

	"go.uber.org/zap"
)

// Sent is the answer of /api/pause and /api/resume: why nothing is sent now. It is empty if something is.
type Sent struct {
	Paused []Pause `json:"paused"`
}

// pause stops all calls of the API, in all processes, until resume. Events are taken in as before.
func (s *server) pause(w http.ResponseWriter, r *http.Request) error {
	return s.order(w, r, "pause", Operator.Pause)
}

// resume ends a pause, and nothing else that holds sending.
func (s *server) resume(w http.ResponseWriter, r *http.Request) error {
	return s.order(w, r, "resume", Operator.Resume)
}

func (s *server) order(w http.ResponseWriter, r *http.Request, action string, give func(Operator, context.Context) error) error {
	if s.Operator == nil {
		return &problem{http.StatusConflict, "this process takes calls in and sends nothing", "ask a process that sends: one with the role all or worker"}
	}
	if err := s.audit(r, action, 1, "all sending"); err != nil {
		return err
	}
	if err := give(s.Operator, r.Context()); err != nil {
		return err
	}
	s.Logger.Info("an order about sending was taken", zap.String("route", r.Pattern))
	return answer(w, http.StatusOK, Sent{Paused: advised(s.Sending().Paused)})
}

// advised are pauses with what to do about each.
func advised(pauses []Pause) []Pause {
	out := make([]Pause, 0, len(pauses))
	for _, p := range pauses {
		p.Mend = Advise(AboutPause, p.Reason).Mend
		out = append(out, p)
	}
	return out
}

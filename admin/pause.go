package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"go.uber.org/zap"
)

// Sent is the answer of /api/pause and /api/resume: why nothing is sent now. It is empty if something is.
type Sent struct {
	Paused []Pause `json:"paused"`
}

// PauseRequest is the body of /api/pause.
type PauseRequest struct {
	Note string `json:"note,omitempty"` // why; it stands in status and in the audit log
}

// pause stops all calls of the API, in all processes, until resume. Events are taken in as before.
func (s *server) pause(w http.ResponseWriter, r *http.Request) error {
	var req PauseRequest
	if r.ContentLength != 0 { // without a body there is no note
		if err := body(w, r, &req); err != nil {
			return err
		}
	}
	if len(req.Note) > maxNote {
		return badRequest(fmt.Sprintf("note has %d bytes, the limit is %d", len(req.Note), maxNote), "shorten it")
	}
	note := withoutAddresses(strings.TrimSpace(req.Note))
	about := "all sending"
	if note != "" {
		about += "; note: " + note
	}
	return s.order(w, r, "pause", about, func(o Operator, ctx context.Context) error { return o.Pause(ctx, actor(r), note) })
}

// resume ends a pause, and nothing else that holds sending.
func (s *server) resume(w http.ResponseWriter, r *http.Request) error {
	return s.order(w, r, "resume", "all sending", Operator.Resume)
}

func (s *server) order(w http.ResponseWriter, r *http.Request, action, about string, give func(Operator, context.Context) error) error {
	if s.Operator == nil {
		return &problem{http.StatusConflict, "this process takes calls in and sends nothing", "ask a process that sends: one with the role all or worker"}
	}
	if err := s.audit(r, action, 1, about); err != nil {
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

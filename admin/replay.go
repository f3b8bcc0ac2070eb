package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/replay"
	"github.com/freshrelay/freshrelay/segment"
)

// Replays are the jobs that send letters again or give them up. *replay.Runner is one.
type Replays interface {
	Start(ctx context.Context, j replay.Job) (replay.Report, error)
	Stop(ctx context.Context, id uint64) (replay.Report, error)
	Continue(ctx context.Context, id uint64) (replay.Report, error)
	Report(ctx context.Context, id uint64) (replay.Report, error)
	Reports(ctx context.Context) ([]replay.Report, error)
}

// Replay is how far a replay is.
type Replay = replay.Report

// ReplayList is the answer of /api/replays, the oldest first.
type ReplayList struct {
	Replays []Replay `json:"replays"`
}

// Edit is one change of an event's value.
type Edit = queue.Edit

// Limits of a request's edits.
const (
	maxEdits    = 20
	maxEditSize = 8 << 10
	maxNote     = 200
)

// ReplayRequest says what to do with which letters.
type ReplayRequest struct {
	Selection

	Action string       `json:"action,omitempty"` // replay.ActionReplay, the default, or replay.ActionDiscard
	Note   string       `json:"note,omitempty"`   // why they are given up; it goes into the audit log
	Edits  []queue.Edit `json:"edits,omitempty"`  // values that are changed first
}

// startReplay audits and begins a replay, or a discard, which is the same without delivering.
func (s *server) startReplay(w http.ResponseWriter, r *http.Request) error {
	var req ReplayRequest
	if err := body(w, r, &req); err != nil {
		return err
	}
	if err := s.check(&req.Selection); err != nil {
		return err
	}
	if err := checkEdits(req.Edits); err != nil {
		return err
	}
	job := replay.Job{Action: req.Action, Actor: actor(r), Filter: req.Filter.LetterFilter, IDs: req.IDs, Edits: req.Edits}
	switch req.Action {
	case "", replay.ActionReplay:
		job.Action = replay.ActionReplay
		if req.Note != "" {
			return badRequest("a note belongs to a discard", "leave it out")
		}
	case replay.ActionDiscard:
		job.Reason = reasonByOperator
		if strings.TrimSpace(req.Note) == "" || len(req.Note) > maxNote || len(req.Edits) > 0 {
			return badRequest("a discard needs a note and takes no edits", fmt.Sprintf("say why in up to %d characters", maxNote))
		}
	default:
		return badRequest("there is no such action", "use replay or discard")
	}
	counted, err := s.counted(r.Context(), req.Selection)
	if err != nil {
		return err
	}
	if counted.Count == 0 {
		return badRequest("no dead letter is selected", "see: freshrelay dlq list")
	}
	if err := s.auditReplay(r, req, job.Action, counted.Count); err != nil {
		return err
	}
	report, err := s.Replays.Start(r.Context(), job)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, report)
}

// auditReplay writes down what is about to be done, the changing of values by itself.
func (s *server) auditReplay(r *http.Request, req ReplayRequest, action string, letters int) error {
	detail := selected(req.Selection)
	if len(req.Edits) > 0 {
		paths := make([]string, len(req.Edits))
		for i, e := range req.Edits {
			paths[i] = e.Path
		}
		if err := s.audit(r, "set", letters, "paths "+strings.Join(paths, ", ")+"; "+detail); err != nil {
			return err
		}
	}
	if req.Note != "" {
		detail += "; note: " + withoutAddresses(req.Note)
	}
	return s.audit(r, action, letters, detail)
}

// reasonByOperator is the reason of letters that somebody gives up; the lanes know the same word.
const reasonByOperator = "by_operator"

// checkEdits refuses what the lanes could not apply: they would take the event for broken.
func checkEdits(edits []queue.Edit) error {
	if len(edits) > maxEdits {
		return badRequest(fmt.Sprintf("more than %d values are changed", maxEdits), "change fewer at once")
	}
	for _, e := range edits {
		if len(e.Value) > maxEditSize {
			return badRequest("the value for "+e.Path+" is too large", fmt.Sprintf("use up to %d bytes", maxEditSize))
		}
		if _, err := segment.Edit([]byte("{}"), e.Path, e.Value); err != nil {
			return badRequest(err.Error(), "see: freshrelay dlq replay --help")
		}
	}
	return nil
}

func (s *server) replays(w http.ResponseWriter, r *http.Request) error {
	list, err := s.Replays.Reports(r.Context())
	if err != nil {
		return fmt.Errorf("list replays: %w", err)
	}
	if list == nil {
		list = []Replay{}
	}
	return answer(w, http.StatusOK, ReplayList{Replays: list})
}

// replayRoute makes a handler about one replay, named in the path.
func (s *server) replayRoute(do func(context.Context, uint64) (replay.Report, error), action string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := replay.ParseName(r.PathValue("id"))
		if err != nil {
			return err
		}
		if action != "" {
			if err := s.audit(r, action, 0, "replay "+replay.Name(id)); err != nil {
				return err
			}
		}
		report, err := do(r.Context(), id)
		if err != nil {
			return err
		}
		return answer(w, http.StatusOK, report)
	}
}

// replayProblem says what an error of the replays means to the caller; nil if it is none of theirs.
func replayProblem(err error) *problem {
	switch {
	case errors.Is(err, replay.ErrNoJob):
		return &problem{http.StatusNotFound, "no such replay", "see: freshrelay dlq replays"}
	case errors.Is(err, replay.ErrState):
		return &problem{http.StatusConflict, err.Error(), "see: freshrelay dlq replays"}
	case errors.Is(err, replay.ErrTooMany):
		return &problem{http.StatusConflict, err.Error(), "see: freshrelay dlq replays"}
	case errors.Is(err, queue.ErrQuery):
		return &problem{http.StatusBadRequest, err.Error(), "correct it or leave it out"}
	}
	return nil
}

// Preview is what would become of one letter if it were sent again now.
type Preview struct {
	ID       string                 `json:"id"`
	Message  string                 `json:"message_id"`
	Outcome  string                 `json:"outcome"`
	Reason   string                 `json:"reason,omitempty"`
	Requests []PreviewRequest       `json:"requests"` // that write; none if there is nothing to write
	Fields   []queue.JournalField   `json:"fields"`
	LeftOut  []queue.JournalLeftOut `json:"left_out"`
	Note     string                 `json:"note,omitempty"` // what is to be said besides, as why nothing is sent
}

// PreviewRequest is a call to the API that was not made. Values in Body are masked unless they were asked for.
type PreviewRequest struct {
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Body   json.RawMessage `json:"body"`
}

// PreviewRequestBody asks for previews of the first letters of a selection.
type PreviewRequestBody struct {
	Selection

	Edits  []queue.Edit `json:"edits,omitempty"`
	Limit  int          `json:"limit,omitempty"` // 0: 20; 100 at most
	Reveal bool         `json:"reveal,omitempty"`
}

// PreviewList is the answer of /api/letters/preview.
type PreviewList struct {
	Previews []Preview `json:"previews"`
	Total    int       `json:"total"` // letters that are selected
	Masked   bool      `json:"masked"`
}

// Limits of a preview: it holds the events.
const (
	defaultPreviews = 20
	maxPreviews     = 100
)

// preview maps the first letters of a selection as a replay would and shows the requests. It writes nothing.
func (s *server) preview(w http.ResponseWriter, r *http.Request) error {
	var req PreviewRequestBody
	if err := body(w, r, &req); err != nil {
		return err
	}
	if err := errors.Join(s.check(&req.Selection), checkEdits(req.Edits)); err != nil {
		return err
	}
	if req.Limit <= 0 {
		req.Limit = defaultPreviews
	}
	letters, total, err := s.firstLetters(r.Context(), req.Selection, min(req.Limit, maxPreviews))
	if err != nil {
		return err
	}
	if req.Reveal {
		if err := s.audit(r, "reveal", len(letters), "requests of a replay; "+selected(req.Selection)); err != nil {
			return err
		}
	}
	out := PreviewList{Previews: []Preview{}, Total: total, Masked: !req.Reveal}
	if len(letters) > 0 {
		if out.Previews, err = s.Preview(r.Context(), letters, req.Edits); err != nil {
			return fmt.Errorf("preview a replay: %w", err)
		}
	}
	for i := range out.Previews {
		for j := range out.Previews[i].Requests {
			if !req.Reveal {
				out.Previews[i].Requests[j].Body = Mask(out.Previews[i].Requests[j].Body)
			}
		}
	}
	return answer(w, http.StatusOK, out)
}

// firstLetters are the first of a selection, with their events, in the order in which a replay takes them.
func (s *server) firstLetters(ctx context.Context, sel Selection, limit int) (letters []Letter, total int, err error) {
	if len(sel.IDs) > 0 {
		letters, _, err = s.present(ctx, sel.IDs)
		return letters[:min(limit, len(letters))], len(letters), err
	}
	page, err := s.Letters.Letters(ctx, queue.LetterQuery{LetterFilter: sel.Filter.LetterFilter, Limit: limit})
	if err != nil {
		return nil, 0, fmt.Errorf("list dead letters: %w", err)
	}
	for _, l := range page.Letters {
		whole, err := s.Letters.Letter(ctx, l.ID)
		if errors.Is(err, queue.ErrNoLetter) {
			continue // it has just been settled
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read a dead letter: %w", err)
		}
		letters = append(letters, whole)
	}
	return letters, page.Total, nil
}

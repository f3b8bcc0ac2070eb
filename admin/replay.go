package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"go.uber.org/zap"
)

// replayChunk is how many commands go into the log with one wait for the disk.
const replayChunk = 500

// ReplayRequest says which dead letters to send again: exactly one of IDs, Reason and All.
type ReplayRequest struct {
	IDs    []string `json:"ids,omitempty"`
	Reason string   `json:"reason,omitempty"`
	All    bool     `json:"all,omitempty"`
	DryRun bool     `json:"dry_run,omitempty"` // only count
}

// ReplayAnswer says what a replay will do or has begun. The letters take their turn in their users' lanes, so nothing
// is delivered yet when it is written.
type ReplayAnswer struct {
	Count   int      `json:"count"`   // letters selected
	Queued  bool     `json:"queued"`  // false for a dry run
	Letters []Letter `json:"letters"` // as they were before; empty for a dry run
	Missing []string `json:"missing"` // ids that are no dead letter (any more)
}

func (s *server) replay(w http.ResponseWriter, r *http.Request) error {
	var req ReplayRequest
	if err := body(w, r, &req); err != nil {
		return err
	}
	if ways := count(len(req.IDs) > 0, req.Reason != "", req.All); ways != 1 {
		return badRequest("the request does not say clearly which letters it means", `give exactly one of "ids", "reason" and "all"`)
	}
	ctx := r.Context()
	out, err := s.choose(ctx, req)
	if err != nil {
		return fmt.Errorf("select dead letters: %w", err)
	}
	out.Count = len(out.Letters)
	if req.DryRun {
		out.Letters = []Letter{}
		return answer(w, http.StatusOK, out)
	}
	queued := 0
	for chunk := range slices.Chunk(out.Letters, replayChunk) {
		ids := make([]string, len(chunk))
		for i, l := range chunk {
			ids[i] = l.ID
		}
		if err := s.Replayer.Replay(ctx, ids); err != nil {
			s.Logger.Error("replay stopped", zap.Int("letters", out.Count), zap.Int("queued", queued), zap.Error(err))
			p := problemOf(err)
			return &problem{
				p.code, fmt.Sprintf("only %d of %d letters could be queued: %s", queued, out.Count, p.what),
				p.mend + "; running the same replay again does nothing twice",
			}
		}
		queued += len(chunk)
	}
	out.Queued = true
	s.Logger.Info("replay queued", zap.Int("letters", queued), zap.String("reason", req.Reason), zap.Bool("all", req.All))
	return answer(w, http.StatusOK, out)
}

// choose finds the letters a request means.
func (s *server) choose(ctx context.Context, req ReplayRequest) (ReplayAnswer, error) {
	out := ReplayAnswer{Letters: []Letter{}, Missing: []string{}}
	if len(req.IDs) == 0 {
		err := s.Replayer.EachLetter(ctx, func(l Letter) error {
			if req.All || l.Reason == req.Reason {
				out.Letters = append(out.Letters, l)
			}
			return ctx.Err()
		})
		return out, err
	}
	ids := slices.Clone(req.IDs)
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		l, err := s.Letters.Letter(ctx, id)
		switch {
		case err == nil:
			l.Event = nil
			out.Letters = append(out.Letters, l)
		case problemOf(err).code == http.StatusNotFound:
			out.Missing = append(out.Missing, id)
		default:
			return out, err
		}
	}
	return out, nil
}

func count(conditions ...bool) int {
	n := 0
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/queue"
)

// MaxForget is how many users one request erases.
const MaxForget = 500

// maxUserID is the longest userId that can be erased (bytes): no longer one comes in by the door.
const maxUserID = 32 << 10

// ForgetRequest is the body of /api/forget.
type ForgetRequest struct {
	UserIDs []string `json:"user_ids"`
	Undo    bool     `json:"undo"` // let users come again that were erased
}

// Forgetting is the answer of /api/forget: for each user, in order, the call that is in the log now. It takes effect in the
// user's turn; the journal says what became of it.
type Forgetting struct {
	Users []ForgetCall `json:"users"`
}

// ForgetCall is one of them.
type ForgetCall struct {
	User      string `json:"user"` // token
	MessageID string `json:"message_id"`
}

// ErasingAnswer is the answer of GET /api/forget?user_id=…: whether calls of erased users may still be in the log's files.
type ErasingAnswer struct {
	InLog bool `json:"in_log"`
	// Erased is since when the user who was asked about is erased, so that calls are discarded; null: that user is not.
	Erased *time.Time `json:"erased"`
}

// forget erases users, or lets erased ones come again. The audit log names them by their tokens.
func (s *server) forget(w http.ResponseWriter, r *http.Request) error {
	var req ForgetRequest
	if err := body(w, r, &req); err != nil {
		return err
	}
	switch {
	case len(req.UserIDs) == 0:
		return badRequest("user_ids is empty", "name at least one userId")
	case len(req.UserIDs) > MaxForget:
		return badRequest(fmt.Sprintf("user_ids has %d entries, the limit is %d", len(req.UserIDs), MaxForget), "send several requests")
	}
	out := Forgetting{Users: make([]ForgetCall, len(req.UserIDs))}
	for i, id := range req.UserIDs {
		if strings.TrimSpace(id) == "" || len(id) > maxUserID {
			return badRequest(fmt.Sprintf("user_ids[%d] cannot be a userId", i), "leave out empty lines")
		}
		out.Users[i].User = s.User(id)
	}
	detail := out.Users[0].User
	if len(out.Users) > 1 {
		detail += fmt.Sprintf(" and %d more", len(out.Users)-1)
	}
	action := "forget"
	if req.Undo {
		action = "forget --undo"
	}
	if err := s.audit(r, action, len(req.UserIDs), detail); err != nil {
		return err
	}
	ids, err := s.Forget(r.Context(), req.UserIDs, req.Undo)
	if errors.Is(err, queue.ErrFull) || errors.Is(err, queue.ErrUnavailable) {
		return &problem{http.StatusServiceUnavailable, "the store takes no calls now", "look at freshrelay status, and repeat it: erasing twice does no harm"}
	}
	if err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	for i := range out.Users {
		out.Users[i].MessageID = ids[i]
	}
	return answer(w, http.StatusOK, out)
}

func (s *server) erasing(w http.ResponseWriter, r *http.Request) error {
	v, err := queryOf(r, "user_id")
	if err != nil {
		return err
	}
	var out ErasingAnswer
	if v["user_id"] != "" {
		at, err := s.Erased(r.Context(), v["user_id"])
		if err != nil {
			return fmt.Errorf("look whether a user is erased: %w", err)
		}
		out.Erased = moment(at)
	}
	still, err := s.Erasing(r.Context())
	if err != nil {
		return fmt.Errorf("look for erasures under way: %w", err)
	}
	out.InLog = still
	return answer(w, http.StatusOK, out)
}

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/mapping"
)

// Mapping is what the API needs to tell how calls become contacts.
type Mapping struct {
	// Fields are the account's fields and when they were read; none while they are not known.
	Fields   func() ([]mapping.Field, time.Time)
	Unmapped func() []mapping.Unmapped
	// Explain says what calls of a source would do, without doing it.
	Explain func(ctx context.Context, source string, calls [][]byte) ([]mapping.Explanation, error)
	// Resync forgets what was sent to one user (the token of User), or with "" to all. ErrResyncAll if one by one is too
	// many.
	Resync func(ctx context.Context, user string) error
}

// Explanation says what one call does and why.
type Explanation = mapping.Explanation

// Fate is what becomes of one trait.
type Fate = mapping.Fate

// Unmapped is one trait that finds no field.
type Unmapped = mapping.Unmapped

// Suggestion is a line for mapping.traits.
type Suggestion = mapping.Suggestion

// Fates of a trait besides those of the journal's fields.
const (
	FateAdded   = mapping.FateAdded
	FateLeftOut = mapping.FateLeftOut
)

// RuleText says how a trait found its field.
func RuleText(r mapping.Rule) string {
	switch r {
	case mapping.RuleMap:
		return "a line under mapping.traits"
	case mapping.RuleLabel:
		return "it is the field's label"
	case mapping.RuleSpelling:
		return "the label in another spelling"
	case mapping.RuleReserved:
		return "one of Segment's reserved names"
	case mapping.RuleFallback:
		return "identity.email_fallback"
	}
	return ""
}

// ErrResyncAll says that so many users were resynced one by one that the whole store should be.
var ErrResyncAll = errors.New("too many users were resynced one by one")

// ErrNoWorker says that this process only takes calls in; another one delivers.
var ErrNoWorker = errors.New("this process only takes calls in")

// FieldList is the answer of /api/mapping/fields: the account's fields in the shape of its own API, so that it can be
// saved and used in their place.
type FieldList struct {
	ReadAt time.Time       `json:"read_at"`
	Fields json.RawMessage `json:"fields"`
}

// UnmappedList is the answer of /api/mapping/unmapped: the traits that find no field, the most frequent first.
type UnmappedList struct {
	Traits []mapping.Unmapped `json:"traits"`
}

// SuggestionList is the answer of /api/mapping/suggestions, the most frequent first.
type SuggestionList struct {
	Suggestions []mapping.Suggestion `json:"suggestions"`
}

// ExplainRequest asks what calls would do.
type ExplainRequest struct {
	Source string            `json:"source"`
	Calls  []json.RawMessage `json:"calls"`
}

// ExplainAnswer has one explanation for each call. It holds the values of the request.
type ExplainAnswer struct {
	Explanations []mapping.Explanation `json:"explanations"`
}

// ResyncRequest says whose values are to be sent again: exactly one of UserID and All.
type ResyncRequest struct {
	UserID string `json:"user_id,omitempty"`
	All    bool   `json:"all,omitempty"`
}

// ResyncAnswer says that it is done. Nothing is sent before the users' next calls.
type ResyncAnswer struct {
	Done bool `json:"done"`
}

// maxExplain bounds the calls of one request; each costs a look into the store.
const maxExplain = 1000

func (s *server) mappingRoutes(mux *http.ServeMux) {
	mux.Handle("/api/mapping/fields", s.closed(get(s.fieldList)))
	mux.Handle("/api/mapping/unmapped", s.closed(get(s.unmapped)))
	mux.Handle("/api/mapping/suggestions", s.closed(get(s.suggestions)))
	mux.Handle("/api/mapping/explain", s.closed(post(s.explain)))
	mux.Handle("/api/resync", s.closed(post(s.resync)))
}

// known returns the account's fields, or a problem.
func (s *server) known() ([]mapping.Field, time.Time, error) {
	fields, at := s.Mapping.Fields()
	if len(fields) == 0 {
		return nil, at, &problem{http.StatusServiceUnavailable, "the account's fields are not known yet", Advise(AboutPause, "catalogue").Mend}
	}
	return fields, at, nil
}

func (s *server) fieldList(w http.ResponseWriter, _ *http.Request) error {
	fields, at, err := s.known()
	if err != nil {
		return err
	}
	data, err := mapping.EncodeFields(fields)
	if err != nil {
		return err
	}
	var list FieldList
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("shape the fields: %w", err)
	}
	list.ReadAt = at.UTC()
	return answer(w, http.StatusOK, list)
}

func (s *server) unmapped(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, UnmappedList{Traits: append([]mapping.Unmapped{}, s.Mapping.Unmapped()...)})
}

func (s *server) suggestions(w http.ResponseWriter, _ *http.Request) error {
	fields, _, err := s.known()
	if err != nil {
		return err
	}
	list := mapping.Suggest(mapping.NewCatalogue(fields), s.Mapping.Unmapped())
	return answer(w, http.StatusOK, SuggestionList{Suggestions: append([]mapping.Suggestion{}, list...)})
}

func (s *server) explain(w http.ResponseWriter, r *http.Request) error {
	var req ExplainRequest
	if err := body(w, r, &req); err != nil {
		return err
	}
	switch {
	case req.Source == "":
		return badRequest("source is missing", "say which source would send the calls")
	case len(req.Calls) == 0 || len(req.Calls) > maxExplain:
		return badRequest(fmt.Sprintf("there are %d calls", len(req.Calls)), fmt.Sprintf("give 1 to %d", maxExplain))
	}
	if _, _, err := s.known(); err != nil {
		return err
	}
	calls := make([][]byte, len(req.Calls))
	for i, c := range req.Calls {
		calls[i] = c
	}
	list, err := s.Mapping.Explain(r.Context(), req.Source, calls)
	if err != nil {
		return fmt.Errorf("explain: %w", err)
	}
	return answer(w, http.StatusOK, ExplainAnswer{Explanations: list})
}

func (s *server) resync(w http.ResponseWriter, r *http.Request) error {
	var req ResyncRequest
	if err := body(w, r, &req); err != nil {
		return err
	}
	if (req.UserID != "") == req.All {
		return badRequest("the request does not say clearly whom it means", `give exactly one of "user_id" and "all"`)
	}
	user := ""
	if !req.All {
		user = s.User(req.UserID)
	}
	err := s.Mapping.Resync(r.Context(), user)
	switch {
	case errors.Is(err, ErrNoWorker):
		return &problem{http.StatusServiceUnavailable, err.Error(), "ask a process that delivers: --admin-url"}
	case errors.Is(err, ErrResyncAll):
		return &problem{http.StatusConflict, err.Error(), "resync the whole store: freshrelay resync --all"}
	case err != nil:
		return err
	}
	s.Logger.Info("resync asked for", zap.String("user", user), zap.Bool("all", req.All))
	return answer(w, http.StatusOK, ResyncAnswer{Done: true})
}

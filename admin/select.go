package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/replay"
)

// Filter selects letters; empty fields do not filter.
type Filter struct {
	queue.LetterFilter

	UserID string `json:"user_id,omitempty"` // instead of User: it is turned into the token at once, and kept nowhere
}

// Selection says which letters a request means: exactly one of IDs, All and a Filter with something in it.
type Selection struct {
	IDs    []string `json:"ids,omitempty"`
	All    bool     `json:"all,omitempty"`
	Filter Filter   `json:"filter,omitzero"`
}

// Counted is the answer of /api/letters/count: what a selection means at this moment.
type Counted struct {
	Count   int                 `json:"count"`
	Groups  []queue.LetterGroup `json:"groups"`  // the largest first, ten at most
	Missing []string            `json:"missing"` // ids that are no dead letter (any more)
}

// maxShownGroups of a count.
const maxShownGroups = 10

func (s *server) filter(f Filter) queue.LetterFilter {
	if f.UserID != "" {
		f.User = s.User(f.UserID)
	}
	return f.LetterFilter
}

// check says whether a selection is clear.
func (s *server) check(sel *Selection) error {
	f := s.filter(sel.Filter)
	sel.Filter = Filter{LetterFilter: f}
	if ways := count(len(sel.IDs) > 0, sel.All, !f.All()); ways != 1 {
		return badRequest("the request does not say clearly which letters it means", `give exactly one of "ids", "all" and "filter"`)
	}
	if len(sel.IDs) > replay.MaxIDs {
		return badRequest(fmt.Sprintf("more than %d ids", replay.MaxIDs), "use a filter, or several requests")
	}
	slices.Sort(sel.IDs)
	sel.IDs = slices.Compact(sel.IDs)
	return nil
}

// present looks the letters of a selection by ids up: which are there, which are not.
func (s *server) present(ctx context.Context, ids []string) (letters []Letter, missing []string, err error) {
	missing = []string{}
	for _, id := range ids {
		l, err := s.Letters.Letter(ctx, id)
		switch {
		case err == nil:
			letters = append(letters, l)
		case errors.Is(err, queue.ErrNoLetter):
			missing = append(missing, id)
		default:
			return nil, nil, fmt.Errorf("look a dead letter up: %w", err)
		}
	}
	return letters, missing, nil
}

// count answers what a selection means, so that one can be asked before anything is done.
func (s *server) count(w http.ResponseWriter, r *http.Request) error {
	var sel Selection
	if err := body(w, r, &sel); err != nil {
		return err
	}
	if err := s.check(&sel); err != nil {
		return err
	}
	out, err := s.counted(r.Context(), sel)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, out)
}

func (s *server) counted(ctx context.Context, sel Selection) (Counted, error) {
	out := Counted{Groups: []queue.LetterGroup{}, Missing: []string{}}
	if len(sel.IDs) > 0 {
		letters, missing, err := s.present(ctx, sel.IDs)
		out.Count, out.Missing = len(letters), missing
		return out, err
	}
	groups, total, err := s.Letters.LetterGroups(ctx, sel.Filter.LetterFilter)
	if err != nil {
		return Counted{}, fmt.Errorf("count dead letters: %w", err)
	}
	out.Count = total
	out.Groups = append(out.Groups, groups[:min(len(groups), maxShownGroups)]...)
	return out, nil
}

// GroupList is the answer of /api/letters/groups.
type GroupList struct {
	Groups []queue.LetterGroup `json:"groups"` // the largest first
	Total  int                 `json:"total"`  // letters in all of them
}

func (s *server) groups(w http.ResponseWriter, r *http.Request) error {
	v, err := queryOf(r, filterNames()...)
	if err != nil {
		return err
	}
	f, err := s.filterOf(v)
	if err != nil {
		return err
	}
	groups, total, err := s.Letters.LetterGroups(r.Context(), f)
	if err != nil {
		return fmt.Errorf("group dead letters: %w", err)
	}
	if groups == nil {
		groups = []queue.LetterGroup{}
	}
	return answer(w, http.StatusOK, GroupList{Groups: groups, Total: total})
}

// filterNames are the parameters that select letters.
func filterNames() []string {
	return []string{"reason", "user_id", "user", "type", "source", "message_id", "field", "cause", "text", "status", "since", "until"}
}

// filterOf reads a filter out of a query.
func (s *server) filterOf(v map[string]string) (queue.LetterFilter, error) {
	f := Filter{
		LetterFilter: queue.LetterFilter{
			Reason: v["reason"], User: v["user"], Type: v["type"], Source: v["source"], MessageID: v["message_id"], Field: v["field"],
			Cause: v["cause"], Text: v["text"],
		},
		UserID: v["user_id"],
	}
	var err error
	if f.Status, err = number(v, "status", 0, 0, 599); err != nil {
		return queue.LetterFilter{}, err
	}
	for name, into := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if v[name] == "" {
			continue
		}
		if *into, err = time.Parse(time.RFC3339Nano, v[name]); err != nil {
			return queue.LetterFilter{}, badRequest(name+" is not a time", "write it like 2026-11-23T16:00:00Z")
		}
	}
	return s.filter(f), nil
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

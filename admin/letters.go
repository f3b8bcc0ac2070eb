package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// Letter is a dead letter without its event.
type Letter = queue.Letter

// Limits of one answer.
const (
	maxPage    = 1000 // letters of a page
	maxHistory = 50   // journal lines about a letter
)

// LetterList is the answer of /api/letters.
type LetterList struct {
	Letters []Letter `json:"letters"`
	Total   int      `json:"total"`          // letters that match, those of other pages included
	Next    string   `json:"next,omitempty"` // after of the next page; missing with the last
}

// LetterView is the answer of /api/letters/{id}: what came in, what went wrong, what to do.
type LetterView struct {
	Letter

	Meaning  string `json:"meaning"`    // what the reason says
	WhatToDo string `json:"what_to_do"` // and the way to mend it

	Docs    string   `json:"docs"`    // page with all reasons
	Cause   string   `json:"cause"`   // letters that one mend should help have the same
	Edited  []string `json:"edited"`  // paths that operators have changed
	History []Event  `json:"history"` // what the journal says of its tries, oldest first

	Surface    string          `json:"surface"`              // webhook or tracking
	ReceivedAt time.Time       `json:"received_at,omitzero"` // at our door
	Masked     bool            `json:"masked"`               // values of the event are replaced by their types
	Event      json.RawMessage `json:"event"`                // the call; null if what is stored cannot be read as one
	Raw        []byte          `json:"raw,omitempty"`
}

func (s *server) letters(w http.ResponseWriter, r *http.Request) error {
	q, err := s.letterQuery(r)
	if err != nil {
		return err
	}
	page, err := s.Letters.Letters(r.Context(), q)
	if err != nil {
		return fmt.Errorf("list dead letters: %w", err)
	}
	if page.Letters == nil {
		page.Letters = []Letter{}
	}
	return answer(w, http.StatusOK, LetterList{Letters: page.Letters, Total: page.Total, Next: page.Next})
}

func (s *server) letterQuery(r *http.Request) (queue.LetterQuery, error) {
	v, err := queryOf(r, append(filterNames(), "sort", "limit", "offset", "after")...)
	if err != nil {
		return queue.LetterQuery{}, err
	}
	q := queue.LetterQuery{Sort: v["sort"], After: v["after"]}
	if q.LetterFilter, err = s.filterOf(v); err != nil {
		return queue.LetterQuery{}, err
	}
	if q.Limit, err = number(v, "limit", 100, 1, maxPage); err != nil {
		return queue.LetterQuery{}, err
	}
	q.Offset, err = number(v, "offset", 0, 0, 1<<40)
	return q, err
}

// number reads a whole number out of a query.
func number(v map[string]string, name string, unset, low, high int) (int, error) {
	if v[name] == "" {
		return unset, nil
	}
	n, err := strconv.Atoi(v[name])
	if err != nil || n < low || n > high {
		return 0, badRequest(fmt.Sprintf("%s is not a number from %d to %d", name, low, high), "correct it or leave it out")
	}
	return n, nil
}

func (s *server) letter(w http.ResponseWriter, r *http.Request) error {
	v, err := queryOf(r, "reveal")
	if err != nil {
		return err
	}
	reveal := v["reveal"] == "true"
	l, err := s.Letters.Letter(r.Context(), r.PathValue("id"))
	if err != nil {
		return fmt.Errorf("read a dead letter: %w", err)
	}
	if reveal {
		// Who looks at people's data leaves a trace; the letter's id names nobody.
		if err := s.audit(r, "reveal", 1, "letter "+l.ID); err != nil {
			return err
		}
		s.Logger.Info("event of a dead letter revealed", zap.String("letter", l.ID))
	}
	view := viewOf(l, reveal)
	view.History, err = s.Journal.Journal(r.Context(), queue.JournalQuery{User: l.User, MessageID: l.MessageID, Limit: maxHistory})
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	if view.History == nil {
		view.History = []Event{}
	}
	return answer(w, http.StatusOK, view)
}

func viewOf(l Letter, reveal bool) LetterView {
	advice := Advise(AboutDead, l.Reason)
	v := LetterView{
		Letter: l, Meaning: advice.Meaning, WhatToDo: strings.ReplaceAll(advice.Mend, "<id>", l.ID), Masked: !reveal,
		Docs: "docs/errors.md#dead-letters", Cause: queue.Cause(l), Edited: []string{},
	}
	for _, e := range l.Edits {
		v.Edited = append(v.Edited, e.Path)
	}
	received, err := segment.Decode(l.Event)
	if err == nil {
		v.Surface, v.ReceivedAt = string(received.Surface), received.At
	}
	switch {
	case err != nil || !json.Valid(received.Body):
		if reveal {
			v.Raw = l.Event
		}
	case reveal:
		v.Event = received.Body
	default:
		v.Event = Mask(received.Body)
	}
	return v
}

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/freshrelay/freshrelay/queue"
)

// Event is one line of the journal: what became of a call.
type Event = queue.JournalEntry

// EventField is one contact field a call spoke about.
type EventField = queue.JournalField

// EventCall is one API call made for a call.
type EventCall = queue.JournalCall

// EventList is the answer of /api/events, oldest first. It is empty until the call is settled.
type EventList struct {
	Events []Event `json:"events"`
	// Letters are those of the calls that are dead letters now, by letter id, if they were asked for with content.
	Contents map[string]EventContent `json:"contents,omitempty"`
	Off      bool                    `json:"off,omitempty"` // the journal is switched off: nothing new is written
	// Waiting are calls that are stored and not settled, if they were asked for. WaitingPart says that so much waits that not all
	// of it was looked at.
	Waiting     []WaitingCall `json:"waiting,omitempty"`
	WaitingPart bool          `json:"waiting_part,omitempty"`
	// Older is the before of a request that looks further back in the journal for a message id; 0: there is nothing further back.
	Older uint64 `json:"older,omitempty"`
}

// EventContent is what is still stored of a call: the event itself is kept only while it waits or is a dead letter.
type EventContent struct {
	Event  json.RawMessage `json:"event"`
	Masked bool            `json:"masked"`
}

// EventTail is the answer of /api/events/tail.
type EventTail struct {
	Events []Event `json:"events"`
	Next   uint64  `json:"next"` // after of the next request
}

const (
	maxTail  = 500
	tailWait = 20 * time.Second // below requestTimeout
	maxShown = 20               // contents in an answer
)

func (s *server) events(w http.ResponseWriter, r *http.Request) error {
	v, err := queryOf(r, "message_id", "user_id", "user", "since", "limit", "content", "reveal", "waiting", "before")
	if err != nil {
		return err
	}
	q := queue.JournalQuery{MessageID: v["message_id"], User: v["user"]}
	if v["user_id"] != "" {
		q.User = s.User(v["user_id"])
	}
	if q.MessageID == "" && q.User == "" {
		return badRequest("message_id is missing, and user_id too", "say which call or whose calls to look for")
	}
	if q.Limit, err = number(v, "limit", 0, 1, 1000); err != nil {
		return err
	}
	if v["since"] != "" {
		if q.Since, err = time.Parse(time.RFC3339Nano, v["since"]); err != nil {
			return badRequest("since is not a time", "write it like 2026-11-23T16:00:00Z")
		}
	}
	before, err := number(v, "before", 0, 1, 1<<53)
	if err != nil {
		return err
	}
	out := EventList{Off: s.Journal.JournalOff()}
	if q.User == "" { // one bounded step back at a time: whoever asks goes on
		out.Events, out.Older, err = s.Journal.JournalBack(r.Context(), q.MessageID, q.Since, uint64(before))
	} else {
		out.Events, err = s.Journal.Journal(r.Context(), q)
	}
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	entries := out.Events
	if entries == nil {
		entries = []Event{}
		out.Events = entries
	}
	if v["waiting"] == "true" {
		if err := s.addWaiting(r.Context(), q, &out); err != nil {
			return err
		}
	}
	if v["content"] == "true" || v["reveal"] == "true" {
		if out.Contents, err = s.contents(r, entries, v["reveal"] == "true"); err != nil {
			return err
		}
	}
	return answer(w, http.StatusOK, out)
}

// contents fetches what is still stored of calls: those that are dead letters.
func (s *server) contents(r *http.Request, entries []Event, reveal bool) (map[string]EventContent, error) {
	out := map[string]EventContent{}
	for _, e := range entries {
		id := fmt.Sprintf("%s.%d", e.User, e.Position)
		if _, there := out[id]; there || len(out) == maxShown || e.Outcome != queue.Dead {
			continue
		}
		l, err := s.Letters.Letter(r.Context(), id)
		if errors.Is(err, queue.ErrNoLetter) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read a dead letter: %w", err)
		}
		view := viewOf(l, reveal)
		out[id] = EventContent{Event: view.Event, Masked: !reveal}
	}
	if reveal && len(out) > 0 {
		if err := s.audit(r, "reveal", len(out), "events show"); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// tail waits for new lines of the journal. The wait is shorter than a request may take; whoever follows asks again.
func (s *server) tail(w http.ResponseWriter, r *http.Request) error {
	v, err := queryOf(r, "after")
	if err != nil {
		return err
	}
	after, err := number(v, "after", 0, 0, 1<<53)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), tailWait)
	defer cancel()
	lines, next, err := s.Journal.JournalTail(ctx, uint64(after), maxTail)
	if err != nil {
		return fmt.Errorf("follow the journal: %w", err)
	}
	if lines == nil {
		lines = []Event{}
	}
	return answer(w, http.StatusOK, EventTail{Events: lines, Next: next})
}

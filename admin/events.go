package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/freshrelay/freshrelay/queue"
)

// Event is one line of the journal: what became of a call.
type Event = queue.JournalEntry

// EventField is one contact field a call spoke about.
type EventField = queue.JournalField

// EventList is the answer of /api/events, oldest first. It is empty until the call is settled.
type EventList struct {
	Events []Event `json:"events"`
}

func (s *server) events(w http.ResponseWriter, r *http.Request) error {
	v, err := queryOf(r, "message_id", "since")
	if err != nil {
		return err
	}
	if v["message_id"] == "" {
		return badRequest("message_id is missing", "say which call to look for")
	}
	var since time.Time
	if v["since"] != "" {
		if since, err = time.Parse(time.RFC3339Nano, v["since"]); err != nil {
			return badRequest("since is not a time", "write it like 2026-11-23T16:00:00Z")
		}
	}
	entries, err := s.Journal.Journal(r.Context(), queue.JournalQuery{MessageID: v["message_id"], Since: since})
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	if entries == nil {
		entries = []Event{}
	}
	return answer(w, http.StatusOK, EventList{Events: entries})
}

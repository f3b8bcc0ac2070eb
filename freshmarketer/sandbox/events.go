package sandbox

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// eventsPath is where the marketing side takes custom events: undocumented, seen in one production client.
const eventsPath = "/crm/marketer/mas/api/v1/events"

// maxEventName in characters. Source: Freshworks support, "Custom events".
const maxEventName = 50

// reservedEvents are names of the system's own events. Source: Freshworks support.
var reservedEvents = []string{ //nolint:gochecknoglobals // a table nobody writes to
	"email_sent", "email_delivered", "email_subscribed", "email_unsubscribed", "email_bounced", "email_opened", "email_clicked",
	"journey_entered", "journey_exited", "page_view",
}

// Event is a custom event that the sandbox recorded.
type Event struct {
	N          int64          `json:"n"` // of the Call
	At         time.Time      `json:"at"`
	Email      string         `json:"email"`
	Name       string         `json:"name"`
	Timestamp  string         `json:"timestamp"` // as it was sent
	Properties map[string]any `json:"properties"`
	Dropped    []string       `json:"dropped,omitempty"`    // attributes whose type is another than at first sight
	ContactID  int64          `json:"contact_id,omitempty"` // that had the address then, 0: none
}

// sendEvent is POST …/events?email=&event_name=&event_timestamp=. The answer's shape is not known; what makes a bad
// request is inferred. An attribute's type is fixed by its first value, and values of another type are silently not
// recorded (Freshworks support, "Custom events").
func (s *Sandbox) sendEvent(rq request) answer {
	if s.opt.NoEvents {
		return answer{status: http.StatusNotFound}
	}
	email, name := rq.query.Get("email"), rq.query.Get("event_name")
	properties := map[string]any{}
	if len(rq.body) > 0 {
		if err := unmarshal(rq.body, &properties); err != nil {
			return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
		}
	}
	switch {
	case strings.TrimSpace(email) == "" || strings.TrimSpace(name) == "" || utf8.RuneCountInString(name) > maxEventName,
		slices.Contains(reservedEvents, name):
		return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
	case !validAddress(email):
		return s.refuse(http.StatusBadRequest, s.say(invalidEmail, email))
	}
	c := s.store.unique("emails", email)
	if c == nil && s.opt.EventsNeedContact {
		return s.refuse(http.StatusBadRequest, s.say(notInCRM))
	}
	event := Event{N: rq.n, At: rq.at, Email: email, Name: name, Timestamp: rq.query.Get("event_timestamp"), Properties: map[string]any{}}
	for _, attribute := range slices.Sorted(maps.Keys(properties)) {
		v := properties[attribute]
		key := name + "\x00" + attribute
		kind := attributeType(v)
		if s.attributes[key] == "" && kind != "" {
			s.attributes[key] = kind
		}
		if kind == "" || s.attributes[key] != kind {
			event.Dropped = append(event.Dropped, attribute)
			continue
		}
		event.Properties[attribute] = v
	}
	if c != nil {
		event.ContactID = c.ID
	}
	s.events = append(s.events, event)
	return answer{status: http.StatusOK, body: map[string]any{}, effect: true, contactID: event.ContactID}
}

// attributeType is "" for what no attribute can be: null, lists and objects.
func attributeType(v any) string {
	switch v := v.(type) {
	case json.Number:
		return "number"
	case bool:
		return "boolean"
	case string:
		if _, err := time.Parse(time.RFC3339, v); err == nil {
			return "date"
		}
		return "text"
	}
	return ""
}

// Events returns the recorded events, oldest first.
func (s *Sandbox) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

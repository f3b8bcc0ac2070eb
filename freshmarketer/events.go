package freshmarketer

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// EventsPath is the events endpoint of the marketing side, below the host.
// Source: seen in one production client only; no public documentation.
const EventsPath = "/crm/marketer/mas/api/v1/events"

// MaxEventName is the longest name of an event, in characters. Source: Freshworks support, "Custom events".
const MaxEventName = 50

// Event is a custom event of a contact.
type Event struct {
	Email      string // of the contact, which should exist
	Name       string // at most MaxEventName characters
	At         time.Time
	Properties Fields // flat: text, numbers, booleans. An attribute's first value fixes its type; others are not recorded
}

// SendEvent records an event. It cannot be repeated: a second call makes a second event. Error.MayHaveEffect says when
// a failed one may have been recorded all the same.
//
// The endpoint is undocumented and the shape of its answer unknown, so any 2xx is success. KindUnsupported means that
// the account does not have it.
func (c *Client) SendEvent(ctx context.Context, e Event) error {
	switch {
	case strings.TrimSpace(e.Email) == "" || strings.TrimSpace(e.Name) == "":
		return refuse(OpSendEvent, "an event needs an email address and a name")
	case utf8.RuneCountInString(e.Name) > MaxEventName:
		return refuse(OpSendEvent, "the name of the event is longer than 50 characters")
	}
	properties := map[string]any{} // not nil: without properties the body is {}
	maps.Copy(properties, e.Properties)
	cl := call{
		op: OpSendEvent, method: http.MethodPost, path: EventsPath, root: true, body: properties,
		query: url.Values{"email": {e.Email}, "event_name": {e.Name}, "event_timestamp": {e.At.UTC().Format(time.RFC3339)}},
		sent:  ContactWrite{Fields: e.Properties}.sent("email", e.Email),
	}
	cl.sent.add(e.Name)
	cl.sent.add(url.QueryEscape(e.Email))
	cl.sent.add(url.QueryEscape(e.Name))
	return c.do(ctx, cl, acknowledged)
}

// Package segment is the Segment event as this program sees it: the stored form of a call (Received), its parsed
// form (Event), and what has to be known about Segment's wire format to get from one to the other.
//
// What is promised:
//
//   - No input makes it panic or take more than linear time and memory in the size of the input.
//   - Values keep their bytes. An object is cut, extended and joined again without re-encoding what it holds: a
//     number keeps its lexeme, a string its escapes.
//   - Errors say where something is wrong, never what stood there: they may be logged.
//   - No I/O and no clock: whoever needs the time passes it in.
package segment

import (
	"strings"
	"time"
)

// Type is the kind of a Segment call.
type Type string

// The calls of the Segment spec, and delete, which the Webhooks destination sends when a user is to be forgotten.
// Source: Segment docs, Spec; Segment docs, Webhooks destination.
const (
	Identify Type = "identify"
	Track    Type = "track"
	Page     Type = "page"
	Screen   Type = "screen"
	Group    Type = "group"
	Alias    Type = "alias"
	Delete   Type = "delete"
)

// ParseType reads a call's type. Case is ignored: Segment's own integrations ignore it too. It returns false for
// anything that is not a type of the spec.
func ParseType(s string) (Type, bool) {
	// The longest type has eight letters; a hostile type of half a megabyte is not worth folding.
	if len(s) > len(Identify) {
		return "", false
	}
	switch t := Type(strings.ToLower(s)); t {
	case Identify, Track, Page, Screen, Group, Alias, Delete:
		return t, true
	default:
		return "", false
	}
}

// Surface is the way a call came in. It decides how far its timestamp and its integrations object can be trusted.
type Surface string

const (
	// SurfaceWebhook is a call that Segment sent on: it has corrected the timestamp, and may have rewritten the
	// integrations object to name the webhook.
	SurfaceWebhook Surface = "webhook"
	// SurfaceTracking is a call that a client library sent to us as if we were Segment's Tracking API.
	SurfaceTracking Surface = "tracking"
)

// Trait is one trait of a call. Value is a string, json.Number (with the lexeme as sent), bool, nil, []any or
// map[string]any.
type Trait struct {
	Key   string
	Value any
}

// Event is a call, parsed for the lane of its user.
type Event struct {
	Type        Type
	MessageID   string // the call's own, or the one it was given at the door
	UserID      string // "" when absent
	AnonymousID string // "" when absent
	GroupID     string // of a group call, "" when absent
	PreviousID  string // of an alias call, "" when absent
	AliasID     string // of a call of type Previous: the userId of the alias call; UserID is its previousId
	Source      string // name of the configured source
	Surface     Surface

	// Traits are in document order. Where a key stands twice, the last value counts, at the first one's place:
	// what a JavaScript reader, such as Segment itself, makes of it.
	Traits        []Trait
	ContextTraits []Trait // of context.traits, likewise

	// Partial says that the call comes from Engage (context.personas): it carries one trait of many, so what is
	// missing in it says nothing. Source: Segment docs, Engage, "Using Engage data".
	Partial bool
	// Disabled says that the call's integrations object excludes Freshmarketer.
	Disabled bool

	// Timestamp is when it happened, corrected by the sender's clock skew on SurfaceTracking. Zero if the call
	// does not say it readably.
	Timestamp time.Time
	Received  time.Time // arrival at our door
}

// Clock is the time by which calls are ordered: the earlier of timestamp and arrival. A timestamp in the future
// must not make a call win over those that come after it.
func (e Event) Clock() time.Time {
	if e.Timestamp.IsZero() || e.Timestamp.After(e.Received) {
		return e.Received
	}
	return e.Timestamp
}

package mapping

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/freshrelay/freshrelay/segment"
)

// ActivityAs says what a forwarded track or page call becomes.
type ActivityAs string

// What there is to become.
const (
	AsActivity ActivityAs = "activity" // a sales activity in the contact's timeline
	AsEvent    ActivityAs = "event"    // a custom event of the marketing side; its endpoint is undocumented
)

// Limits of an activity's texts, in characters. The API's own are not known; these fit whatever text columns there are.
const (
	maxActivityTitle = 255
	maxActivityNotes = 4000
	// maxEventName is the API's limit for an event's name and for those of its attributes. Source: Freshworks support, "Custom events".
	maxEventName = 50
)

// Activities says what becomes of forwarded track and page calls.
type Activities struct {
	As ActivityAs // "" is AsActivity
	// Type names the type of the activities, as the account has it; Types that of single events or pages, by their name.
	Type  string
	Types map[string]string
	Owner string // id, address or name of the sales owner that the activities get
	Title Template
	Notes Template
}

// Activity is what one call becomes.
type Activity struct {
	Name       string // of the event: the call's, and for a page "Viewed … Page"
	Type       string // name of the activity's type
	Title      string
	Notes      string
	At         time.Time // the call's clock, in whole seconds: that is what the API keeps
	Properties []segment.Trait
}

// JudgeActivity says why a track or page call is discarded before anything is known of its contact, "" if it is not. The record
// is that of the activities.
func JudgeActivity(rec Record, c Call) Reason {
	ev := &c.Event
	switch {
	case !ev.Type.Happens():
		return ReasonNotForwarded
	case ev.Disabled:
		return ReasonIntegrationsDisabled
	case !c.Replay && ev.MessageID != "" && rec.Ring.has(hashMessage(ev.Source, ev.MessageID), ev.Received):
		return ReasonDuplicate
	case strings.TrimSpace(ev.UserID) == "":
		return ReasonMissingUserID
	}
	return ""
}

// Make turns a call into an activity or event. The reason is why it cannot be one, "" if it can.
func (a Activities) Make(r segment.Received, ev segment.Event) (Activity, Reason) {
	h, err := r.Happening()
	if err != nil {
		return Activity{}, ReasonNoName // Event has read the same bytes, so this does not happen
	}
	out := Activity{Name: nameOf(ev.Type, h.Name), At: ev.Clock().UTC().Truncate(time.Second), Properties: h.Properties}
	if out.Name == "" {
		return out, ReasonNoName
	}
	if a.As == AsEvent {
		switch {
		case utf8.RuneCountInString(out.Name) > maxEventName:
			return out, ReasonNameTooLong
		case reservedEvent(out.Name):
			return out, ReasonReservedName
		}
		return out, ""
	}
	out.Type = a.Type
	for name, typ := range a.Types {
		if strings.EqualFold(strings.TrimSpace(name), strings.TrimSpace(h.Name)) {
			out.Type = typ
		}
	}
	if out.Title = strings.ReplaceAll(a.Title.fill(out.Name, &h, maxActivityTitle), "\n", " "); out.Title == "" {
		out.Title = clip(out.Name, maxActivityTitle)
	}
	out.Notes = a.Notes.fill(out.Name, &h, maxActivityNotes)
	return out, ""
}

// nameOf is the name of what happened. A page without a name is still a page; a track call without an event is nothing.
// Source: Segment docs, Spec: Page, which destinations show as "Viewed … Page".
func nameOf(typ segment.Type, name string) string {
	name = strings.Join(strings.Fields(printable(name)), " ")
	switch {
	case typ != segment.Page:
		return name
	case name == "":
		return "Viewed a Page"
	}
	return "Viewed " + name + " Page"
}

// reservedEvent says whether Freshmarketer keeps the name for itself, spelt in whatever way.
// Source: Freshworks support, "Custom events": names of system events.
func reservedEvent(name string) bool {
	switch strings.ReplaceAll(strings.ToLower(name), " ", "_") {
	case "email_sent", "email_delivered", "email_subscribed", "email_unsubscribed", "email_bounced", "email_opened", "email_clicked",
		"journey_entered", "journey_exited", "page_view":
		return true
	}
	return false
}

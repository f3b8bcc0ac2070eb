package mapping

import (
	"maps"
	"slices"
	"strings"
)

// maxLinks is how many companies of a user are remembered: a contact belongs to ten accounts at most, and the record must
// not grow with somebody who makes up companies. Source of the ten: a connector's documentation.
const maxLinks = 50

// Link is what is remembered of a user's belonging to a company. Belonging is only ever added, so calls may come in any
// order: none is older than what it says.
type Link struct {
	// Sent is when the contact was last seen to be linked, or not to take the link, in unix seconds; 0 while it is not.
	Sent int64 `json:"u,omitempty"`
	// Full says that the contact had as many accounts as one can have.
	Full bool `json:"x,omitempty"`
}

// Names of the link in outcomes.
const (
	linkField = "sales_accounts"
	linkLabel = "Accounts"
	linkTrait = "groupId"
)

// link takes in the half of a group call that is about its user. Its traits are the company's, so none is a field of the
// contact: not even email. Source: Segment docs, Spec: Group.
func (f *folder) link(c *Call) Outcome {
	ev := &c.Event
	message := hashMessage(ev.Source, ev.MessageID)
	switch {
	case ev.Disabled:
		return Outcome{Reason: ReasonIntegrationsDisabled}
	case !c.Replay && ev.MessageID != "" && f.rec.Ring.has(message, ev.Received):
		return Outcome{Reason: ReasonDuplicate}
	case strings.TrimSpace(ev.UserID) == "":
		return Outcome{Reason: ReasonMissingUserID}
	case c.Group == "":
		return Outcome{Reason: ReasonMissingGroupID}
	}
	if ev.MessageID != "" {
		f.rec.Ring.add(message, ev.Received)
	}
	f.userID = ev.UserID
	is, known := f.rec.Links[c.Group]
	switch fresh := f.fresh(is.Sent); {
	case fresh && is.Full, !known && len(f.rec.Links) >= maxLinks:
		return Outcome{Reason: ReasonLinkLimit}
	case fresh && !f.again:
		return linkOutcome(ActionUnchanged)
	}
	if f.wanted == nil {
		f.wanted = map[string]bool{}
	}
	f.wanted[c.Group] = true
	f.rec.setLink(c.Group, Link{})
	return linkOutcome(ActionSet)
}

func linkOutcome(a Action) Outcome {
	return Outcome{Delivered: true, Fields: []FieldOutcome{{Name: linkField, Label: linkLabel, Trait: linkTrait, Rule: RuleReserved, Action: a}}}
}

// linked corrects what was said before it was known whether there is a contact: the links of a user without one stay
// remembered, and are made with the contact.
func (f *folder) linked(outcomes []Outcome) {
	if f.known || f.userID == "" {
		return
	}
	for i, o := range outcomes {
		if o.Delivered && len(o.Fields) == 1 && o.Fields[0].Name == linkField {
			outcomes[i] = Outcome{Reason: ReasonNoContactYet}
		}
	}
}

// links are those to be made now: what the calls speak of, and what was spoken of before there was a contact or an account.
// They count as made in the record.
func (f *folder) links() []string {
	if !f.known {
		return nil
	}
	var now []string
	for _, group := range slices.Sorted(maps.Keys(f.rec.Links)) {
		if is := f.rec.Links[group]; is.Sent == 0 || f.wanted[group] {
			f.rec.setLink(group, Link{Sent: f.now})
			now = append(now, group)
		}
	}
	return now
}

func (r *Record) setLink(group string, l Link) {
	if r.Links == nil {
		r.Links = map[string]Link{}
	}
	r.Links[group] = l
}

// Unlink is for a link that was not made: it is still wanted, and tried with the user's next call.
func (r *Record) Unlink(group string) {
	r.Links = maps.Clone(r.Links)
	r.setLink(group, Link{})
}

// LinkFull is for a link that the contact cannot take. It is not tried again for a while.
func (r *Record) LinkFull(group string) {
	r.Links = maps.Clone(r.Links)
	r.setLink(group, Link{Sent: r.Links[group].Sent, Full: true})
}

// ForgetLink is for a link that nobody wants any more: the call that did was set aside, and brings it again.
func (r *Record) ForgetLink(group string) {
	r.Links = maps.Clone(r.Links)
	delete(r.Links, group)
}

func (r *Record) forgetLinks() { r.forgetLinksUntil(1<<63 - 1) }

func (r *Record) forgetLinksUntil(t int64) {
	r.Links = maps.Clone(r.Links) // the record may be a copy that shares them
	for group, l := range r.Links {
		if l.Sent <= t {
			r.Links[group] = Link{}
		}
	}
}

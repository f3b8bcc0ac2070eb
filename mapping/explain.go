package mapping

import (
	"slices"

	"github.com/freshrelay/freshrelay/segment"
)

// Explanation says what one call does and why. It is for the person who sent the call: it holds values.
type Explanation struct {
	MessageID string `json:"message_id"`
	Type      string `json:"type"`
	UserID    string `json:"user_id"`
	Source    string `json:"source"`
	Partial   bool   `json:"partial"`           // it comes from Engage, or has no userId: it empties nothing
	Outcome   string `json:"outcome"`           // delivered, discarded, dead, or dropped at the door; unknown if nobody can say
	Reason    Reason `json:"reason,omitempty"`  // why it is not delivered
	Contact   string `json:"contact,omitempty"` // id of the contact that is known before; of a company that of its account
	Note      string `json:"note,omitempty"`    // what is to be said besides, as why there is no request
	// Traits are first those that reach a field or are held, then the fields that are emptied because the call leaves them
	// out, then the traits that are left out.
	Traits []Fate `json:"traits"`
	// Defaults are what the contact gets besides, if it is new.
	Defaults []Fate    `json:"defaults,omitempty"`
	Requests []Request `json:"requests"` // none: nothing to send
	More     int       `json:"more,omitempty"`
}

// Fate is what becomes of one trait, or of one field that the call leaves out.
type Fate struct {
	Trait  string `json:"trait,omitempty"` // "" if the call leaves the field out
	Field  string `json:"field,omitempty"` // API name
	Label  string `json:"label,omitempty"`
	Type   string `json:"type,omitempty"` // of the field
	Rule   Rule   `json:"rule,omitempty"`
	Action string `json:"action"`           // set, added, emptied, unchanged, held or left out
	Reason Reason `json:"reason,omitempty"` // why it is left out
	Value  any    `json:"value"`            // what is sent; null empties
}

// Actions of a Fate besides those of Fold.
const (
	FateAdded   = "added"
	FateLeftOut = "left_out"
)

// Request is one API request, as it goes out.
type Request struct {
	Operation string `json:"operation"`
	Method    string `json:"method"`
	Path      string `json:"path"`
	Body      any    `json:"body,omitempty"`
	Note      string `json:"note,omitempty"`
}

// Explained says what became of each trait of one call, which alone is the change. cat may be nil for a call that was not mapped.
func Explained(cat *Catalogue, rec Record, c Call, o Outcome, change Change) Explanation {
	e := Explanation{
		MessageID: c.Event.MessageID, Type: string(c.Event.Type), UserID: c.Event.UserID, Source: c.Event.Source,
		Partial: c.Event.Type == segment.Identify && (c.Event.Partial || c.Event.UserID == ""), Outcome: "discarded", Reason: o.Reason, Contact: rec.ContactID,
		Traits: []Fate{}, Requests: []Request{}, More: o.More,
	}
	if o.Delivered {
		e.Outcome = "delivered"
	}
	for _, f := range o.Fields {
		fate := Fate{Trait: f.Trait, Field: f.Name, Label: f.Label, Type: cat.typeOf(f.Name), Rule: f.Rule, Action: string(f.Action)}
		if i := slices.IndexFunc(change.Fields, func(c FieldChange) bool { return c.Name == f.Name }); i >= 0 && o.Delivered {
			fate.Value = change.Fields[i].Value
			if change.Fields[i].Add {
				fate.Action = FateAdded
			}
		}
		e.Traits = append(e.Traits, fate)
	}
	for _, l := range o.LeftOut {
		fate := Fate{Trait: l.Trait, Field: l.Field, Type: cat.typeOf(l.Field), Action: FateLeftOut, Reason: l.Reason}
		if cat != nil {
			if i, ok := cat.byName[l.Field]; ok {
				fate.Label = cat.fields[i].Label
			}
		}
		e.Traits = append(e.Traits, fate)
	}
	for _, d := range change.Defaults {
		e.Defaults = append(e.Defaults, Fate{Trait: d.Trait, Field: d.Name, Label: d.Label, Type: cat.typeOf(d.Name), Action: string(ActionSet), Value: d.Value})
	}
	return e
}

func (c *Catalogue) typeOf(name string) string {
	if c != nil {
		if i, ok := c.byName[name]; ok {
			return c.fields[i].Type
		}
	}
	return ""
}

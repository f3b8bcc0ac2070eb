package mapping

import (
	"slices"
	"time"
)

// Explanation says what one call does and why. It is for the person who sent the call: it holds values.
type Explanation struct {
	MessageID string `json:"message_id"`
	Type      string `json:"type"`
	UserID    string `json:"user_id"`
	Source    string `json:"source"`
	Partial   bool   `json:"partial"`           // it comes from Engage, or has no userId: it empties nothing
	Outcome   string `json:"outcome"`           // delivered, discarded or dead
	Reason    Reason `json:"reason,omitempty"`  // why it is discarded or dead
	Contact   string `json:"contact,omitempty"` // id of the contact that is known before
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

// Explain maps one call onto a record and says what became of each of its traits. The result is that of Fold.
func Explain(cat *Catalogue, opt Options, rec Record, c Call, now time.Time) (Explanation, Result) {
	res := Fold(cat, opt, rec, []Call{c}, now)
	o := res.Outcomes[0]
	e := Explanation{
		MessageID: c.Event.MessageID, Type: string(c.Event.Type), UserID: c.Event.UserID, Source: c.Event.Source,
		Partial: c.Event.Partial || c.Event.UserID == "", Outcome: "discarded", Reason: o.Reason, Contact: rec.ContactID,
		Traits: []Fate{}, Requests: []Request{}, More: o.More,
	}
	if o.Delivered {
		e.Outcome = "delivered"
	}
	for _, f := range o.Fields {
		fate := Fate{Trait: f.Trait, Field: f.Name, Label: f.Label, Type: cat.typeOf(f.Name), Rule: f.Rule, Action: string(f.Action)}
		if i := slices.IndexFunc(res.Change.Fields, func(c FieldChange) bool { return c.Name == f.Name }); i >= 0 && o.Delivered {
			fate.Value = res.Change.Fields[i].Value
			if res.Change.Fields[i].Add {
				fate.Action = FateAdded
			}
		}
		e.Traits = append(e.Traits, fate)
	}
	for _, l := range o.LeftOut {
		fate := Fate{Trait: l.Trait, Field: l.Field, Type: cat.typeOf(l.Field), Action: FateLeftOut, Reason: l.Reason}
		if i, ok := cat.byName[l.Field]; ok {
			fate.Label = cat.fields[i].Label
		}
		e.Traits = append(e.Traits, fate)
	}
	for _, d := range res.Change.Defaults {
		e.Defaults = append(e.Defaults, Fate{Trait: d.Trait, Field: d.Name, Label: d.Label, Type: cat.typeOf(d.Name), Action: string(ActionSet), Value: d.Value})
	}
	return e, res
}

func (c *Catalogue) typeOf(name string) string {
	if i, ok := c.byName[name]; ok {
		return c.fields[i].Type
	}
	return ""
}

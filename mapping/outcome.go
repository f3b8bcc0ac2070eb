package mapping

import (
	"time"

	"github.com/freshrelay/freshrelay/segment"
)

// Call is one waiting call.
type Call struct {
	Event  segment.Event
	Pos    uint64 // log position of the original call, also in a replay
	Replay bool   // a letter sent again: its message id may be known and still it is no duplicate
	// Again says that the call may have been sent before without the record being told: what it says of a field and a later
	// call takes back must then be taken back in the account too.
	Again bool
	// Group stands for the company of a group call: a text that says nothing about it, and is another for each.
	Group string
	// Heir stands for the userId of an alias call, in its half about the previousId: a token like those of Record.Previous.
	Heir string
	// Refused are fields, by API name, for which the API refused what this call says.
	Refused map[string]Reason
}

// Result is what Fold makes of the waiting calls of a user.
type Result struct {
	Change   Change
	Record   Record    // as it is once Change has succeeded; ContactID and Pos are for the worker to fill in
	Outcomes []Outcome // one for each call, in order
}

// Change is what is to be written to the user's contact.
type Change struct {
	UserID string // "" for a contact that is found by its address alone
	// Email is the newest email of the calls, for finding and creating the contact; "" if they carry none that counts.
	Email string
	// Fields are sorted by name. A contact that is to be created has the field email among them.
	Fields []FieldChange
	// Defaults are further fields for a contact that does not exist yet; sorted, and none of them is among Fields.
	Defaults []FieldChange
	// Links are the companies (Call.Group) to whose sales accounts the contact is to be linked; sorted.
	Links []string
	// MadeAs is the name by which the account of a company is found or made: the first that the calls give. It is not the name
	// in Fields if a newer of them gives another. "" for a known account, and for contacts.
	MadeAs string
}

// Empty reports whether there is nothing to write, so no call to the API is needed.
func (c Change) Empty() bool { return len(c.Fields) == 0 && len(c.Links) == 0 }

// FieldChange is one field to set or empty.
type FieldChange struct {
	Name   string // API name; "email" is the contact's email
	Label  string
	Trait  string // the trait that carries it; "" if it is emptied because a call left it out
	Type   string // of the field, as the metadata has it
	Custom bool   // belongs into custom_field
	Value  any    // string, json.Number, bool, []string, or nil to empty the field
	// Add says that Value, a list, is to be joined with what the contact has: a write would replace it.
	Add bool
}

// Rule is the rule of matching by which a trait found its field.
type Rule string

// The rules of matching, best first.
const (
	RuleMap      Rule = "map"      // a line under mapping.traits
	RuleLabel    Rule = "label"    // it is the field's label
	RuleSpelling Rule = "spelling" // it is the label but for case, spaces, '_', '-' and camelCase
	RuleReserved Rule = "reserved" // it is one of Segment's reserved names
	RuleFallback Rule = "fallback" // the address, from elsewhere in the call
)

// Outcome is what became of one call.
type Outcome struct {
	Delivered bool
	Reason    Reason // why it was discarded, if it was
	Fields    []FieldOutcome
	LeftOut   []LeftOut // at most 100
	More      int       // left out beyond those
	Unmapped  int       // traits without a field, those beyond the hundred included
}

// Action is what became of one field of one call.
type Action string

// The actions of Fold.
const (
	ActionSet       Action = "set"
	ActionEmptied   Action = "emptied"
	ActionUnchanged Action = "unchanged" // the contact has it already
	ActionHeld      Action = "held"      // a newer call has said something else
)

// Actions returns every action.
func Actions() []Action { return []Action{ActionSet, ActionEmptied, ActionUnchanged, ActionHeld} }

// FieldOutcome is what became of one field of one call.
type FieldOutcome struct {
	Name, Label string
	Trait       string // "" if the call left the field out
	Rule        Rule   // "" likewise
	Action      Action
}

// LeftOut is one trait that did not reach the contact.
type LeftOut struct {
	Trait  string // shortened to 100 characters
	Field  string // API name of the field it would have been for; "" if there is none
	Reason Reason
}

// Emptied is how many fields the change empties.
func (r Result) Emptied() int {
	n := 0
	for _, f := range r.Change.Fields {
		if f.Value == nil {
			n++
		}
	}
	return n
}

// Held is how many fields of the calls were held back because a newer call has said something else.
func (r Result) Held() int {
	n := 0
	for _, o := range r.Outcomes {
		for _, f := range o.Fields {
			if f.Action == ActionHeld {
				n++
			}
		}
	}
	return n
}

// Unmapped is how many traits of the calls have no field.
func (r Result) Unmapped() int {
	n := 0
	for _, o := range r.Outcomes {
		n += o.Unmapped
	}
	return n
}

// Puzzled reports whether a call names a field or a choice that the catalogue does not have: it may be out of date.
func (r Result) Puzzled() bool {
	for _, o := range r.Outcomes {
		if o.Unmapped > 0 {
			return true
		}
		for _, l := range o.LeftOut {
			if l.Reason == ReasonNotAChoice || l.Reason == ReasonNoSuchField {
				return true
			}
		}
	}
	return false
}

// unixSeconds of a time; the zero time has none.
func unixSeconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

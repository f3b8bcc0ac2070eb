package mapping

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Forecast is what would be done with calls that wait, counted. It names fields and traits and nobody.
type Forecast struct {
	Users      int            `json:"users"`
	Calls      int            `json:"calls"`
	Create     int            `json:"create"`     // users without a known contact: it is made, or found by its address
	Update     int            `json:"update"`     // users whose known contact changes
	Unchanged  int            `json:"unchanged"`  // users whose contact has it all
	Nothing    int            `json:"nothing"`    // users none of whose calls is delivered
	Companies  int            `json:"companies"`  // whose account would be made, found by its name, or changed
	Requests   int            `json:"requests"`   // API calls, contact by contact: bulks take fewer, what is refused takes more
	PerHour    int            `json:"per_hour"`   // API calls that the quota leaves us; 0: no limit
	Renamed    int            `json:"renamed"`    // contacts that get another userId by an alias call
	Erased     int            `json:"erased"`     // users that a delete call erases
	Activities int            `json:"activities"` // track and page calls that become an activity or event
	Discarded  map[string]int `json:"discarded"`  // calls, by reason
	Dead       map[string]int `json:"dead"`       // calls that would become dead letters, by reason
	Fields     []FieldCount   `json:"fields"`     // the most frequent first
	LeftOut    []LeftOutCount `json:"left_out"`   // likewise
	Partial    bool           `json:"partial"`    // so much waits that the log is not read any further

	fields  map[string]*FieldCount
	leftOut map[LeftOutCount]int
}

// FieldCount is for how many contacts a field is set and emptied.
type FieldCount struct {
	Field   string `json:"field"`
	Label   string `json:"label"`
	Set     int    `json:"set"`
	Emptied int    `json:"emptied"`
}

// LeftOutCount is in how many calls a trait reaches no field.
type LeftOutCount struct {
	Trait  string `json:"trait"`
	Reason string `json:"reason"`
	Calls  int    `json:"calls"`
}

// Foreseen is what waits in one lane, mapped.
type Foreseen struct {
	Company   bool     // it is a company's calls: what group calls say of accounts
	Activity  bool     // it is what track and page calls say of a user
	Known     bool     // the user's contact is, or the company's account
	Result    Result   // of all calls that are mapped: the fields of all their changes
	Renamed   bool     // an alias call gives the user another contact
	Erased    bool     // a delete call erases the user
	Calls     int      // those that are not mapped included
	Halves    int      // of them, those that are counted with their other half
	Discarded []string // reasons of the calls that are discarded
	Dead      []string // reasons of those that become dead letters
	Requests  []Request
	Notes     []string // what is to be said besides
}

// UserForecast is what would be done with the waiting calls of one user. It holds values.
type UserForecast struct {
	User      string          `json:"user"` // the lane's token
	Calls     int             `json:"calls"`
	ContactID string          `json:"contact_id,omitempty"` // "": it is made, or found by its address
	Read      bool            `json:"read"`                 // the contact was read: Before is what it has
	Fields    []FieldForecast `json:"fields"`
	LeftOut   []LeftOutCount  `json:"left_out"`
	Discarded map[string]int  `json:"discarded"` // calls, by reason
	Dead      map[string]int  `json:"dead"`      // calls that would become dead letters, by reason
	// Requests are all that would be made, in order; without bodies, and what is looked up is not in them.
	Requests []Request `json:"requests"`
	Notes    []string  `json:"notes,omitempty"` // what is to be said besides
}

// FieldForecast is one field before and after. A field that is emptied has no After.
type FieldForecast struct {
	Field  string          `json:"field"`
	Label  string          `json:"label"`
	Trait  string          `json:"trait,omitempty"`
	Action Action          `json:"action"` // ActionSet or ActionEmptied
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Add counts what waits in one lane in.
func (f *Forecast) Add(s Foreseen) {
	if f.fields == nil {
		f.fields, f.leftOut, f.Discarded, f.Dead = map[string]*FieldCount{}, map[LeftOutCount]int{}, map[string]int{}, map[string]int{}
	}
	f.Requests += len(s.Requests)
	delivered := s.Calls - s.Halves - len(s.Discarded) - len(s.Dead)
	switch {
	case s.Calls == s.Halves:
		return
	case s.Company: // its calls are counted with their users
		if !s.Result.Change.Empty() {
			f.Companies++
		}
		return
	case s.Activity: // they change no contact; their user is counted with those that do
		f.Activities += delivered
		f.count(s)
		return
	}
	f.Users++
	if s.Renamed {
		f.Renamed++
	}
	if s.Erased {
		f.Erased++
	}
	switch {
	case delivered == 0:
		f.Nothing++
	case s.Result.Change.Empty():
		if !s.Renamed && !s.Erased {
			f.Unchanged++
		}
	case s.Known:
		f.Update++
	default:
		f.Create++
	}
	f.count(s)
	for _, c := range s.Result.Change.Fields {
		count := f.fields[c.Name]
		if count == nil {
			count = &FieldCount{Field: c.Name, Label: c.Label}
			f.fields[c.Name] = count
		}
		if c.Value == nil {
			count.Emptied++
		} else {
			count.Set++
		}
	}
	countLeftOut(s.Result, f.leftOut)
}

// count adds calls, and those that are not delivered.
func (f *Forecast) count(s Foreseen) {
	f.Calls += s.Calls - s.Halves
	for _, reason := range s.Discarded {
		f.Discarded[reason]++
	}
	for _, reason := range s.Dead {
		f.Dead[reason]++
	}
}

// Sum completes the lists after the last Add.
func (f *Forecast) Sum() {
	f.Fields = make([]FieldCount, 0, len(f.fields))
	for _, name := range slices.Sorted(maps.Keys(f.fields)) {
		f.Fields = append(f.Fields, *f.fields[name])
	}
	slices.SortStableFunc(f.Fields, func(a, b FieldCount) int { return cmp.Compare(b.Set+b.Emptied, a.Set+a.Emptied) })
	f.LeftOut = sortLeftOut(f.leftOut)
	if f.Discarded == nil {
		f.Discarded, f.Dead = map[string]int{}, map[string]int{}
	}
}

// ForUser is the forecast of one user by itself. before is what the contact has, by API name; nil if it was not read.
func (s Foreseen) ForUser(before map[string]json.RawMessage) UserForecast {
	out := UserForecast{
		Calls: s.Calls, Read: before != nil, Fields: make([]FieldForecast, 0, len(s.Result.Change.Fields)),
		Discarded: map[string]int{}, Dead: map[string]int{}, Requests: []Request{}, Notes: s.Notes,
	}
	for _, reason := range s.Discarded {
		out.Discarded[reason]++
	}
	for _, reason := range s.Dead {
		out.Dead[reason]++
	}
	for _, r := range s.Requests {
		r.Path, _, _ = strings.Cut(r.Path, "?")
		out.Requests = append(out.Requests, Request{Operation: r.Operation, Method: r.Method, Path: r.Path})
	}
	counts := map[LeftOutCount]int{}
	countLeftOut(s.Result, counts)
	out.LeftOut = sortLeftOut(counts)
	for _, c := range s.Result.Change.Fields {
		f := FieldForecast{Field: c.Name, Label: c.Label, Trait: c.Trait, Action: ActionEmptied, Before: before[c.Name]}
		if c.Value != nil {
			f.Action = ActionSet
			f.After, _ = json.Marshal(c.Value) // strings, numbers, booleans and lists of strings
		}
		out.Fields = append(out.Fields, f)
	}
	return out
}

func countLeftOut(r Result, into map[LeftOutCount]int) {
	for _, o := range r.Outcomes {
		if !o.Delivered { // why not is said of the whole call
			continue
		}
		for _, l := range o.LeftOut {
			into[LeftOutCount{Trait: l.Trait, Reason: string(l.Reason)}]++
		}
	}
}

func sortLeftOut(counts map[LeftOutCount]int) []LeftOutCount {
	list := make([]LeftOutCount, 0, len(counts))
	for l, n := range counts {
		l.Calls = n
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b LeftOutCount) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Trait, b.Trait), cmp.Compare(a.Reason, b.Reason))
	})
	return list
}

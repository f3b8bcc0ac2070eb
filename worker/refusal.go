package worker

import (
	"errors"
	"slices"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
)

// What the API refuses of a change is left out, with a reason, and the rest is sent: a contact is never lost for one
// field. Where the answer names the field, that costs one more call; where it does not, the field is searched by halves,
// on the contact itself: what is taken on the way is part of the change.

// maxSearch bounds the calls of one search by halves, which fits into one pass. What it has not cleared by then is left out too.
const maxSearch = 12

// maxSearches bounds the searches of one turn: a change of many events can hold a refused value in each. maxEarlier bounds
// them long before, unless very many fields are refused.
const maxSearches = 20

// droppable is the field if the change can do without it, else "". The address and the userId are what a contact is found
// by: what their refusal means is for update and resolve to find out.
func (t *turn) droppable(field string) string {
	if field == "email" || field == "external_id" || t.account() && t.lane.record.ContactID == "" && field == "name" || !slices.ContainsFunc(t.result.Change.Fields, func(f mapping.FieldChange) bool { return f.Name == field }) {
		return ""
	}
	return field
}

// maxEarlier is how many values of one field are tried, newest first, before all of a change are left out: the number of
// its events must not be the number of calls.
const maxEarlier = 3

// refuse leaves the field out of the call whose value was sent, so that what an earlier call of the change says about it
// counts again.
func (t *turn) refuse(field string) {
	last := -1
	for i, c := range t.calls {
		for _, f := range c.outcome.Fields {
			if f.Name == field && (f.Action == mapping.ActionSet || f.Action == mapping.ActionEmptied) {
				last = i
			}
		}
	}
	all := len(slices.DeleteFunc(slices.Clone(t.dropped), func(name string) bool { return name != field })) >= maxEarlier
	for i, c := range t.calls {
		if i != last && !all {
			continue
		}
		if t.refused[c.position] == nil {
			t.refused[c.position] = map[string]mapping.Reason{}
		}
		t.refused[c.position][field] = mapping.ReasonRefused
	}
	t.dropped = append(t.dropped, field)
	t.p.log.Info("the API refuses a field, the rest is sent", zap.String("lane", t.lane.user), zap.String("field", field))
}

// blame leaves out what the API refuses of the change without naming it. found means that something was; without, it is
// the change as a whole that is refused.
func (t *turn) blame(refused error) (found bool, _ error) {
	if t.account() || !refusedBy(refused) || errors.Is(refused, errEmailTaken) || t.lane.record.ContactID == "" ||
		len(t.result.Change.Fields) < 2 || t.searches >= maxSearches {
		return false, nil
	}
	fields, err := t.search()
	if err != nil {
		return false, err // not one that counts: sending was put on hold, or the API failed
	}
	t.searches++
	for _, field := range fields {
		if field == "email" {
			t.noEmail = mapping.ReasonRefused
		} else {
			t.refuse(field)
		}
	}
	return len(fields) > 0, nil
}

// search finds out which fields of a refused change of a known contact the API does not take, if it takes any of them.
func (t *turn) search() ([]string, error) {
	s := &search{t: t, id: t.lane.record.ContactID, whole: write(t.result.Change)}
	// No more than the quota ever gives at once: the pass would fall short, and the search begin anew, for ever.
	s.left = max(0, t.p.gate.quota.reach(t.pass.Calls+1+maxSearch)-t.pass.Calls-1) // one to read the contact
	if reads(t.result.Change, CustomFieldsAuto) {
		before, err := t.current(s.id)
		if err != nil {
			return nil, err
		}
		s.whole.Fields = t.joinLists(s.whole.Fields, before)
		t.before = before.Custom
	}
	names := make([]string, len(t.result.Change.Fields))
	for i, f := range t.result.Change.Fields {
		names[i] = f.Name
	}
	refused, err := s.among(names)
	if err != nil || len(refused) == len(names) {
		return nil, err // all of them: it is not about a field
	}
	return refused, nil
}

// search is a search by halves under way.
type search struct {
	t     *turn
	id    string
	whole freshmarketer.ContactWrite
	left  int // calls
}

// among finds the refused ones among names, which were refused together.
func (s *search) among(names []string) ([]string, error) {
	if len(names) == 1 || s.left == 0 {
		return names, nil
	}
	first, second := names[:len(names)/2], names[len(names)/2:]
	taken, err := s.try(first)
	if err != nil {
		return nil, err
	}
	if taken {
		return s.among(second)
	}
	refused, err := s.among(first)
	if err != nil {
		return nil, err
	}
	if taken, err = s.try(second); err != nil || taken {
		return refused, err
	}
	more, err := s.among(second)
	return append(slices.Clone(refused), more...), err
}

// try sends a part of the change. That nothing is left of the search counts as a refusal.
func (s *search) try(names []string) (taken bool, _ error) {
	if s.left == 0 {
		return false, nil
	}
	s.left--
	part := freshmarketer.ContactWrite{Fields: freshmarketer.Fields{}, Custom: freshmarketer.Fields{}}
	for _, name := range names {
		if v, ok := s.whole.Fields[name]; ok {
			part.Fields[name] = v
		}
		if v, ok := s.whole.Custom[name]; ok {
			part.Custom[name] = v
		}
	}
	if len(part.Custom) > 0 {
		part.Custom = union(s.t.before, part.Custom)
	}
	contact, err := s.t.put(s.id, part)
	switch {
	case err == nil:
		s.t.before, s.t.partly = contact.Custom, true
		return true, s.t.ours(contact)
	case refusedBy(err):
		return false, nil
	}
	return false, err
}

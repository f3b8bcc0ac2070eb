package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// lookup is GET /lookup?q=&f=&entities=contact: contacts whose field has exactly this value, as the search index sees
// them. Source: Freshworks CRM API, "Lookup search"; the nesting of the answer and the lag are seen live.
func (s *Sandbox) lookup(rq request) answer {
	field, value := rq.query.Get("f"), rq.query.Get("q")
	entities := strings.Split(rq.query.Get("entities"), ",")
	if !slices.Contains(entities, "contact") || !s.searchable(field) {
		return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
	}
	found := s.objects(s.indexed(field, value, rq.at))
	return answer{status: http.StatusOK, body: map[string]any{"contacts": map[string]any{"contacts": found}}}
}

func (s *Sandbox) searchable(field string) bool {
	_, custom := s.fields.customField(field)
	return custom || slices.Contains([]string{"email", "mobile_number", "phone", "name", "external_id"}, field)
}

// indexed finds the matching states by id.
func (s *Sandbox) indexed(field, value string, now time.Time) []*contact {
	if value == "" {
		return nil
	}
	stale := s.store.stale(now)
	var found []*contact
	for _, c := range s.candidates(field, value) {
		if _, old := stale[c.ID]; !old && c.live() && c.matches(field, value) {
			found = append(found, c)
		}
	}
	for _, c := range stale {
		if c.live() && c.matches(field, value) {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b *contact) int { return int(a.ID - b.ID) })
	return found
}

// candidates are the current states that may match: those with the value for a unique field, all of them otherwise.
func (s *Sandbox) candidates(field, value string) []*contact {
	switch field {
	case "email":
		var all []*contact
		for _, id := range s.store.byEmail[emailKey(value)] {
			all = append(all, s.store.contacts[id])
		}
		return all
	case "mobile_number", "external_id":
	default:
		all := make([]*contact, 0, len(s.store.contacts))
		for _, c := range s.store.contacts {
			all = append(all, c)
		}
		return all
	}
	if c := s.store.unique(field, value); c != nil {
		return []*contact{c}
	}
	return nil
}

// matches compares one searchable field. "email" is the primary address only (seen in client code).
func (c *contact) matches(field, value string) bool {
	switch field {
	case "email":
		return sameAddress(c.email(), value)
	case "mobile_number":
		return c.text(field) == withoutSeparators(value)
	case "phone":
		digits := withoutSeparators(value)
		return c.text("mobile_number") == digits || c.text("work_number") == digits
	case "name":
		return strings.EqualFold(c.displayName(), value)
	case "external_id":
		return c.text(field) == value
	}
	v, ok := c.Custom[field]
	return ok && fmt.Sprint(v) == value
}

package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// indexStates are all contacts as the search index sees them, by id, also those in the recycle bin.
func (s *Sandbox) indexStates(now time.Time) []*contact {
	stale := s.store.stale(now)
	states := make([]*contact, 0, len(s.store.order))
	for _, id := range s.store.order {
		c := s.store.contacts[id]
		if before, late := stale[id]; late {
			c = before
		}
		if c != nil {
			states = append(states, c)
		}
	}
	return states
}

// search is GET /search?q=&include=contact[,sales_account]: a list at the top level, with ids as text, of all whose name or any
// of whose addresses is like the words. Source: Freshworks CRM API, "Search", and a connector's documentation; the lag is seen
// live. That "like" means to contain, whatever the letters' case, in names, addresses and numbers, and that a call without
// include is refused with 400, is inferred.
func (s *Sandbox) search(rq request) answer {
	words, include := strings.ToLower(strings.TrimSpace(rq.query.Get("q"))), strings.Split(rq.query.Get("include"), ",")
	if words == "" || rq.query.Get("include") == "" {
		return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
	}
	found := []map[string]any{}
	if slices.Contains(include, "contact") {
		for _, c := range s.indexStates(rq.at) {
			if c.live() && c.like(words) {
				found = append(found, map[string]any{
					"id": strconv.FormatInt(c.ID, 10), "type": "contact", "name": c.displayName(), "email": orNull(c.email()), "avatar": nil,
				})
			}
		}
	}
	if slices.Contains(include, "sales_account") {
		for id := firstAccountID; id < s.store.nextAccountID; id++ {
			if a := s.store.accounts[id]; a != nil && !a.Deleted && strings.Contains(strings.ToLower(a.name()), words) {
				found = append(found, map[string]any{"id": strconv.FormatInt(id, 10), "type": "sales_account", "name": a.name(), "website": a.Standard["website"], "avatar": nil})
			}
		}
	}
	rows, _ := page(rq, found)
	return answer{status: http.StatusOK, body: append([]map[string]any{}, rows...)}
}

// like says whether the words, in small letters, are somewhere in what the contact is found by.
func (c *contact) like(words string) bool {
	texts := []string{c.displayName(), c.text("mobile_number"), c.text("work_number")}
	for _, e := range c.Emails {
		texts = append(texts, e.Value)
	}
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(strings.ToLower(text), words) })
}

// filteredSearch is POST /filtered_search/contact with {"filter_rule":[{attribute,operator,value}],page,per_page,sort,sort_type}.
// All rules must hold. Its rows have no custom_field. Source: client code, which uses no operator but is_in; that others, and
// attributes that are no field, are refused with 400 is inferred.
func (s *Sandbox) filteredSearch(rq request) answer {
	if rq.id != "contact" {
		return answer{status: http.StatusNotFound}
	}
	var body struct {
		Rules []struct {
			Attribute string `json:"attribute"`
			Operator  string `json:"operator"`
			Value     []any  `json:"value"`
		} `json:"filter_rule"`
		Page     json.Number `json:"page"`
		PerPage  json.Number `json:"per_page"`
		Sort     string      `json:"sort"`
		SortType string      `json:"sort_type"`
	}
	if err := unmarshal(rq.body, &body); err != nil || len(body.Rules) == 0 {
		return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
	}
	rows := slices.DeleteFunc(s.indexStates(rq.at), func(c *contact) bool { return !c.live() })
	for _, rule := range body.Rules {
		if rule.Operator != "is_in" || !s.filterable(rule.Attribute) {
			return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
		}
		rows = slices.DeleteFunc(rows, func(c *contact) bool {
			return !slices.ContainsFunc(rule.Value, func(v any) bool { return c.has(rule.Attribute, fmt.Sprint(v)) })
		})
	}
	sortContacts(rows, body.Sort, body.SortType)
	rq.query = url.Values{"page": {body.Page.String()}, "per_page": {body.PerPage.String()}}
	rows, meta := page(rq, rows)
	objects := make([]map[string]json.RawMessage, len(rows))
	for i, c := range rows {
		if err := json.Unmarshal(s.object(c, nil), &objects[i]); err != nil { // of our own making, so this is a bug of the sandbox
			return answer{status: http.StatusInternalServerError}
		}
		delete(objects[i], "custom_field")
	}
	return answer{status: http.StatusOK, body: map[string]any{"contacts": objects, "meta": meta}}
}

func (s *Sandbox) filterable(attribute string) bool {
	_, custom := s.fields.customField(attribute)
	_, standard := s.fields.byName[attribute]
	return custom || standard || slices.Contains([]string{"email", "id"}, attribute)
}

// has says whether the contact has that value in a field.
func (c *contact) has(attribute, value string) bool {
	switch attribute {
	case "id":
		return strconv.FormatInt(c.ID, 10) == value
	case "email", "emails":
		return slices.ContainsFunc(c.Emails, func(e email) bool { return sameAddress(e.Value, value) })
	case "tags":
		return slices.Contains(c.Tags, value)
	}
	v, there := c.Standard[attribute]
	if !there {
		v, there = c.Custom[attribute]
	}
	return there && fmt.Sprint(v) == value
}

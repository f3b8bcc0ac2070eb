package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// salesAccount is one state of a sales account; like a contact's it is never changed once stored.
type salesAccount struct {
	ID       int64          `json:"id"`
	Standard map[string]any `json:"standard,omitempty"`
	Custom   map[string]any `json:"custom,omitempty"`
	Created  time.Time      `json:"created"`
	Updated  time.Time      `json:"updated"`
	Deleted  bool           `json:"deleted,omitempty"`
}

func (a *salesAccount) name() string {
	name, _ := a.Standard["name"].(string)
	return name
}

// accountFields are the built-in fields of sales accounts, by the keys of recorded answers; the labels, and what each
// takes on write, are inferred.
func accountFields() []standardField {
	return []standardField{
		{name: "name", label: "Name", kind: TypeText, write: writeText},
		{name: "address", label: "Address", kind: TypeText, write: writeText},
		{name: "city", label: "City", kind: TypeText, write: writeText},
		{name: "state", label: "State", kind: TypeText, write: writeText},
		{name: "zipcode", label: "Zipcode", kind: TypeText, write: writeText},
		{name: "country", label: "Country", kind: TypeText, write: writeText},
		{name: "phone", label: "Phone", kind: TypeText, write: writePhone},
		{name: "website", label: "Website", kind: TypeText, write: writeWebsite},
		{name: "number_of_employees", label: "Number of employees", kind: TypeNumber, write: writeNumber},
		{name: "annual_revenue", label: "Annual revenue", kind: TypeNumber, write: writeNumber},
		{name: "industry_type_id", label: "Industry type", kind: TypeDropdown, write: writeID, choices: numberedChoices(atIndustries, choiceNames["industries"])},
		{name: "business_type_id", label: "Business type", kind: TypeDropdown, write: writeID, choices: numberedChoices(atBusinesses, choiceNames["businesses"])},
		{name: "owner_id", label: "Sales owner", kind: TypeDropdown, write: writeID, choices: owners()},
		{name: "territory_id", label: "Territory", kind: TypeDropdown, write: writeID, choices: numberedChoices(atTerritories, choiceNames["territories"])},
		{name: "facebook", label: "Facebook", kind: TypeText, write: writeText},
		{name: "twitter", label: "Twitter", kind: TypeText, write: writeText},
		{name: "linkedin", label: "LinkedIn", kind: TypeText, write: writeText},
		{name: "created_at", label: "Created at", kind: TypeDate},
		{name: "updated_at", label: "Updated at", kind: TypeDate},
	}
}

// DefaultAccountFields are the custom fields of sales accounts when Options names none.
func DefaultAccountFields() []Field {
	return []Field{
		{Name: "cf_segment", Label: "Segment", Type: TypeText},
		{Name: "cf_tier", Label: "Tier", Type: TypeDropdown, Choices: []string{"Free", "Growth", "Enterprise"}},
		{Name: "cf_seats", Label: "Seats", Type: TypeNumber},
	}
}

// serveAccounts does the calls on sales accounts. Source: Freshworks CRM API, "Accounts", as restated by a connector's
// documentation.
func (s *Sandbox) serveAccounts(rq request) answer {
	switch rq.op {
	case OpAccountFields:
		return answer{status: http.StatusOK, body: map[string]any{"fields": s.accountFields.metadata}}
	case OpGetAccount, OpDeleteAccount, OpUpdateAccount:
		id, err := strconv.ParseInt(rq.id, 10, 64)
		if err != nil {
			return answer{status: http.StatusNotFound}
		}
		a := s.store.accounts[id]
		if a == nil || a.Deleted {
			return s.refuse(http.StatusNotFound, s.say(notInCRM))
		}
		if rq.op == OpGetAccount {
			return s.accountAnswer(http.StatusOK, a)
		}
		if rq.op == OpDeleteAccount {
			next := *a
			next.Deleted, next.Updated = true, rq.at
			return s.putAccount(a, &next, answer{status: http.StatusOK, body: true})
		}
		return s.writeAccount(rq, a)
	}
	return s.writeAccount(rq, nil)
}

// writeAccount creates or changes; an upsert finds the account by its name.
func (s *Sandbox) writeAccount(rq request, before *salesAccount) answer {
	whole, err := s.decodeObject(rq)
	if err != nil && !strings.HasPrefix(rq.contentType, "application/json") { // on contacts it is a 400 (seen live)
		return answer{status: http.StatusInternalServerError, body: map[string]any{"error_code": 500}}
	}
	if err != nil {
		return s.refuse(http.StatusBadRequest, err.Error())
	}
	in, _ := whole["sales_account"].(map[string]any)
	status := http.StatusOK
	if rq.op == OpUpsertAccount {
		identifier, _ := whole["unique_identifier"].(map[string]any)
		name, _ := identifier["name"].(string)
		if len(identifier) != 1 || strings.TrimSpace(name) == "" || in == nil {
			return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
		}
		if before = s.store.accounts[s.store.byAccount[accountKey(name)]]; before == nil {
			if _, given := in["name"]; !given {
				in["name"] = name
			}
			status = http.StatusCreated
			if s.opt.UpsertAlways200 {
				status = http.StatusOK
			}
		}
	}
	next := &salesAccount{ID: s.store.nextAccountID, Created: rq.at}
	if before != nil {
		*next = *before
	}
	next.Updated = rq.at
	next.Standard, next.Custom = copyOf(next.Standard), copyOf(next.Custom)
	if problems := s.applyToAccount(next, in); len(problems) > 0 {
		return s.refuse(http.StatusBadRequest, problems...)
	}
	return s.putAccount(before, next, s.accountAnswer(status, next))
}

func copyOf(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return maps.Clone(m)
}

// applyToAccount changes a and says what is wrong with the result. Texts: seen live.
func (s *Sandbox) applyToAccount(a *salesAccount, in map[string]any) []string {
	var problems []string
	for _, f := range s.accountFields.standard {
		v, given := in[f.name]
		if !given || f.write == writeNothing {
			continue
		}
		stored, problem := s.standardValue(f, v)
		if problem != "" {
			problems = append(problems, problem)
		} else if stored == nil {
			delete(a.Standard, f.name)
		} else {
			a.Standard[f.name] = stored
		}
	}
	held := &contact{Custom: a.Custom}
	problems = append(problems, s.setCustom(held, in, s.opt.CustomFieldMode, s.accountFields.custom)...)
	a.Custom = held.Custom
	if strings.TrimSpace(a.name()) == "" {
		problems = append(problems, s.say(cannotBeEmpty, "Name"))
	}
	if other := s.store.byAccount[accountKey(a.name())]; other != 0 && other != a.ID {
		problems = append(problems, s.say(alreadyTaken, "Name"))
	}
	return problems
}

func (s *Sandbox) putAccount(before, a *salesAccount, ans answer) answer {
	if err := s.store.putAccount(before, a); err != nil {
		return answer{status: http.StatusInternalServerError, body: map[string]any{"error_code": 500}}
	}
	ans.effect = true
	return ans
}

// accountKey is what names are compared by; that case does not count is inferred from email addresses.
func accountKey(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// accountAnswer is {"sales_account":{…}}; the keys are those of a recorded answer.
func (s *Sandbox) accountAnswer(status int, a *salesAccount) answer {
	o := map[string]any{
		"id": a.ID, "avatar": nil, "open_deals_amount": "0.0", "open_deals_count": 0, "won_deals_amount": "0.0", "won_deals_count": 0,
		"last_contacted": nil, "last_contacted_mode": nil, "links": map[string]any{}, "parent_sales_account_id": nil, "recent_note": nil,
		"tags": []any{}, "is_deleted": a.Deleted, "team_user_ids": nil, "has_connections": false,
		"record_type_id": strconv.FormatInt(firstOtherID+901, 10),
		"created_at":     timestamp(a.Created), "updated_at": timestamp(a.Updated),
	}
	for _, f := range s.accountFields.standard {
		if f.write != writeNothing {
			o[f.name] = a.Standard[f.name]
		}
	}
	custom := make(map[string]any, len(s.accountFields.custom))
	for _, f := range s.accountFields.custom {
		custom[f.Name] = a.Custom[f.Name]
	}
	o["custom_field"] = custom
	return answer{status: status, body: map[string]any{"sales_account": o}}
}

// SalesAccount is a sales account as it is inside.
type SalesAccount struct {
	ID     int64          `json:"id"`
	Name   string         `json:"name"`
	Fields map[string]any `json:"fields"`
	Custom map[string]any `json:"custom_field"`
}

// SalesAccounts returns the live sales accounts by id.
func (s *Sandbox) SalesAccounts() []SalesAccount {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []SalesAccount{}
	for _, id := range slices.Sorted(maps.Keys(s.store.accounts)) {
		if a := s.store.accounts[id]; !a.Deleted {
			fields := maps.Clone(a.Standard)
			delete(fields, "name")
			list = append(list, SalesAccount{ID: id, Name: a.name(), Fields: fields, Custom: maps.Clone(a.Custom)})
		}
	}
	return list
}

// link says that a contact belongs to a sales account.
type link struct {
	ID      int64 `json:"id"`
	Primary bool  `json:"is_primary"`
}

// maxLinks of one contact. Source: a connector's documentation.
const maxLinks = 10

// setLinks takes sales_accounts: the list replaces the links there are, and exactly one of them is primary.
// Source: a connector's documentation, and client code.
func (s *Sandbox) setLinks(c *contact, in map[string]any) []string {
	v, given := in["sales_accounts"]
	if !given {
		return nil
	}
	list, ok := v.([]any)
	if !ok && v != nil || len(list) > maxLinks {
		return []string{s.say(invalidAttributes)}
	}
	var links []link
	primary := 0
	for _, item := range list {
		entry, _ := item.(map[string]any)
		id, err := strconv.ParseInt(fmt.Sprint(entry["id"]), 10, 64)
		if a := s.store.accounts[id]; err != nil || a == nil || a.Deleted {
			return []string{s.say(invalidChoice, "sales account")}
		}
		l := link{ID: id, Primary: entry["is_primary"] == true}
		if l.Primary {
			primary++
		}
		links = append(links, l)
	}
	if len(links) > 0 && primary != 1 {
		return []string{s.say(invalidAttributes)}
	}
	c.Accounts = links
	return nil
}

// linkedAccounts is what ?include=sales_accounts shows. Source: recorded answers.
func (s *Sandbox) linkedAccounts(c *contact) []any {
	rows := []any{}
	for _, l := range c.Accounts {
		if a := s.store.accounts[l.ID]; a != nil && !a.Deleted {
			rows = append(rows, map[string]any{
				"partial": true, "id": a.ID, "name": a.name(), "avatar": nil, "website": a.Standard["website"], "last_contacted": nil,
				"record_type_id": strconv.FormatInt(firstOtherID+901, 10), "is_primary": l.Primary,
			})
		}
	}
	return rows
}

// asNumber takes a number, or text that is one (numeric strings in number fields are seen in client code).
func asNumber(v any) (json.Number, bool) {
	switch v := v.(type) {
	case json.Number:
		return v, true
	case string:
		_, err := strconv.ParseFloat(v, 64)
		return json.Number(v), err == nil && json.Valid([]byte(v))
	}
	return "", false
}

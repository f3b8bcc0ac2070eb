package sandbox

import (
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

	Forgotten bool `json:"forgotten,omitempty"` // nothing is left but the id, which is not given again; then Deleted too
}

func (a *salesAccount) name() string {
	name, _ := a.Standard["name"].(string)
	return name
}

// serveAccounts does the calls on sales accounts. Source: Freshworks CRM API, "Accounts", as restated by a connector's
// documentation.
func (s *Sandbox) serveAccounts(rq request) answer {
	switch rq.op {
	case OpAccountFields:
		return answer{status: http.StatusOK, body: map[string]any{"fields": s.accountFields.metadata}}
	case OpListAccounts: // without a view's id it is refused, as GET /contacts is (inferred)
		return s.refuse(http.StatusForbidden, s.say(notAuthorized))
	case OpAccountFilters:
		return answer{status: http.StatusOK, body: map[string]any{"filters": accountFilters(rq.at)}}
	case OpAccountView:
		return s.accountView(rq)
	case OpBulkDestroyAccounts:
		return s.destroyAccounts(rq)
	case OpForgetAccount:
		return s.forgetAccount(rq)
	case OpGetAccount, OpDeleteAccount, OpUpdateAccount, OpCloneAccount:
		a, missing := s.findAccount(rq.id)
		switch {
		case a == nil:
			return missing
		case rq.op == OpGetAccount:
			return s.accountAnswer(http.StatusOK, a)
		case rq.op == OpDeleteAccount:
			next := *a
			next.Deleted, next.Updated = true, rq.at
			return s.putAccount(a, &next, answer{status: http.StatusOK, body: true})
		case rq.op == OpCloneAccount:
			return s.cloneAccount(rq, a)
		}
		return s.writeAccount(rq, a)
	}
	return s.writeAccount(rq, nil)
}

// findAccount returns the live account, or the answer for one that is not there, as find does for contacts.
func (s *Sandbox) findAccount(id string) (*salesAccount, answer) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, answer{status: http.StatusNotFound}
	}
	a := s.store.accounts[n]
	if a == nil || a.Deleted {
		return nil, s.refuse(http.StatusNotFound, s.say(notInCRM))
	}
	return a, answer{}
}

// writeAccount changes before, creates an account if that is nil, or upserts by name.
func (s *Sandbox) writeAccount(rq request, before *salesAccount) answer {
	whole, refusal := s.decodeAccounts(rq)
	if whole == nil {
		return refusal
	}
	in, _ := whole["sales_account"].(map[string]any)
	if rq.op == OpUpsertAccount {
		identifier, _ := whole["unique_identifier"].(map[string]any)
		name, _ := identifier["name"].(string)
		if len(identifier) != 1 {
			name = ""
		}
		return s.upsertAccount(rq, name, in)
	}
	if before != nil {
		return s.storeAccount(before, before.edit(rq.at), in, http.StatusOK)
	}
	return s.storeAccount(nil, s.newAccount(rq.at), in, http.StatusOK)
}

// decodeAccounts reads a body; nil goes with the answer to one that is none.
func (s *Sandbox) decodeAccounts(rq request) (map[string]any, answer) {
	whole, err := s.decodeObject(rq)
	switch {
	case err != nil && !strings.HasPrefix(rq.contentType, "application/json"): // on contacts it is a 400 (seen live)
		return nil, answer{status: http.StatusInternalServerError, body: map[string]any{"error_code": 500}}
	case err != nil:
		return nil, s.refuse(http.StatusBadRequest, err.Error())
	case whole == nil: // the word null
		whole = map[string]any{}
	}
	return whole, answer{}
}

// upsertAccount changes the account of that name, or creates it.
func (s *Sandbox) upsertAccount(rq request, name string, in map[string]any) answer {
	if strings.TrimSpace(name) == "" || in == nil {
		return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
	}
	if before := s.store.accounts[s.store.byAccount[accountKey(name)]]; before != nil {
		return s.storeAccount(before, before.edit(rq.at), in, http.StatusOK)
	}
	if _, given := in["name"]; !given {
		in["name"] = name
	}
	status := http.StatusCreated
	if s.opt.UpsertAlways200 {
		status = http.StatusOK
	}
	return s.storeAccount(nil, s.newAccount(rq.at), in, status)
}

func (s *Sandbox) newAccount(now time.Time) *salesAccount {
	return (&salesAccount{ID: s.store.nextAccountID, Created: now}).edit(now)
}

// edit returns a copy to be changed.
func (a *salesAccount) edit(now time.Time) *salesAccount {
	next := *a
	next.Updated = now
	next.Standard, next.Custom = copyOf(a.Standard), copyOf(a.Custom)
	return &next
}

// storeAccount applies what was sent to next, checks the whole and puts it in place of before. All problems are answered at once.
func (s *Sandbox) storeAccount(before, next *salesAccount, in map[string]any, status int) answer {
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
	return answer{status: status, body: map[string]any{"sales_account": s.accountObject(a)}}
}

func (s *Sandbox) accountObject(a *salesAccount) map[string]any {
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
	return o
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

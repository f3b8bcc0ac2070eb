package freshmarketer

import (
	"context"
	"encoding/json"
	"net/http"
)

// Selector is one of the account's lists of choices that fields refer to by id.
type Selector string

// The lists. Source: Freshworks CRM API, "Selector", as restated by a connector's documentation.
const (
	SelectOwners           Selector = "owners"
	SelectTerritories      Selector = "territories"
	SelectLeadSources      Selector = "lead_sources"
	SelectContactStatuses  Selector = "contact_statuses"
	SelectLifecycleStages  Selector = "lifecycle_stages"
	SelectActivityTypes    Selector = "sales_activity_types"
	SelectActivityOutcomes Selector = "sales_activity_outcomes"
	SelectIndustryTypes    Selector = "industry_types"
	SelectBusinessTypes    Selector = "business_types"
	SelectCampaigns        Selector = "campaigns"
)

// Selectors lists them.
func Selectors() []Selector {
	return []Selector{
		SelectOwners, SelectTerritories, SelectLeadSources, SelectContactStatuses, SelectLifecycleStages,
		SelectActivityTypes, SelectActivityOutcomes, SelectIndustryTypes, SelectBusinessTypes, SelectCampaigns,
	}
}

// Selectable is one choice.
type Selectable struct {
	ID       string
	Name     string // as people see it
	Internal string // internal_name or type, which people cannot change; "" if there is none
	Email    string // of an owner
	Disabled bool   // may not be chosen (any more)
}

// Select reads one of the lists.
//
// Source: Freshworks CRM API, "Selector". Owners are answered under "users" and others under their own name, recorded
// for lifecycle stages and activity types; a single list under another name is taken too.
func (c *Client) Select(ctx context.Context, which Selector) ([]Selectable, error) {
	var rows *[]selectableAnswer
	cl := call{op: OpSelector, method: http.MethodGet, path: "/selector/" + string(which)}
	err := c.do(ctx, cl, func(got answer) error {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(got.body, &object); err != nil {
			return err
		}
		raw := listIn(object, string(which))
		if raw == nil {
			return errUnexpected
		}
		return json.Unmarshal(raw, &rows)
	})
	if err != nil {
		return nil, err
	}
	choices := make([]Selectable, len(*rows))
	for i, row := range *rows {
		choices[i] = row.selectable()
	}
	return choices, nil
}

// listIn finds the list of a selector: under a known name, or the only list there is.
func listIn(object map[string]json.RawMessage, name string) json.RawMessage {
	isList := func(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '[' }
	for _, key := range []string{name, "users"} {
		if isList(object[key]) {
			return object[key]
		}
	}
	var only json.RawMessage
	for _, raw := range object {
		if isList(raw) && only != nil {
			return nil
		}
		if isList(raw) {
			only = raw
		}
	}
	return only
}

type selectableAnswer struct {
	ID          text  `json:"id"`
	Name        text  `json:"name"`
	DisplayName text  `json:"display_name"`
	Value       text  `json:"value"`
	Internal    text  `json:"internal_name"`
	Type        text  `json:"type"`
	Email       text  `json:"email"`
	Disabled    bool  `json:"disabled"`
	Active      *bool `json:"is_active"`
}

func (a selectableAnswer) selectable() Selectable {
	return Selectable{
		ID: string(a.ID), Name: firstOf(a.Name, a.DisplayName, a.Value), Internal: firstOf(a.Internal, a.Type),
		Email: string(a.Email), Disabled: a.Disabled || a.Active != nil && !*a.Active,
	}
}

func firstOf(texts ...text) string {
	for _, t := range texts {
		if t != "" {
			return string(t)
		}
	}
	return ""
}

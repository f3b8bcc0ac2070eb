package freshmarketer

import (
	"context"
	"net/http"
)

// FieldMeta describes one field of the account's contacts or sales accounts.
type FieldMeta struct {
	ID       string
	Name     string // API name; custom fields start with cf_
	Label    string // as the account's people named it, spaces at the ends included
	Type     string // text, textarea, number, checkbox, dropdown, multi_select_dropdown, date, auto_complete, group_field, …
	Default  bool   // built in, not custom
	Required bool
	Multiple bool // takes several values
	Choices  []FieldChoice
}

// FieldChoice is one value of a dropdown. Built-in dropdowns are written by ID, custom ones by Value.
type FieldChoice struct{ ID, Value string }

// ContactFields reads the account's contact fields, built in and custom.
//
// Source: Freshworks CRM API, "View all fields of a contact"; the shape is that of a recorded answer.
func (c *Client) ContactFields(ctx context.Context) ([]FieldMeta, error) {
	fields, err := c.fields(ctx, OpContactFields, "/settings/contacts/fields")
	if err != nil {
		return nil, err
	}
	labels := make(map[string]string, len(fields))
	for _, f := range fields {
		labels[f.Name] = f.Label
	}
	c.labels.Store(&labels)
	return fields, nil
}

// AccountFields reads the fields of the account's sales accounts, built in and custom.
//
// Source: Freshworks CRM API, "View all fields of an account"; the shape is taken to be that of contact fields.
func (c *Client) AccountFields(ctx context.Context) ([]FieldMeta, error) {
	return c.fields(ctx, OpAccountFields, "/settings/sales_accounts/fields")
}

func (c *Client) fields(ctx context.Context, op, path string) ([]FieldMeta, error) {
	var answer struct {
		Fields []fieldAnswer `json:"fields"`
	}
	err := c.do(ctx, call{op: op, method: http.MethodGet, path: path}, decodeInto(&answer, func() bool { return len(answer.Fields) > 0 }))
	if err != nil {
		return nil, err
	}
	fields := make([]FieldMeta, len(answer.Fields))
	for i, f := range answer.Fields {
		fields[i] = f.meta()
	}
	return fields, nil
}

type fieldAnswer struct {
	ID       text `json:"id"`
	Name     text `json:"name"`
	Label    text `json:"label"`
	Type     text `json:"type"`
	Default  bool `json:"default"`
	Required bool `json:"required"`
	Multiple bool `json:"multiple"`
	Choices  []struct {
		ID    text `json:"id"`
		Value text `json:"value"`
	} `json:"choices"`
}

func (f fieldAnswer) meta() FieldMeta {
	meta := FieldMeta{
		ID: string(f.ID), Name: string(f.Name), Label: string(f.Label), Type: string(f.Type),
		Default: f.Default, Required: f.Required, Multiple: f.Multiple,
	}
	for _, choice := range f.Choices {
		meta.Choices = append(meta.Choices, FieldChoice{ID: string(choice.ID), Value: string(choice.Value)})
	}
	return meta
}

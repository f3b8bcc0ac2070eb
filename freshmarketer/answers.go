package freshmarketer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// Contact is a contact as the API answers it.
type Contact struct {
	ID         string                     // a number of 64 bits, as text
	Email      string                     // the primary address, "" if none
	ExternalID string                     // "" if none
	Fields     map[string]json.RawMessage // the whole object, by API field name
	Custom     map[string]json.RawMessage // custom_field, by API field name (cf_…)
	Status     int                        // HTTP status of the answer: 201 may tell a created contact; 0 in a list
}

// UnmarshalJSON reads the object whole and picks out what identifies the contact. Ids change between string and number
// from endpoint to endpoint, so both are read.
func (c *Contact) UnmarshalJSON(data []byte) error {
	var known struct {
		ID         text                       `json:"id"`
		Email      text                       `json:"email"`
		ExternalID text                       `json:"external_id"`
		Custom     map[string]json.RawMessage `json:"custom_field"`
		Emails     []struct {
			Value   text `json:"value"`
			Primary bool `json:"is_primary"`
		} `json:"emails"`
	}
	var fields map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(data, &known), json.Unmarshal(data, &fields)); err != nil {
		return err
	}
	*c = Contact{ID: string(known.ID), Email: string(known.Email), ExternalID: string(known.ExternalID), Fields: fields, Custom: known.Custom}
	for _, email := range known.Emails {
		if c.Email == "" && email.Primary {
			c.Email = string(email.Value)
		}
	}
	return nil
}

// lookupAnswer is {"contacts":{"contacts":[…]}}; without the nesting it is read too.
type lookupAnswer struct{ Contacts *[]Contact }

func (a *lookupAnswer) UnmarshalJSON(data []byte) error {
	var outer struct {
		Contacts json.RawMessage `json:"contacts"`
	}
	if err := json.Unmarshal(data, &outer); err != nil {
		return err
	}
	if bytes.HasPrefix(outer.Contacts, []byte("[")) {
		return json.Unmarshal(outer.Contacts, &a.Contacts)
	}
	var inner struct {
		Contacts *[]Contact `json:"contacts"`
	}
	if len(outer.Contacts) == 0 {
		return errUnexpected
	}
	err := json.Unmarshal(outer.Contacts, &inner)
	a.Contacts = inner.Contacts
	return err
}

// FieldMeta describes one contact field of the account.
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
	var answer struct {
		Fields []fieldAnswer `json:"fields"`
	}
	err := c.do(ctx, call{op: OpContactFields, method: http.MethodGet, path: "/settings/contacts/fields"},
		decodeInto(&answer, func() bool { return len(answer.Fields) > 0 }))
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

// text reads a JSON string or number as text, and null as "".
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err == nil { // also null, which leaves s empty
		*t = text(s)
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	*t = text(n)
	return nil
}

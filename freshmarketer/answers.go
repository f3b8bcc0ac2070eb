package freshmarketer

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
)

// Contact is a contact as the API answers it.
type Contact struct {
	ID         string                     // a number of 64 bits, as text
	Email      string                     // the primary address, "" if none
	ExternalID string                     // "" if none
	Fields     map[string]json.RawMessage // the whole object, by API field name
	Custom     map[string]json.RawMessage // custom_field, by API field name (cf_…)
	Accounts   []AccountLink              // only if IncludeAccounts was asked for
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
		Accounts   json.RawMessage            `json:"sales_accounts"`
		Emails     json.RawMessage            `json:"emails"`
	}
	var fields map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(data, &known), json.Unmarshal(data, &fields)); err != nil {
		return err
	}
	*c = Contact{ID: string(known.ID), Email: string(known.Email), ExternalID: string(known.ExternalID), Fields: fields, Custom: known.Custom}
	var emails []struct {
		Value   text `json:"value"`
		Primary bool `json:"is_primary"`
	}
	// Ignoring the errors: what these look like differs, and where one of them matters its absence is noticed.
	_, _ = json.Unmarshal(known.Emails, &emails), json.Unmarshal(known.Accounts, &c.Accounts)
	for _, email := range emails {
		if c.Email == "" && email.Primary {
			c.Email = string(email.Value)
		}
	}
	return nil
}

// linked reports whether the answer tells all sales accounts of the contact. Whoever asked for them is going to write
// them back with one more, so none may be overlooked.
func (c *Contact) linked() bool {
	var links []AccountLink
	raw := c.Fields["sales_accounts"]
	return len(raw) > 0 && string(raw) != "null" && json.Unmarshal(raw, &links) == nil &&
		!slices.ContainsFunc(links, func(l AccountLink) bool { return !isID(l.ID) })
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

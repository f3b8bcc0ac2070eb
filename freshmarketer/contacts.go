package freshmarketer

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Fields maps API field names to JSON values; nil empties a field. A list ([]string) is written the way the API takes
// it: "A;B" for custom fields and subscription_types, a JSON array for everything else (tags).
//
// The address always goes under the name "email", whatever the endpoint calls it.
type Fields map[string]any

// ContactWrite is a change of one contact. What is not named stays as it is, except that some accounts replace all
// custom fields at once, so Custom should hold the whole intended set there.
type ContactWrite struct {
	Fields Fields // standard fields
	Custom Fields // custom fields (cf_…), sent as custom_field; left out of the request if empty
}

// UpsertContact creates the contact, or updates the one that identifier ("external_id", "emails", "id",
// "mobile_number") finds, and returns it as it is now. The API does not say which of the two happened.
//
// Source: Freshworks CRM API, "Upsert a contact". That external_id is taken is seen in client code only; where an account
// does not take it, the error has IdentifierDoubt.
func (c *Client) UpsertContact(ctx context.Context, identifier, value string, w ContactWrite) (Contact, error) {
	if identifier == "" || strings.TrimSpace(value) == "" {
		return Contact{}, refuse(OpUpsertContact, "the identifier is empty")
	}
	field := identifier
	switch identifier {
	case "email", "emails":
		identifier, field = "emails", "email"
	}
	contact := w.wire("emails")
	// Every client seen repeats the identifier inside the contact; a new contact would otherwise lack it.
	if key := identifier; key != "id" {
		if _, given := contact[key]; !given {
			contact[key] = value
		}
	}
	cl := call{op: OpUpsertContact, method: http.MethodPost, path: "/contacts/upsert", sent: w.sent(field, value), identifier: identifier, body: map[string]any{
		"unique_identifier": map[string]string{identifier: value},
		"contact":           contact,
	}}
	return c.contact(ctx, cl)
}

// CreateContact makes a new contact and returns it. Unlike an upsert it never touches one that is there: a value that must
// be unique and is taken (the primary address, the mobile number, the external id) is refused with KindConflict or
// KindInvalid.
//
// Source: Freshworks CRM API, "Create a contact"; that a clash is refused and never merged is seen live.
func (c *Client) CreateContact(ctx context.Context, w ContactWrite) (Contact, error) {
	return c.contact(ctx, call{
		op: OpCreateContact, method: http.MethodPost, path: "/contacts", sent: w.sent("", ""),
		body: w.Body(),
	})
}

// UpdateContact changes the contact with this id and returns it as it is now. KindGone if there is none.
//
// Source: Freshworks CRM API, "Update a contact". The address is changed by the singular "email": it is checked for
// duplicates there, while an "emails" list would have to carry the existing entries with their ids (seen live).
func (c *Client) UpdateContact(ctx context.Context, id string, w ContactWrite) (Contact, error) {
	if !isID(id) {
		return Contact{}, refuse(OpUpdateContact, "the contact id is not a number")
	}
	return c.contact(ctx, call{
		op: OpUpdateContact, method: http.MethodPut, path: "/contacts/" + id, sent: w.sent("", ""),
		body: w.Body(),
	})
}

// IncludeAccounts asks for the sales accounts a contact belongs to, in Contact.Accounts.
const IncludeAccounts = "sales_accounts"

// GetContact reads one contact. Unlike a lookup it sees every write at once. KindGone if there is none. include asks for
// what the account leaves out by itself: IncludeAccounts, "owner", "contact_status", "lifecycle_stage".
func (c *Client) GetContact(ctx context.Context, id string, include ...string) (Contact, error) {
	if !isID(id) {
		return Contact{}, refuse(OpGetContact, "the contact id is not a number")
	}
	cl := call{op: OpGetContact, method: http.MethodGet, path: "/contacts/" + id}
	if len(include) > 0 {
		cl.query = url.Values{"include": {strings.Join(include, ",")}}
	}
	return c.contact(ctx, cl, func(got *Contact) bool { return !slices.Contains(include, IncludeAccounts) || got.linked() })
}

// DeleteContact moves the contact to the recycle bin. KindGone if there is none.
func (c *Client) DeleteContact(ctx context.Context, id string) error {
	if !isID(id) {
		return refuse(OpDeleteContact, "the contact id is not a number")
	}
	return c.do(ctx, call{op: OpDeleteContact, method: http.MethodDelete, path: "/contacts/" + id}, confirmed)
}

// ForgetContact deletes the contact for good, with everything the account knows about it, also from the recycle bin.
// KindGone if there is none.
//
// Source: Freshworks CRM API, "Forget a contact".
func (c *Client) ForgetContact(ctx context.Context, id string) error {
	if !isID(id) {
		return refuse(OpForgetContact, "the contact id is not a number")
	}
	return c.do(ctx, call{op: OpForgetContact, method: http.MethodDelete, path: "/contacts/" + id + "/forget"}, confirmed)
}

// LookupContacts finds contacts whose field ("email", "external_id", "mobile_number", "cf_…") has exactly this value;
// "email" means the primary address. None is an empty list and no error. What was written in the last 20 seconds or so
// may not be found yet.
func (c *Client) LookupContacts(ctx context.Context, field, value string) ([]Contact, error) {
	cl := call{
		op: OpLookupContacts, method: http.MethodGet, path: "/lookup",
		query: url.Values{"f": {field}, "q": {value}, "entities": {"contact"}},
	}
	cl.sent.fields = []string{field}
	cl.sent.add(value)
	cl.sent.add(url.QueryEscape(value))
	var found lookupAnswer
	err := c.do(ctx, cl, decodeInto(&found, func() bool { return found.Contacts != nil }))
	if err != nil {
		return nil, err
	}
	return *found.Contacts, nil
}

// contact makes a call that is answered by {"contact":{…}}.
// whole, if given, asks whether what matters besides is there.
func (c *Client) contact(ctx context.Context, cl call, whole ...func(*Contact) bool) (Contact, error) {
	var body struct {
		Contact Contact `json:"contact"`
	}
	decode := decodeInto(&body, func() bool {
		return body.Contact.ID != "" && !slices.ContainsFunc(whole, func(is func(*Contact) bool) bool { return !is(&body.Contact) })
	})
	err := c.do(ctx, cl, func(got answer) error {
		err := decode(got)
		body.Contact.Status = got.status
		return err
	})
	return body.Contact, err
}

// Body is what CreateContact and UpdateContact send.
func (w ContactWrite) Body() map[string]any { return map[string]any{"contact": w.wire("email")} }

// wire builds the contact object; emailKey is what this endpoint calls the address.
func (w ContactWrite) wire(emailKey string) map[string]any {
	contact := make(map[string]any, len(w.Fields)+1)
	for name, value := range w.Fields {
		if name == "email" {
			name = emailKey
		}
		if list, ok := value.([]string); ok && name == "subscription_types" {
			value = strings.Join(list, ";")
		}
		contact[name] = value
	}
	if len(w.Custom) == 0 {
		return contact
	}
	custom := make(map[string]any, len(w.Custom))
	for name, value := range w.Custom {
		if list, ok := value.([]string); ok {
			value = strings.Join(list, ";")
		}
		custom[name] = value
	}
	contact["custom_field"] = custom
	return contact
}

// sent lists what the change carries, for redaction; field and value are the identifier's, if any.
func (w ContactWrite) sent(field, value string) sent {
	var s sent
	s.add(w.Fields)
	s.add(w.Custom)
	for _, fields := range []Fields{w.Fields, w.Custom} {
		for name, v := range fields {
			s.fields = append(s.fields, name)
			if list, ok := v.([]string); ok {
				s.add(strings.Join(list, ";"))
			}
		}
	}
	if field != "" {
		s.add(value)
		s.fields = append(s.fields, field)
	}
	slices.Sort(s.fields) // so that fieldNamedIn does not depend on the order of a map
	return s
}

// isID guards the path: an empty id would turn "one contact" into "all contacts".
func isID(id string) bool {
	for _, r := range id {
		if r < '0' || r > '9' {
			return false
		}
	}
	return id != ""
}

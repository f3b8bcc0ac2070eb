package sandbox

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// contact is one state of a contact. It is never changed once stored: every write makes a new one, so that states can
// be handed out, kept as history and shown late to lookups without copying.
type contact struct {
	ID        int64          `json:"id"`
	Emails    []email        `json:"emails,omitempty"`
	Standard  map[string]any `json:"standard,omitempty"` // built-in fields that have a value: string, json.Number
	Tags      []string       `json:"tags,omitempty"`
	Custom    map[string]any `json:"custom,omitempty"` // custom fields that have a value: string, json.Number, bool
	Accounts  []link         `json:"accounts,omitempty"`
	Created   time.Time      `json:"created"`
	Updated   time.Time      `json:"updated"`
	Deleted   bool           `json:"deleted,omitempty"`   // in the recycle bin
	Forgotten bool           `json:"forgotten,omitempty"` // nothing is left but the id, which is not given again
}

// email is one address of a contact, in its wire form.
type email struct {
	ID      int64   `json:"id"`
	Value   string  `json:"value"`
	Primary bool    `json:"is_primary"`
	Label   *string `json:"label"`
	Destroy bool    `json:"_destroy"`
}

// newContact has the values that accounts give to new contacts. Source: recorded answers.
func newContact(now time.Time) *contact {
	return &contact{
		Standard: map[string]any{
			"subscription_status":          json.Number("1"),
			"subscription_types":           "2;3;4;5;1",
			"sms_subscription_status":      json.Number("2"),
			"whatsapp_subscription_status": json.Number("2"),
		},
		Custom:  map[string]any{},
		Created: now,
		Updated: now,
	}
}

// edit returns a copy to be changed.
func (c *contact) edit(now time.Time) *contact {
	next := *c
	next.Emails = slices.Clone(c.Emails)
	next.Standard = maps.Clone(c.Standard)
	next.Tags = slices.Clone(c.Tags)
	next.Custom = maps.Clone(c.Custom)
	if next.Standard == nil { // read back from a file that leaves out empty maps
		next.Standard = map[string]any{}
	}
	if next.Custom == nil {
		next.Custom = map[string]any{}
	}
	next.Updated = now
	return &next
}

// live reports whether the API knows the contact. A nil contact is not live.
func (c *contact) live() bool { return c != nil && !c.Deleted && !c.Forgotten }

// email is the primary address, "" if there is none.
func (c *contact) email() string {
	for _, e := range c.Emails {
		if e.Primary {
			return e.Value
		}
	}
	return ""
}

// text is a built-in field as text, "" if it has no value.
func (c *contact) text(name string) string {
	s, _ := c.Standard[name].(string)
	return s
}

// displayName is the contact's name, or the address if it has none (recorded).
func (c *contact) displayName() string {
	name := strings.TrimSpace(c.text("first_name") + " " + c.text("last_name"))
	if name == "" {
		return c.email()
	}
	return name
}

// set gives a built-in field a value, or takes it away: v is nil or "".
func (c *contact) set(name string, v any) {
	if v == nil || v == "" {
		delete(c.Standard, name)
		return
	}
	c.Standard[name] = v
}

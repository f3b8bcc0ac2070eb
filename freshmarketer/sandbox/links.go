package sandbox

import (
	"fmt"
	"strconv"
)

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

package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxAddress is the longest address in characters. Source: RFC 5321 by way of its errata; the vendor only says "over-long".
const maxAddress = 254

// setEmails takes the addresses: "emails" as text or as a list of entries, "email" as text. Text is the new primary
// address. Blank is refused, also on update (seen in connector documentation).
func (s *Sandbox) setEmails(c *contact, in map[string]any) []string {
	var problems []string
	for _, key := range []string{"emails", "email"} {
		v, given := in[key]
		if !given {
			continue
		}
		switch v := v.(type) {
		case string:
			if strings.TrimSpace(v) == "" {
				problems = append(problems, s.say(needToFill, "Email"))
				continue
			}
			s.setPrimary(c, v)
		case []any:
			problems = append(problems, s.setEntries(c, v)...)
		case nil:
			problems = append(problems, s.say(needToFill, "Email"))
		default:
			problems = append(problems, s.say(invalidAttributes))
		}
	}
	if len(problems) == 0 && c.email() == "" {
		problems = append(problems, s.say(needToFill, "Email"))
	}
	for _, e := range c.Emails {
		if !validAddress(e.Value) {
			problems = append(problems, s.say(invalidEmail, e.Value))
		}
	}
	return problems
}

// setPrimary changes the primary address; where the old one goes is not documented, here it is replaced.
func (s *Sandbox) setPrimary(c *contact, value string) {
	c.Emails = slices.DeleteFunc(c.Emails, func(e email) bool { return !e.Primary && sameAddress(e.Value, value) })
	for i := range c.Emails {
		if c.Emails[i].Primary {
			c.Emails[i].Value = value
			return
		}
	}
	c.Emails = append(c.Emails, email{ID: s.store.newEmailID(), Value: value, Primary: true})
}

// setEntries takes a list: entries with an id change or destroy one that is there, entries without are new, and what
// the list does not name is kept (inferred from the _destroy key, which would be pointless otherwise).
func (s *Sandbox) setEntries(c *contact, list []any) []string {
	for _, item := range list {
		entry, ok := item.(map[string]any)
		if value, isText := item.(string); isText {
			entry, ok = map[string]any{"value": value}, true
		}
		if !ok || !s.setEntry(c, entry) {
			return []string{s.say(invalidAttributes)}
		}
	}
	if len(c.Emails) > 0 && c.email() == "" {
		c.Emails[0].Primary = true
	}
	return nil
}

func (s *Sandbox) setEntry(c *contact, entry map[string]any) bool {
	value, hasValue := entry["value"].(string)
	at := slices.IndexFunc(c.Emails, func(e email) bool {
		if id, given := entry["id"]; given && id != nil {
			return fmt.Sprint(id) == fmt.Sprint(e.ID)
		}
		return sameAddress(e.Value, value)
	})
	switch {
	case at < 0 && (entry["id"] != nil || !hasValue):
		return false
	case at < 0:
		c.Emails = append(c.Emails, email{ID: s.store.newEmailID(), Value: value})
		at = len(c.Emails) - 1
	case entry["_destroy"] == true:
		c.Emails = slices.Delete(c.Emails, at, at+1)
		return true
	case hasValue:
		c.Emails[at].Value = value
	}
	if label, ok := entry["label"].(string); ok {
		c.Emails[at].Label = &label
	}
	if entry["is_primary"] == true {
		for i := range c.Emails {
			c.Emails[i].Primary = i == at
		}
	}
	return true
}

func sameAddress(a, b string) bool { return strings.EqualFold(a, b) }

// validAddress asks for local@domain.tld in any script. What exactly the vendor accepts is not known.
func validAddress(address string) bool {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" || strings.Contains(domain, "@") || utf8.RuneCountInString(address) > maxAddress || !utf8.ValidString(address) {
		return false
	}
	labels := strings.Split(domain, ".")
	if len(labels) < 2 || slices.Contains(labels, "") || slices.Contains(strings.Split(local, "."), "") {
		return false
	}
	return !strings.ContainsFunc(address, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`"(),:;<>[]\`, r)
	})
}

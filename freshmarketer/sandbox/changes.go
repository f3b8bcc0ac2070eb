package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Change is one field of one contact that a write gave another value.
type Change struct {
	N         int64     `json:"n"` // of the Call, 0 for a write by hand
	At        time.Time `json:"at"`
	Operation string    `json:"operation"`
	Field     string    `json:"field"` // "email", "emails" (the others), "tags", "sales_accounts", a built-in field, cf_…, or "is_deleted"
	Old       any       `json:"old"`   // nil: no value
	New       any       `json:"new"`
	Named     bool      `json:"named"` // the request named this field; if not, the write did more than it was told
}

// changeLog keeps them per contact, small enough for hundreds of thousands.
type changeLog struct {
	of     map[int64][]change
	writes map[string]int64 // by operation
}

// change is Change without what is seldom needed: times are kept as numbers.
type change struct {
	n        int64
	at       int64 // nanoseconds since 1970
	op       string
	field    string
	old, new any
	named    bool
}

// record compares two states. in is what the request sent, nil if the write is none of fields.
func (l *changeLog) record(before, after *contact, at Snapshot, in map[string]any) {
	l.writes[at.Operation]++
	if l.of == nil {
		return
	}
	add := func(field string, old, now any) {
		if !reflect.DeepEqual(old, now) {
			l.of[after.ID] = append(l.of[after.ID], change{
				n: at.N, at: at.At.UnixNano(), op: at.Operation, field: field, old: old, new: now, named: after.Forgotten || nameIn(in, field),
			})
		}
	}
	if before == nil {
		before = &contact{}
	}
	add("email", orNull(before.email()), orNull(after.email()))
	add("emails", others(before), others(after))
	add("tags", orNull(strings.Join(before.Tags, ",")), orNull(strings.Join(after.Tags, ",")))
	add("sales_accounts", linkText(before), linkText(after))
	eachKey(before.Standard, after.Standard, add)
	eachKey(before.Custom, after.Custom, add)
	if before.Deleted || before.Forgotten || after.Deleted || after.Forgotten {
		add("is_deleted", before.Deleted || before.Forgotten, after.Deleted || after.Forgotten)
	}
}

func eachKey(before, after map[string]any, add func(field string, old, now any)) {
	for name, old := range before {
		add(name, old, after[name])
	}
	for name, now := range after {
		if _, both := before[name]; !both {
			add(name, nil, now)
		}
	}
}

func nameIn(in map[string]any, field string) bool {
	switch field {
	case "email", "emails":
		return in["email"] != nil || in["emails"] != nil
	case "is_deleted": // is what the call is for
		return true
	}
	if strings.HasPrefix(field, "cf_") {
		custom, _ := in["custom_field"].(map[string]any)
		_, ok := custom[field]
		return ok
	}
	_, ok := in[field]
	return ok
}

func others(c *contact) any {
	var list []string
	for _, e := range c.Emails {
		if !e.Primary {
			list = append(list, e.Value)
		}
	}
	return orNull(strings.Join(list, ","))
}

func linkText(c *contact) any {
	var list []string
	for _, l := range c.Accounts {
		list = append(list, fmt.Sprint(l.ID, " ", l.Primary))
	}
	return orNull(strings.Join(list, ","))
}

// Changes returns what happened to the fields of a contact since New, oldest first. A new contact's first values are
// changes from nil; those given to every new contact (subscription_status …) are not Named. It is nil unless
// Options.Changes is set.
func (s *Sandbox) Changes(id int64) []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(s.opt.Now())
	var list []Change
	for _, c := range s.store.changes.of[id] {
		list = append(list, Change{
			N: c.n, At: time.Unix(0, c.at).UTC(), Operation: c.op, Field: c.field, Old: c.old, New: c.new, Named: c.named,
		})
	}
	return list
}

// Writes is how many writes of contacts took effect, by operation: OpUpdateContact, OpBulkUpsert (each record),
// OpByHand, …. A write that changed nothing counts.
func (s *Sandbox) Writes() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(s.opt.Now())
	return maps.Clone(s.store.changes.writes)
}

// Preload creates n contacts as they are before a test begins: nothing of it is in the history, in the changes or
// counted, and lookups see them at once. fields gives the contact object of the API for each of 0 … n-1. It is fast:
// 50,000 take less than a second.
func (s *Sandbox) Preload(n int, fields func(i int) map[string]any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	rq := request{op: OpByHand, at: s.opt.Now(), preload: true}
	for i := range n {
		in, err := plain(fields(i))
		if err != nil {
			return fmt.Errorf("sandbox: preloading contact %d: %w", i, err)
		}
		if ans := s.create(rq, in, 0); !ans.effect {
			return fmt.Errorf("sandbox: preloading contact %d: %v", i, ans.body)
		}
	}
	return nil
}

// madeUp is a contact for Options.Contacts.
func madeUp(i int) map[string]any {
	number := strconv.Itoa(i + 1)
	return map[string]any{
		"email": "contact" + number + "@sandbox.test", "external_id": "user-" + number, "first_name": "Contact", "last_name": number,
	}
}

// plain turns Go values into those that JSON would have been read as.
func plain(in map[string]any) (map[string]any, error) {
	simple := true
	out := make(map[string]any, len(in))
	for name, v := range in {
		switch v := v.(type) {
		case string, bool, nil, json.Number:
			out[name] = v
		case int:
			out[name] = json.Number(fmt.Sprint(v))
		case map[string]any:
			inner, err := plain(v)
			if err != nil {
				return nil, err
			}
			out[name] = inner
		default:
			simple = false
		}
	}
	if simple {
		return out, nil
	}
	text, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return out, unmarshal(text, &out)
}

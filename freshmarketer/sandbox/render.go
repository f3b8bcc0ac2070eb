package sandbox

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// accountZone is what timestamps are shown in: an offset other than zero, as in recorded answers, so that nobody gets
// used to UTC.
var accountZone = time.FixedZone("", -4*60*60) //nolint:gochecknoglobals // a constant that Go cannot say

func timestamp(t time.Time) string { return t.In(accountZone).Format("2006-01-02T15:04:05-07:00") }

// sameForAll are the keys of a contact's object that never have another value in a sandbox.
const sameForAll = `"avatar":null,"phone_numbers":[],"locale":null,"unsubscription_reason":null,"other_unsubscription_reason":null,` +
	`"web_form_ids":null,"customer_fit":0,"lead_score":0,"recent_note":null,"last_seen":null,"last_contacted":null,` +
	`"last_contacted_mode":null,"last_contacted_sales_activity_mode":null,"last_contacted_via_sales_activity":null,` +
	`"open_deals_amount":"0.0","open_deals_count":0,"won_deals_amount":"0.0","won_deals_count":0,"active_sales_sequences":null,` +
	`"completed_sales_sequences":null,"last_assigned_at":null,"total_sessions":null,"first_seen_chat":null,"last_seen_chat":null,` +
	`"first_campaign":null,"first_medium":null,"first_source":null,"last_campaign":null,"last_medium":null,"last_source":null,` +
	`"latest_campaign":null,"latest_medium":null,"latest_source":null,"system_tags":[],"team_user_ids":null,"record_type_id":"980000000000901"`

// object is the contact in its full read form, and more besides. Source: recorded answers of GET /contacts/:id and of
// upsert; the keys are the union of those seen. That custom_field names every custom field, null where empty, is
// inferred. It is written by hand, key by key, because tests read hundreds of thousands of them.
func (s *Sandbox) object(c *contact, more map[string]any) json.RawMessage {
	b := make([]byte, 0, 4<<10)
	b = append(b, '{')
	b = append(b, sameForAll...)
	b = appendKey(b, "id", c.ID)
	b = appendKey(b, "mcr_id", c.ID)
	b = appendKey(b, "display_name", c.displayName())
	b = appendKey(b, "email", orNull(c.email()))
	b = appendKey(b, "emails", append([]email{}, c.Emails...))
	b = appendKey(b, "tags", append([]string{}, c.Tags...))
	b = appendKey(b, "is_deleted", c.Deleted)
	b = appendKey(b, "created_at", timestamp(c.Created))
	b = appendKey(b, "updated_at", timestamp(c.Updated))
	for _, f := range s.fields.standard {
		switch f.write {
		case writeText, writePhone, writeID, writeIDs, writeZone:
			if !f.hidden {
				b = appendKey(b, f.name, c.Standard[f.name])
			}
		}
	}
	for name, v := range more {
		b = appendKey(b, name, v)
	}
	b = append(b, `,"custom_field":{`...)
	for i, f := range s.fields.custom {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendValue(append(appendValue(b, f.Name), ':'), c.Custom[f.Name])
	}
	b = append(b, `},"links":{`...)
	for i, link := range links {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendValue(b, link.name), `:"/crm/sales/contacts/`...)
		b = append(strconv.AppendInt(b, c.ID, 10), '/')
		b = append(append(b, link.end...), '"')
	}
	return append(b, '}', '}')
}

func appendKey(b []byte, name string, v any) []byte {
	return appendValue(append(appendValue(append(b, ','), name), ':'), v)
}

// appendValue writes a value, the frequent ones without the detour of encoding/json.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case json.Number:
		return append(b, v...)
	case string:
		if !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\<>&`, r) }) {
			return append(append(append(b, '"'), v...), '"')
		}
	}
	encoded, err := json.Marshal(v)
	if err != nil { // only values read from JSON get here, so this is a bug of the sandbox
		return append(b, "null"...)
	}
	return append(b, encoded...)
}

// contactAnswer is {"contact":{…}} with the side-loads that ?include= asks for.
func (s *Sandbox) contactAnswer(status int, c *contact, include string) answer {
	if include == "" {
		object := s.object(c, nil)
		raw := append(append(append(make([]byte, 0, len(object)+16), `{"contact":`...), object...), '}')
		return answer{status: status, body: json.RawMessage(raw), contactID: c.ID}
	}
	more, body := map[string]any{}, map[string]any{}
	for want := range strings.SplitSeq(include, ",") {
		if want == "sales_accounts" {
			more["sales_accounts"] = s.linkedAccounts(c)
		}
		side, ok := sideLoads[want]
		if !ok {
			continue
		}
		id := c.Standard[side.field]
		more[side.field] = id
		rows := []any{}
		for _, choice := range s.fields.byName[side.field].choices {
			if id != nil && fmt.Sprint(choice.ID) == fmt.Sprint(id) {
				rows = append(rows, map[string]any{"id": id, "name": choice.Value})
			}
		}
		body[side.array] = rows
	}
	body["contact"] = s.object(c, more)
	return answer{status: status, body: body, contactID: c.ID}
}

// objects is a JSON list of contacts.
func (s *Sandbox) objects(contacts []*contact) json.RawMessage {
	b := []byte{'['}
	for i, c := range contacts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, s.object(c, nil)...)
	}
	return append(b, ']')
}

// sideLoads by the word in ?include=. Source: seen in client code.
var sideLoads = map[string]struct{ field, array string }{ //nolint:gochecknoglobals // a table nobody writes to
	"owner":           {"owner_id", "users"},
	"contact_status":  {"contact_status_id", "contact_status"},
	"lifecycle_stage": {"lifecycle_stage_id", "lifecycle_stages"},
}

// links of a contact. Source: recorded answers.
var links = [...]struct{ name, end string }{ //nolint:gochecknoglobals // a table nobody writes to
	{"conversations", "conversations/all?include=email_conversation_recipients%2Ctargetable%2Cphone_number%2Cphone_caller%2Cnote%2Cuser"},
	{"timeline_feeds", "timeline_feeds"},
	{"document_associations", "document_associations"},
	{"notes", "notes?include=creater"},
	{"tasks", "tasks?include=creater,owner,updater,targetable,users,task_type"},
	{"appointments", "appointments?include=creater,owner,updater,targetable,appointment_attendees"},
	{"reminders", "reminders?include=creater,owner,updater,targetable"},
	{"duplicates", "duplicates"},
	{"connections", "connections"},
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

package sandbox

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// accountZone is what timestamps are shown in: an offset other than zero, as in recorded answers, so that nobody gets
// used to UTC.
var accountZone = time.FixedZone("", -4*60*60) //nolint:gochecknoglobals // a constant that Go cannot say

func timestamp(t time.Time) string { return t.In(accountZone).Format("2006-01-02T15:04:05-07:00") }

// object is the contact in its full read form. Source: recorded answers of GET /contacts/:id and of upsert; the keys
// are the union of those seen. That custom_field names every custom field, null where empty, is inferred.
func (s *Sandbox) object(c *contact) map[string]any {
	o := map[string]any{
		"id": c.ID, "display_name": c.displayName(), "email": orNull(c.email()), "emails": c.Emails, "avatar": nil,
		"mcr_id": c.ID, "phone_numbers": []any{}, "tags": append([]string{}, c.Tags...), "is_deleted": c.Deleted,
		"locale": nil, "unsubscription_reason": nil, "other_unsubscription_reason": nil, "web_form_ids": nil,
		"customer_fit": json.Number("0"), "lead_score": json.Number("0"), "recent_note": nil,
		"last_seen": nil, "last_contacted": nil, "last_contacted_mode": nil,
		"last_contacted_sales_activity_mode": nil, "last_contacted_via_sales_activity": nil,
		"open_deals_amount": "0.0", "open_deals_count": 0, "won_deals_amount": "0.0", "won_deals_count": 0,
		"active_sales_sequences": nil, "completed_sales_sequences": nil, "last_assigned_at": nil, "total_sessions": nil,
		"first_seen_chat": nil, "last_seen_chat": nil, "system_tags": []any{}, "team_user_ids": nil,
		"record_type_id": fmt.Sprint(firstOtherID + 900), "links": links(c.ID),
		"created_at": timestamp(c.Created), "updated_at": timestamp(c.Updated),
	}
	for _, when := range []string{"first", "last", "latest"} {
		for _, what := range []string{"campaign", "medium", "source"} {
			o[when+"_"+what] = nil
		}
	}
	for _, f := range s.fields.standard {
		switch f.write {
		case writeText, writePhone, writeID, writeIDs, writeZone:
			if !f.hidden {
				o[f.name] = c.Standard[f.name]
			}
		}
	}
	custom := make(map[string]any, len(s.fields.custom))
	for _, f := range s.fields.custom {
		custom[f.Name] = c.Custom[f.Name]
	}
	o["custom_field"] = custom
	return o
}

// contactAnswer is {"contact":{…}} with the side-loads that ?include= asks for.
func (s *Sandbox) contactAnswer(status int, c *contact, include string) answer {
	object := s.object(c)
	body := map[string]any{"contact": object}
	for want := range strings.SplitSeq(include, ",") {
		if want == "sales_accounts" {
			object["sales_accounts"] = s.linkedAccounts(c)
		}
		side, ok := sideLoads[want]
		if !ok {
			continue
		}
		id := c.Standard[side.field]
		object[side.field] = id
		rows := []any{}
		for _, choice := range s.fields.byName[side.field].choices {
			if id != nil && fmt.Sprint(choice.ID) == fmt.Sprint(id) {
				rows = append(rows, map[string]any{"id": id, "name": choice.Value})
			}
		}
		body[side.array] = rows
	}
	return answer{status: status, body: body, contactID: c.ID}
}

// sideLoads by the word in ?include=. Source: seen in client code.
var sideLoads = map[string]struct{ field, array string }{ //nolint:gochecknoglobals // a table nobody writes to
	"owner":           {"owner_id", "users"},
	"contact_status":  {"contact_status_id", "contact_status"},
	"lifecycle_stage": {"lifecycle_stage_id", "lifecycle_stages"},
}

func links(id int64) map[string]string {
	base := fmt.Sprintf("/crm/sales/contacts/%d/", id)
	return map[string]string{
		"conversations":         base + "conversations/all?include=email_conversation_recipients%2Ctargetable%2Cphone_number%2Cphone_caller%2Cnote%2Cuser",
		"timeline_feeds":        base + "timeline_feeds",
		"document_associations": base + "document_associations",
		"notes":                 base + "notes?include=creater",
		"tasks":                 base + "tasks?include=creater,owner,updater,targetable,users,task_type",
		"appointments":          base + "appointments?include=creater,owner,updater,targetable,appointment_attendees",
		"reminders":             base + "reminders?include=creater,owner,updater,targetable",
		"duplicates":            base + "duplicates",
		"connections":           base + "connections",
	}
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

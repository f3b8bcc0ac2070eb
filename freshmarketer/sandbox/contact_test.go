package sandbox_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestNewContactObject(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{Now: newClock().Now})
	res := create(t, box, object{
		"emails": "Zoë.Müller@bücher.test", "first_name": "Zoë", "external_id": "ключ-Ω-1005",
		"custom_field": object{"cf_plan": "Gold"},
	})
	c := res.contact()
	want := object{
		"id": float64(990_000_000_000_001), "email": "Zoë.Müller@bücher.test", "first_name": "Zoë", "last_name": nil, "display_name": "Zoë",
		"external_id": "ключ-Ω-1005", "subscription_status": 1.0, "subscription_types": "2;3;4;5;1", "is_deleted": false,
		"created_at": "2026-08-09T03:22:12-04:00", "updated_at": "2026-08-09T03:22:12-04:00",
	}
	for key, want := range want {
		if diff := cmp.Diff(want, c[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	wantEmails := []any{object{"id": float64(970_000_000_000_001), "value": "Zoë.Müller@bücher.test", "is_primary": true, "label": nil, "_destroy": false}}
	if diff := cmp.Diff(wantEmails, c["emails"]); diff != "" {
		t.Errorf("emails (-want +got):\n%s", diff)
	}
	wantCustom := object{}
	for _, f := range sandbox.DefaultCustomFields() {
		wantCustom[f.Name] = nil
	}
	wantCustom["cf_plan"] = "Gold"
	if diff := cmp.Diff(wantCustom, res.custom()); diff != "" {
		t.Errorf("custom_field (-want +got):\n%s", diff)
	}
	for key := range strings.FieldsSeq(`avatar mcr_id work_email mobile_number work_number phone_numbers job_title address city state
		zipcode country time_zone locale facebook twitter linkedin tags unsubscription_reason other_unsubscription_reason
		sms_subscription_status whatsapp_subscription_status keyword medium first_campaign last_medium latest_source web_form_ids
		customer_fit lead_score last_seen last_contacted last_contacted_mode last_contacted_sales_activity_mode
		last_contacted_via_sales_activity recent_note open_deals_amount won_deals_count active_sales_sequences
		completed_sales_sequences last_assigned_at total_sessions first_seen_chat last_seen_chat system_tags team_user_ids
		record_type_id links`) {
		if _, ok := c[key]; !ok {
			t.Errorf("the object lacks %s", key)
		}
	}
	for _, key := range []string{"owner_id", "contact_status_id", "lifecycle_stage_id"} {
		if _, ok := c[key]; ok {
			t.Errorf("the object has %s without being asked to include it", key)
		}
	}
	if got := api(t, box, "GET", "contacts/"+res.id(), nil); cmp.Diff(got.body, res.body) != "" {
		t.Errorf("GET differs from what POST answered:\n%s", cmp.Diff(got.body, res.body))
	}
}

// The object is written by hand, so what JSON must escape is worth a look.
func TestObjectsAreJSON(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{CustomFields: []sandbox.Field{{Name: "cf_\"odd\"", Label: "Odd", Type: sandbox.TypeText}}})
	odd := "\"quoted\" \\ <b>&\n\t\u2028 ü \U0001F600 \x7f"
	made := create(t, box, object{"email": "a@x.test", "first_name": odd, "tags": []string{odd}, "custom_field": object{"cf_\"odd\"": odd}})
	if c := made.contact(); c["first_name"] != odd || c["tags"].([]any)[0] != odd || made.custom()["cf_\"odd\""] != odd || c["display_name"] != odd {
		t.Errorf("got %s", made.raw)
	}
	rows, _ := api(t, box, "GET", "contacts/view/980000000000503", nil).body["contacts"].([]any)
	if len(rows) != 1 || rows[0].(object)["first_name"] != odd || rows[0].(object)["links"].(object)["notes"] != "/crm/sales/contacts/990000000000001/notes?include=creater" {
		t.Errorf("listed %v", rows)
	}
	if empty := newBox(t, sandbox.Options{CustomFields: []sandbox.Field{}}); create(t, empty, object{"email": "a@x.test"}).custom() == nil {
		t.Error("without custom fields there is no custom_field")
	}
}

func TestInclude(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	stage := choiceID(t, box, "lifecycle_stage_id", "Customer")
	id := create(t, box, object{"email": "a@x.test", "lifecycle_stage_id": stage}).id()
	res := api(t, box, "GET", "contacts/"+id+"?include=owner,lifecycle_stage,nonsense", nil)
	if got := fmt.Sprintf("%.0f", res.contact()["lifecycle_stage_id"]); got != stage {
		t.Errorf("lifecycle_stage_id = %s, want %s", got, stage)
	}
	stages, _ := res.body["lifecycle_stages"].([]any)
	if len(stages) != 1 || stages[0].(object)["name"] != "Customer" {
		t.Errorf("lifecycle_stages = %v, want Customer", stages)
	}
	if owner, ok := res.contact()["owner_id"]; !ok || owner != nil {
		t.Errorf("owner_id = %v, present %t, want null", owner, ok)
	}
}

// choiceID asks the metadata for the id of a choice.
func choiceID(t *testing.T, box *sandbox.Sandbox, field, value string) string {
	t.Helper()
	fields, _ := api(t, box, "GET", "settings/contacts/fields", nil).body["fields"].([]any)
	for _, f := range fields {
		if f := f.(object); f["name"] == field {
			for _, c := range f["choices"].([]any) {
				if c := c.(object); c["value"] == value {
					if n, ok := c["id"].(float64); ok {
						return fmt.Sprintf("%.0f", n)
					}
					return fmt.Sprint(c["id"])
				}
			}
		}
	}
	t.Fatalf("field %s has no choice %s", field, value)
	return ""
}

func TestUpdateIsPartial(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now})
	id := create(t, box, object{"email": "a@x.test", "first_name": "A", "job_title": "Cook", "city": "Ulm", "tags": []string{"x", "y"}}).id()
	clock.pass(90_000_000_000)
	res := api(t, box, "PUT", "contacts/"+id, object{"contact": object{"job_title": nil, "city": "", "last_name": 5, "tags": []string{"z"}, "nickname": "?", "lead_score": 7}})
	got := res.contact()
	want := object{
		"first_name": "A", "job_title": nil, "city": nil, "last_name": "5", "tags": []any{"z"}, "lead_score": 0.0, "email": "a@x.test",
		"created_at": "2026-08-09T03:22:12-04:00", "updated_at": "2026-08-09T03:23:42-04:00",
	}
	for key, value := range want {
		if diff := cmp.Diff(value, got[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	if _, ok := got["nickname"]; ok {
		t.Error("an unknown key was stored")
	}
	if res := api(t, box, "PUT", "contacts/"+id, object{"contact": object{}}); res.status != 400 {
		t.Errorf("empty update: got %d, want 400", res.status)
	}
}

func TestUpsert(t *testing.T) {
	t.Parallel()
	upsert := func(box *sandbox.Sandbox, field string, value any, contact object) result {
		return api(t, box, "POST", "contacts/upsert", object{"unique_identifier": object{field: value}, "contact": contact})
	}
	box := newBox(t, sandbox.Options{})
	first := upsert(box, "external_id", "u-1", object{"emails": "a@x.test", "first_name": "A"})
	if first.status != 201 || first.contact()["external_id"] != "u-1" {
		t.Fatalf("new external_id: got %d %s, want 201 with it", first.status, first.raw)
	}
	tests := []struct {
		name, field string
		value       any
		contact     object
		status      int
		same        bool // the contact above
	}{
		{"external_id", "external_id", "u-1", object{"first_name": "B"}, 200, true},
		{"external_id in other letters is another", "external_id", "U-1", object{"emails": "b@x.test"}, 201, false},
		{"email, folded", "emails", "A@X.test", object{"mobile_number": "+1 (415) 555-0102"}, 200, true},
		{"mobile number, as stored", "mobile_number", "+14155550102", object{"city": "Ulm"}, 200, true},
		{"id as text", "id", first.id(), object{"city": "Ulm"}, 200, true},
		{"id as a number", "id", first.contact()["id"], object{"city": "Ulm"}, 200, true},
		{"unknown id", "id", "990000000999999", object{"city": "Ulm"}, 404, false},
		{"new email, nothing else", "emails", "c@x.test", object{"emails": "c@x.test"}, 201, false},
		{"new email, an empty contact", "emails", "d@x.test", object{}, 400, false},
		{"known email, an empty contact", "emails", "a@x.test", object{}, 400, false},
		{"id, an empty contact", "id", first.id(), object{}, 400, false},
		{"new external_id without an email", "external_id", "u-9", object{"city": "Ulm"}, 400, false},
		{"new external_id, taken email", "external_id", "u-9", object{"emails": "a@x.test"}, 400, false},
		{"own external_id, another's email", "external_id", "u-1", object{"emails": "c@x.test"}, 400, false},
	}
	for _, tt := range tests {
		res := upsert(box, tt.field, tt.value, tt.contact)
		if res.status != tt.status || tt.status < 300 && (res.id() == first.id()) != tt.same {
			t.Errorf("%s: got %d %s, want %d, same contact %t", tt.name, res.status, res.raw, tt.status, tt.same)
		}
	}

	quiet := newBox(t, sandbox.Options{UpsertAlways200: true, RefuseExternalIDUpsert: true})
	if res := upsert(quiet, "emails", "a@x.test", object{"city": "Ulm"}); res.status != 200 {
		t.Errorf("UpsertAlways200: got %d for a new contact", res.status)
	}
	if res := upsert(quiet, "external_id", "u-1", object{"emails": "b@x.test"}); res.status != 400 || res.messages() != "Invalid or missing attributes" {
		t.Errorf("RefuseExternalIDUpsert: got %d %s", res.status, res.raw)
	}
}

// An administrator can allow several contacts with one address: then no write clashes, and a lookup finds them all.
func TestSharedAddresses(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{SharedAddresses: true})
	first := create(t, box, object{"email": "home@x.test", "external_id": "u-1"}).id()
	second := create(t, box, object{"email": "HOME@x.test"}).id()
	third := create(t, box, object{"email": "c@x.test"}).id()
	found := func() string {
		t.Helper()
		contacts, _ := api(t, box, "GET", "lookup?q=home@x.test&f=email&entities=contact", nil).body["contacts"].(object)
		list, _ := contacts["contacts"].([]any)
		var ids []string
		for _, c := range list {
			ids = append(ids, fmt.Sprintf("%.0f", c.(object)["id"]))
		}
		return strings.Join(ids, " ")
	}
	if got := found(); got != first+" "+second {
		t.Errorf("found %s, want %s and %s", got, first, second)
	}
	if res := api(t, box, "PUT", "contacts/"+third, object{"contact": object{"email": "home@x.test"}}); res.status != 200 || found() != first+" "+second+" "+third {
		t.Errorf("an address that others have: %d %s, then found %s", res.status, res.raw, found())
	}
	upsert := api(t, box, "POST", "contacts/upsert", object{"unique_identifier": object{"emails": "home@x.test"}, "contact": object{"city": "Ulm"}})
	if upsert.status != 200 || upsert.id() != first {
		t.Errorf("an upsert took %s, want the first", upsert.id())
	}
	api(t, box, "DELETE", "contacts/"+first, nil)
	if got := found(); got != second+" "+third {
		t.Errorf("found %s after the first was deleted", got)
	}
	if res := api(t, box, "POST", "contacts", object{"contact": object{"email": "home@x.test", "mobile_number": "5550102"}}); res.status != 200 {
		t.Errorf("a fourth: %d", res.status)
	}
	if res := api(t, box, "POST", "contacts", object{"contact": object{"email": "home@x.test", "mobile_number": "5550102"}}); res.status != 400 {
		t.Errorf("a fifth, with the number of the fourth: %d", res.status)
	}
}

func TestDeleteAndForget(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	id := create(t, box, object{"email": "a@x.test", "external_id": "u-1"}).id()
	if res := api(t, box, "DELETE", "contacts/"+id, nil); res.status != 200 || res.raw != "true" {
		t.Fatalf("DELETE: got %d %s, want 200 true", res.status, res.raw)
	}
	for _, method := range []string{"GET", "DELETE", "PUT"} {
		if res := api(t, box, method, "contacts/"+id, object{"contact": object{"city": "Ulm"}}); res.status != 404 || res.body["errors"] == nil {
			t.Errorf("%s of a deleted contact: got %d %s, want a JSON 404", method, res.status, res.raw)
		}
	}
	again := create(t, box, object{"email": "a@x.test", "external_id": "u-1"}) // both are free again
	if again.id() == id {
		t.Error("an id was given twice")
	}
	for _, forgotten := range []string{id, again.id()} { // one in the bin, one live
		if res := api(t, box, "DELETE", "contacts/"+forgotten+"/forget", nil); res.status != 200 || res.raw != "true" {
			t.Errorf("forget: got %d %s, want 200 true", res.status, res.raw)
		}
		if res := api(t, box, "DELETE", "contacts/"+forgotten+"/forget", nil); res.status != 404 {
			t.Errorf("forget again: got %d, want 404", res.status)
		}
	}
	if left := box.Contacts(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestChangingAddresses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		change  object
		primary string
		all     int
		status  int
	}{
		{"email", object{"email": "new@x.test"}, "new@x.test", 2, 200},
		{"emails as text", object{"emails": "new@x.test"}, "new@x.test", 2, 200},
		{"the second becomes the first", object{"email": "two@x.test"}, "two@x.test", 1, 200},
		{"case only", object{"email": "ONE@x.test"}, "ONE@x.test", 2, 200},
		{"a new entry", object{"emails": []object{{"value": "new@x.test", "is_primary": false}}}, "one@x.test", 3, 200},
		{"a new primary entry", object{"emails": []object{{"value": "new@x.test", "is_primary": true}}}, "new@x.test", 3, 200},
		{"destroy by value", object{"emails": []object{{"value": "two@x.test", "_destroy": true}}}, "one@x.test", 1, 200},
		{"destroy the primary", object{"emails": []object{{"id": 970_000_000_000_002, "value": "one@x.test", "_destroy": true}}}, "two@x.test", 1, 200},
		{"change by id", object{"emails": []object{{"id": "970000000000002", "value": "uno@x.test"}}}, "uno@x.test", 2, 200},
		{"an id of nobody", object{"emails": []object{{"id": 1, "value": "uno@x.test"}}}, "one@x.test", 2, 400},
		{"no value", object{"emails": []object{{"is_primary": true}}}, "one@x.test", 2, 400},
		{"a number", object{"emails": 5}, "one@x.test", 2, 400},
		{"blank", object{"email": " "}, "one@x.test", 2, 400},
		{"null", object{"emails": nil}, "one@x.test", 2, 400},
		{"taken", object{"email": "TAKEN@x.test"}, "one@x.test", 2, 400},
		{"invalid", object{"email": "nobody"}, "one@x.test", 2, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			box := newBox(t, sandbox.Options{})
			create(t, box, object{"email": "taken@x.test"})
			id := create(t, box, object{"emails": []any{object{"value": "one@x.test", "is_primary": true}, "two@x.test"}}).id()
			res := api(t, box, "PUT", "contacts/"+id, object{"contact": tt.change})
			after := api(t, box, "GET", "contacts/"+id, nil).contact()
			if all, _ := after["emails"].([]any); res.status != tt.status || after["email"] != tt.primary || len(all) != tt.all {
				t.Errorf("got %d %s\nthen %v with %d addresses, want %d, %s with %d", res.status, res.messages(), after["email"], len(all), tt.status, tt.primary, tt.all)
			}
		})
	}
}

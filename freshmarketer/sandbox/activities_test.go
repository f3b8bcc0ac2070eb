package sandbox_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// choose asks a selector for the id of a choice.
func choose(t *testing.T, box *sandbox.Sandbox, selector, key, name string) json.Number {
	t.Helper()
	rows, _ := api(t, box, "GET", "selector/"+selector, nil).body[key].([]any)
	for _, r := range rows {
		if r := r.(object); r["name"] == name || r["display_name"] == name {
			return json.Number(fmt.Sprintf("%.0f", r["id"]))
		}
	}
	t.Fatalf("%s has no %s", selector, name)
	return ""
}

func TestActivities(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	id := create(t, box, object{"email": "a@x.test"}).id()
	activity := object{
		"title": "Order Completed", "sales_activity_type_id": choose(t, box, "sales_activity_types", "sales_activity_types", "Order Completed"),
		"owner_id": choose(t, box, "owners", "users", "Sandbox User"), "targetable_type": "Contact", "targetable_id": id,
		"start_date": "2026-08-09T10:00:00Z", "end_date": "2026-08-09T10:00:00Z", "notes": "n",
	}
	post := func(change object) result {
		next := maps.Clone(activity)
		maps.Copy(next, change)
		return api(t, box, "POST", "sales_activities", object{"sales_activity": next})
	}
	for range 2 { // nothing makes two of them one
		if res := post(nil); res.status != 201 || res.body["sales_activity"].(object)["targetable_id"] != 990_000_000_000_001.0 {
			t.Errorf("got %d %s", res.status, res.raw)
		}
	}
	tests := []struct {
		name   string
		change object
		status int
		says   string
	}{
		{"no title", object{"title": " "}, 400, "Title can't be blank"},
		{"no type, no owner", object{"sales_activity_type_id": nil, "owner_id": nil}, 400, "Sales activity type can't be blank; Owner can't be blank"},
		{"unknown type", object{"sales_activity_type_id": 5}, 404, "This record is not in the CRM any more."},
		{"unknown owner", object{"owner_id": 5}, 400, "Invalid owner provided."},
		{"unknown contact", object{"targetable_id": 990_000_000_000_999}, 404, "This record is not in the CRM any more."},
		{"no contact", object{"targetable_type": "Deal"}, 400, "Invalid targetable type provided."},
		{"bad date", object{"start_date": "tomorrow"}, 400, "Invalid start date provided."},
		{"words for an id", object{"sales_activity_outcome_id": "good"}, 400, "Invalid sales activity outcome provided."},
	}
	for _, tt := range tests {
		if res := post(tt.change); res.status != tt.status || res.messages() != tt.says {
			t.Errorf("%s: got %d %s, want %d %q", tt.name, res.status, res.raw, tt.status, tt.says)
		}
	}
	got := box.Activities()
	if len(got) != 2 || got[0].ContactID != 990_000_000_000_001 || got[0].Fields["notes"] != "n" || got[1].N <= got[0].N {
		t.Errorf("activities %+v", got)
	}
	listed := api(t, box, "GET", "sales_activities?per_page=1&page=2", nil)
	rows, _ := listed.body["sales_activities"].([]any)
	if len(rows) != 1 || listed.body["meta"].(object)["total"] != 2.0 {
		t.Errorf("second page of one: %s", listed.raw)
	}
	if res := api(t, box, "GET", fmt.Sprint("sales_activities/", got[1].ID), nil); res.status != 200 || !strings.Contains(res.raw, `"title":"Order Completed"`) {
		t.Errorf("read: %d %s", res.status, res.raw)
	}
	for path, hasBody := range map[string]bool{"sales_activities/1": true, "sales_activities/x": false, "sales_activity_types": false} {
		if res := api(t, box, "GET", path, nil); res.status != 404 || (res.raw != "") != hasBody {
			t.Errorf("%s: got %d %q, want 404, with a body %t", path, res.status, res.raw, hasBody)
		}
	}
	if res := api(t, box, "POST", "sales_activities", activity); res.status != 400 {
		t.Errorf("a flat body: got %d, want 400", res.status)
	}
	lenient := newBox(t, sandbox.Options{LenientBody: true})
	create(t, lenient, object{"email": "a@x.test"})
	if res := api(t, lenient, "POST", "sales_activities", activity); res.status != 201 {
		t.Errorf("a flat body where that is accepted: got %d %s", res.status, res.raw)
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	id := create(t, box, object{"email": "a@x.test"}).id()
	res := api(t, box, "POST", "notes", object{"note": object{"description": "called", "targetable_type": "Contact", "targetable_id": id}})
	note, _ := res.body["note"].(object)
	if res.status != 200 || cmp.Diff([]any{object{"id": 990_000_000_000_001.0, "type": "Contact"}}, note["targetables"]) != "" || len(box.Notes()) != 1 {
		t.Errorf("got %d %s", res.status, res.raw)
	}
	if res := api(t, box, "POST", "notes", object{"note": object{"description": "", "targetable_type": "Contact", "targetable_id": id}}); res.status != 400 {
		t.Errorf("a blank note: got %d, want 400", res.status)
	}
}

func TestMarketingLists(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	var contacts []string
	for i := range 3 {
		contacts = append(contacts, create(t, box, object{"email": fmt.Sprintf("c%d@x.test", i)}).id())
	}
	made := api(t, box, "POST", "lists", object{"name": "Buyers"})
	id := fmt.Sprintf("%.0f", made.body["list"].(object)["id"])
	members := func() (n int) {
		rows, _ := api(t, box, "GET", "contacts/lists/"+id, nil).body["contacts"].([]any)
		return len(rows)
	}
	for _, step := range []struct {
		path string
		body object
		want int
	}{
		{"add_contacts", object{"ids": []any{contacts[0], json.Number(contacts[1])}}, 2}, // text and numbers
		{"add_contacts", object{"ids": []any{contacts[1], contacts[2], 5}}, 3},           // once each, and nobody unknown
		{"remove_contacts", object{"ids": []any{contacts[0], contacts[0]}}, 2},
		{"remove_contacts", object{"all": true}, 0},
	} {
		if res := api(t, box, "PUT", "lists/"+id+"/"+step.path, step.body); res.status != 200 || members() != step.want {
			t.Errorf("%s %v: got %d and %d members, want %d", step.path, step.body, res.status, members(), step.want)
		}
	}
	if res := api(t, box, "GET", "lists", nil); res.body["meta"].(object)["total"] != 1.0 || !strings.Contains(res.raw, `"name":"Buyers"`) {
		t.Errorf("lists: %s", res.raw)
	}
	for path, body := range map[string]object{"lists": {"name": " "}, "lists/" + id: nil} {
		if res := api(t, box, "POST", path, body); res.status != 400 && res.status != 404 {
			t.Errorf("POST %s: got %d", path, res.status)
		}
	}
	if res := api(t, box, "PUT", "lists/"+id+"/add_contacts", object{}); res.status != 400 {
		t.Errorf("without ids: got %d, want 400", res.status)
	}
	if res := api(t, box, "PUT", "lists/1/add_contacts", object{"ids": []any{}}); res.status != 404 || res.raw == "" {
		t.Errorf("an unknown list: got %d %q, want a JSON 404", res.status, res.raw)
	}
}

func TestSelectors(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	for name, key := range map[string]string{
		"owners": "users", "territories": "territories", "lead_sources": "lead_sources", "contact_statuses": "contact_statuses",
		"lifecycle_stages": "lifecycle_stages", "sales_activity_types": "sales_activity_types", "sales_activity_outcomes": "sales_activity_outcomes",
		"industry_types": "industry_types", "business_types": "business_types", "campaigns": "campaigns",
	} {
		res := api(t, box, "GET", "selector/"+name, nil)
		rows, _ := res.body[key].([]any)
		if res.status != 200 || len(rows) == 0 {
			t.Errorf("%s: got %d %s, want a list under %s", name, res.status, res.raw, key)
			continue
		}
		if _, number := rows[0].(object)["id"].(float64); !number {
			t.Errorf("%s: the id is %v, want a number", name, rows[0])
		}
	}
	if got, want := choose(t, box, "lifecycle_stages", "lifecycle_stages", "Customer").String(), choiceID(t, box, "lifecycle_stage_id", "Customer"); got != want {
		t.Errorf("the selector says %s, the field %s", got, want)
	}
	types := api(t, box, "GET", "selector/sales_activity_types", nil).raw
	for _, want := range []string{`"internal_name":"appointment"`, `"internal_name":"sms_outgoing"`, `"is_default":false`} {
		if !strings.Contains(types, want) {
			t.Errorf("activity types lack %s", want)
		}
	}
	if res := api(t, box, "GET", "selector/nothing", nil); res.status != 404 || res.raw != "" {
		t.Errorf("an unknown selector: got %d %q", res.status, res.raw)
	}
}

func sendEvent(t *testing.T, box *sandbox.Sandbox, email, name string, properties any) result {
	t.Helper()
	query := url.Values{"email": {email}, "event_name": {name}, "event_timestamp": {"2026-08-09T10:00:00Z"}}
	return send(t, box, "POST", "/crm/marketer/mas/api/v1/events?"+query.Encode(), properties)
}

func TestEvents(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	first := object{"total": 5, "plan": "Gold", "paid": true, "at": "2026-08-09T10:00:00Z"}
	if res := sendEvent(t, box, "nobody@x.test", "Order Completed", first); res.status != 200 || res.raw != "{}" {
		t.Fatalf("got %d %s", res.status, res.raw)
	}
	// Types are fixed at first sight, per event.
	sendEvent(t, box, "nobody@x.test", "Order Completed", object{"total": "5", "plan": 1, "paid": "yes", "at": "today", "nothing": nil, "list": []int{1}, "more": "x"})
	sendEvent(t, box, "nobody@x.test", "Order Refunded", object{"total": "5"})
	got := box.Events()
	if len(got) != 3 {
		t.Fatalf("%d events, want 3", len(got))
	}
	if diff := cmp.Diff([]string{"at", "list", "nothing", "paid", "plan", "total"}, got[1].Dropped); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(object{"more": "x"}, got[1].Properties); diff != "" || len(got[0].Dropped)+len(got[2].Dropped) != 0 || got[0].Timestamp != "2026-08-09T10:00:00Z" {
		t.Errorf("recorded %+v (-want +got):\n%s", got, diff)
	}
	for name, res := range map[string]result{
		"no email": sendEvent(t, box, "", "n", object{}), "no name": sendEvent(t, box, "a@x.test", " ", object{}),
		"51 letters": sendEvent(t, box, "a@x.test", strings.Repeat("ü", 51), object{}), "a reserved name": sendEvent(t, box, "a@x.test", "page_view", object{}),
		"no JSON": sendEvent(t, box, "a@x.test", "n", "x"), "bad address": sendEvent(t, box, "nobody", "n", object{}),
	} {
		if res.status != 400 {
			t.Errorf("%s: got %d, want 400", name, res.status)
		}
	}
	if res := sendEvent(t, newBox(t, sandbox.Options{NoEvents: true}), "a@x.test", "n", object{}); res.status != 404 || res.raw != "" {
		t.Errorf("NoEvents: got %d %q, want a bare 404", res.status, res.raw)
	}
	strict := newBox(t, sandbox.Options{EventsNeedContact: true})
	create(t, strict, object{"email": "a@x.test"})
	if known, unknown := sendEvent(t, strict, "A@x.test", "n", nil), sendEvent(t, strict, "b@x.test", "n", nil); known.status != 200 || unknown.status != 400 {
		t.Errorf("EventsNeedContact: got %d and %d, want 200 and 400", known.status, unknown.status)
	}
	if events := strict.Events(); len(events) != 1 || events[0].ContactID != 990_000_000_000_001 {
		t.Errorf("events: %+v", events)
	}
	if calls := strict.Calls(); calls[len(calls)-2].ContactID != 990_000_000_000_001 || calls[len(calls)-2].Operation != sandbox.OpSendEvent {
		t.Errorf("calls: %+v", calls)
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	for _, clears := range []bool{false, true} {
		box := newBox(t, sandbox.Options{RestoreClearsCustom: clears})
		id := create(t, box, object{"email": "a@x.test", "city": "Ulm", "custom_field": object{"cf_plan": "Gold"}}).id()
		if res := api(t, box, "PUT", "contacts/"+id+"/restore", nil); res.status != 404 {
			t.Errorf("a contact that is not deleted: got %d, want 404", res.status)
		}
		api(t, box, "DELETE", "contacts/"+id, nil)
		other := create(t, box, object{"email": "a@x.test"}).id()
		if res := api(t, box, "PUT", "contacts/"+id+"/restore", nil); res.status != 400 || res.messages() != "a@x.test already exists." {
			t.Errorf("a taken address: got %d %s, want 400", res.status, res.raw)
		}
		api(t, box, "DELETE", "contacts/"+other+"/forget", nil)
		res := api(t, box, "PUT", "contacts/"+id+"/restore", nil)
		if res.status != 200 || res.contact()["city"] != "Ulm" || (res.custom()["cf_plan"] == nil) != clears {
			t.Errorf("clears %t: got %d %s", clears, res.status, res.raw)
		}
		if found := lookup(t, box, "email", "a@x.test"); len(found) != 1 {
			t.Errorf("after the restore a lookup finds %v", found)
		}
		if res := api(t, box, "PUT", "contacts/"+other+"/restore", nil); res.status != 404 {
			t.Errorf("a forgotten contact: got %d, want 404", res.status)
		}
	}
}

package sandbox_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestStandardValues(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 256)
	tests := []struct {
		field string
		value any
		want  any    // stored and answered
		error string // or refused with
	}{
		{"first_name", strings.Repeat("ü", 255), strings.Repeat("ü", 255), ""},
		{"first_name", long, nil, "First name is not in required length"},
		{"work_email", long, nil, "Work email is not in required length"},
		{"address", object{"street": "x"}, nil, "Invalid or missing attributes"},
		{"city", true, "true", ""},
		{"zipcode", json.Number("89073"), "89073", ""},
		{"mobile_number", "1-926-555-9504", "19265559504", ""},
		{"mobile_number", "+14155550102", "+14155550102", ""},
		{"work_number", "call me", "call me", ""},
		{"time_zone", "Chennai", "Chennai", ""},
		{"time_zone", "Pacific Time (US & Canada)", "Pacific Time (US & Canada)", ""},
		{"time_zone", "Europe/Berlin", nil, "Not a supported time zone"},
		{"time_zone", "(GMT+05:30) Chennai", nil, "Not a supported time zone"},
		{"subscription_status", "0", 0.0, ""},
		{"subscription_status", 3, 3.0, ""},
		{"subscription_status", 9, nil, "Invalid subscription status provided."},
		{"subscription_status", "Subscribed", nil, "Invalid subscription status provided."},
		{"subscription_types", "2;5", "2;5", ""},
		{"subscription_types", []string{"2", "3"}, "2;3", ""},
		{"subscription_types", "2;9", nil, "Invalid subscription types provided."},
		{"contact_status_id", 12, nil, "Invalid contact status provided."},
		{"lifecycle_stage_id", "Lead", nil, "Invalid lifecycle stage provided."},
		{"owner_id", "nobody", nil, "Invalid owner provided."},
		{"tags", []string{"a", "b", "a"}, []any{"a", "b"}, ""},
		{"tags", "a, b", []any{"a", "b"}, ""},
		{"tags", nil, []any{}, ""},
		{"tags", 5, nil, "Invalid or missing attributes"},
		{"created_at", "2001-01-01", "2026-08-09T03:22:12-04:00", ""},
		{"last_seen", "2001-01-01", nil, ""},
	}
	for _, tt := range tests {
		box := newBox(t, sandbox.Options{Now: newClock().Now})
		res := api(t, box, "POST", "contacts", object{"contact": object{"email": "a@x.test", tt.field: tt.value}})
		if tt.error != "" {
			if res.status != 400 || res.messages() != tt.error || len(box.Contacts()) != 0 {
				t.Errorf("%s %.40v: got %d %s, want 400 %q", tt.field, tt.value, res.status, res.raw, tt.error)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, res.contact()[tt.field]); diff != "" || res.status != 200 {
			t.Errorf("%s %.40v: status %d %s (-want +got):\n%s", tt.field, tt.value, res.status, res.messages(), diff)
		}
	}
}

func TestCustomValues(t *testing.T) {
	t.Parallel()
	ignored := any("ignored")
	tests := []struct {
		field string
		value any
		want  any
	}{
		{"cf_plan", "Gold", "Gold"},
		{"cf_plan", 5, ignored},
		{"cf_plan", []string{"a"}, ignored},
		{"cf_notes", strings.Repeat("x", 8000), strings.Repeat("x", 8000)},
		{"cf_logins", json.Number("12.50"), 12.5},
		{"cf_logins", 0, 0.0},
		{"cf_logins", "12", ignored},
		{"cf_logins", true, ignored},
		{"cf_subscribed", false, false},
		{"cf_subscribed", "true", ignored},
		{"cf_subscribed", 1, ignored},
		{"cf_plan_tier", "Growth", "Growth"},
		{"cf_plan_tier", "growth", ignored},
		{"cf_plan_tier", "Platinum", ignored},
		{"cf_plan_tier", 980_000_000_053_001, ignored},
		{"cf_interests", "Sailing;Music", "Sailing;Music"},
		{"cf_interests", []string{"Music"}, "Music"},
		{"cf_interests", "Sailing;Chess", ignored},
		{"cf_signed_up", "2026-03-02", "2026-03-02"},
		{"cf_signed_up", "2026-03-02T09:15:04.120Z", "2026-03-02"},
		{"cf_signed_up", "2 March", ignored},
		{"cf_signed_up", 1772442904, ignored},
		{"cf_interests", 5, ignored},
		{"cf_interests", []any{[]int{1}}, ignored},
		{"cf_interests", true, ignored},
		{"cf_interests", ";", ignored},
		{"cf_seen_at", "2026-03-02T09:15:04+01:00", "2026-03-02T09:15:04+01:00"},
		{"cf_seen_at", "2026-03-02", ignored},
		{"cf_size", "M", "M"},
		{"cf_size", "L", ignored},
		{"cf_nothing", "x", ignored},
		{"plan", "x", ignored},
	}
	more := append(sandbox.DefaultCustomFields(), sandbox.Field{Name: "cf_seen_at", Label: "Seen at", Type: sandbox.TypeDatetime},
		sandbox.Field{Name: "cf_size", Label: "Size", Type: sandbox.TypeRadio, Choices: []string{"S", "M"}})
	for _, mode := range []sandbox.Mode{sandbox.Merge, sandbox.Replace} {
		for _, tt := range tests {
			box := newBox(t, sandbox.Options{CustomFieldMode: mode, CustomFields: more})
			before := create(t, box, object{"email": "a@x.test"}).custom()
			res := api(t, box, "PUT", "contacts/990000000000001", object{"contact": object{"custom_field": object{tt.field: tt.value}}})
			want := before
			if tt.want != ignored {
				want[tt.field] = tt.want
			}
			if diff := cmp.Diff(want, res.custom()); diff != "" || res.status != 200 {
				t.Errorf("%s: %s %.40v: status %d (-want +got):\n%s", mode, tt.field, tt.value, res.status, diff)
			}
		}
	}

	box := newBox(t, sandbox.Options{})
	for name, contact := range map[string]object{
		"too long":          {"custom_field": object{"cf_plan": strings.Repeat("x", 256)}},
		"textarea too long": {"custom_field": object{"cf_notes": strings.Repeat("x", 8001)}},
	} {
		contact["email"] = "b@x.test"
		if res := api(t, box, "POST", "contacts", object{"contact": contact}); res.status != 400 || !strings.Contains(res.messages(), "not in required length") {
			t.Errorf("%s: got %d %s", name, res.status, res.raw)
		}
	}
	for name, contact := range map[string]object{
		"plural":      {"custom_fields": object{"cf_plan": "x"}},
		"at the top":  {"cf_plan": "x"},
		"no object":   {"custom_field": "x"},
		"null at all": {"custom_field": nil},
	} {
		contact["email"] = strings.ReplaceAll(name, " ", ".") + "@x.test"
		if res := api(t, box, "POST", "contacts", object{"contact": contact}); res.status != 200 || res.custom()["cf_plan"] != nil {
			t.Errorf("%s: got %d %v, want 200 and nothing stored", name, res.status, res.custom()["cf_plan"])
		}
	}
}

func TestCustomFieldModes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name            string
		update, upsert  sandbox.Mode
		byPut, byUpsert any // what is left of cf_industry
	}{
		{"default", "", "", "Music", "Music"},
		{"replace", sandbox.Replace, "", nil, nil},
		{"replace on PUT only", sandbox.Replace, sandbox.Merge, nil, "Music"},
		{"replace on upsert only", sandbox.Merge, sandbox.Replace, "Music", nil},
	}
	change := object{"custom_field": object{"cf_plan": "Gold", "cf_logins": nil}}
	for _, tt := range tests {
		box := newBox(t, sandbox.Options{CustomFieldMode: tt.update, UpsertCustomFieldMode: tt.upsert})
		id := create(t, box, object{"email": "a@x.test", "custom_field": object{"cf_industry": "Music", "cf_logins": 3}}).id()
		create(t, box, object{"email": "b@x.test", "custom_field": object{"cf_industry": "Music", "cf_logins": 3}})
		put := api(t, box, "PUT", "contacts/"+id, object{"contact": change}).custom()
		upsert := api(t, box, "POST", "contacts/upsert", object{"unique_identifier": object{"emails": "b@x.test"}, "contact": change}).custom()
		if put["cf_industry"] != tt.byPut || put["cf_plan"] != "Gold" || put["cf_logins"] != nil {
			t.Errorf("%s: PUT left %v", tt.name, put)
		}
		if upsert["cf_industry"] != tt.byUpsert || upsert["cf_plan"] != "Gold" || upsert["cf_logins"] != nil {
			t.Errorf("%s: upsert left %v", tt.name, upsert)
		}
		// Without the key nothing is replaced in any mode.
		if kept := api(t, box, "PUT", "contacts/"+id, object{"contact": object{"city": "Ulm"}}).custom(); kept["cf_plan"] != "Gold" {
			t.Errorf("%s: a PUT without custom_field left %v", tt.name, kept)
		}
	}
}

func TestUniqueness(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	create(t, box, object{"email": "Ann@x.test", "mobile_number": "+1 415 555 0102", "external_id": "u-1"})
	other := create(t, box, object{"email": "bob@x.test"}).id()
	tests := []struct {
		fields object
		want   string
	}{
		{object{"email": "ann@X.test"}, "ann@X.test already exists."},
		{object{"email": "c@x.test", "mobile_number": "+1-415-555-0102"}, "MobileNumber is not unique"},
		{object{"email": "c@x.test", "external_id": "u-1"}, "ExternalId is not unique"},
		{object{"email": "ann@x.test", "external_id": "u-1"}, "ann@x.test already exists.; ExternalId is not unique"},
	}
	for _, tt := range tests {
		for method, path := range map[string]string{"POST": "contacts", "PUT": "contacts/" + other} {
			if res := api(t, box, method, path, object{"contact": tt.fields}); res.status != 400 || res.messages() != tt.want {
				t.Errorf("%s %v: got %d %s, want 400 %s", method, tt.fields, res.status, res.raw, tt.want)
			}
		}
	}
	// What a contact gives up is free for others, and its own values never clash with themselves.
	if res := api(t, box, "PUT", "contacts/990000000000001", object{"contact": object{"email": "ann@x.test", "mobile_number": nil, "external_id": "u-2"}}); res.status != 200 {
		t.Fatalf("own values: got %d %s", res.status, res.raw)
	}
	if res := api(t, box, "PUT", "contacts/"+other, object{"contact": object{"mobile_number": "+14155550102", "external_id": "u-1"}}); res.status != 200 {
		t.Errorf("freed values: got %d %s", res.status, res.raw)
	}
}

func TestAddressesAreValidated(t *testing.T) {
	t.Parallel()
	valid := []string{"a@b.test", "zoë.müller@bücher.test", "a+b_c'd@sub.b.test", "山田@例え.test"}
	invalid := []string{"a", "a@", "@b.test", "a@b", "a@b..test", ".a@b.test", "a b@c.test", "a@b@c.test", "a@b.test\n", "<a@b.test>", strings.Repeat("a", 250) + "@b.test"}
	box := newBox(t, sandbox.Options{})
	for _, address := range valid {
		if res := api(t, box, "POST", "contacts", object{"contact": object{"emails": address}}); res.status != 200 {
			t.Errorf("%q: got %d %s, want 200", address, res.status, res.raw)
		}
	}
	for _, address := range invalid {
		if res := api(t, box, "POST", "contacts", object{"contact": object{"emails": address}}); res.status != 400 || !strings.Contains(res.messages(), "invalid email address") {
			t.Errorf("%q: got %d %s, want 400", address, res.status, res.raw)
		}
	}
}

func TestRequiredFields(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{Required: []string{"mobile_number", "cf_plan"}})
	res := api(t, box, "POST", "contacts", object{"contact": object{"email": "a@x.test"}})
	if want := "Need to fill this Mobile to submit the form.; Need to fill this Plan to submit the form."; res.status != 400 || res.messages() != want {
		t.Errorf("got %d %s, want 400 %s", res.status, res.raw, want)
	}
	create(t, box, object{"email": "a@x.test", "mobile_number": "1", "custom_field": object{"cf_plan": "x"}})
	fields, _ := api(t, box, "GET", "settings/contacts/fields", nil).body["fields"].([]any)
	for _, f := range fields {
		f := f.(object)
		if want := f["name"] == "mobile_number" || f["name"] == "cf_plan"; f["required"] != want {
			t.Errorf("metadata says %s is required: %v, want %t", f["name"], f["required"], want)
		}
	}
}

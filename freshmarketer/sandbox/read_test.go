package sandbox_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestFieldMetadata(t *testing.T) {
	t.Parallel()
	fields, _ := api(t, newBox(t, sandbox.Options{}), "GET", "settings/contacts/fields", nil).body["fields"].([]any)
	byName := map[string]object{}
	builtIn := 0
	for _, f := range fields {
		f := f.(object)
		byName[f["name"].(string)] = f
		if f["default"] == true {
			builtIn++
		}
		for _, key := range []string{"id", "label", "type", "actionable", "position", "choices", "base_model", "required", "visible"} {
			if f[key] == nil {
				t.Errorf("field %s lacks %s", f["name"], key)
			}
		}
	}
	if builtIn != 49 || len(fields) != 49+len(sandbox.DefaultCustomFields()) || len(byName) != len(fields) {
		t.Errorf("%d fields, %d built in, %d names, want 49 built in and all custom ones, each once", len(fields), builtIn, len(byName))
	}
	tests := map[string]object{
		"first_name":                     {"label": "First name", "type": "text", "default": true},
		"emails":                         {"label": "Emails", "type": "group_field", "default": true},
		"linkedin":                       {"label": "LinkedIn", "type": "text", "default": true},
		"lead_source_id":                 {"label": "Source", "type": "dropdown", "default": true},
		"tags":                           {"label": "Tags", "type": "auto_complete", "default": true, "multiple": true, "creatable": true},
		"last_assigned_at":               {"label": "Last assigned at", "type": "date", "default": true},
		"cf_plan_tier":                   {"label": "Plan tier", "type": "dropdown", "default": false},
		"cf_signed_up":                   {"label": "Signed up", "type": "date", "default": false},
		"cf_order_completed_last_30days": {"label": "Order completed last 30days", "type": "checkbox", "default": false},
	}
	for name, want := range tests {
		for key, value := range want {
			if byName[name][key] != value {
				t.Errorf("%s: %s = %v, want %v", name, key, byName[name][key], value)
			}
		}
	}
	if zones, _ := byName["time_zone"]["choices"].([]any); len(zones) != 144 {
		t.Errorf("%d time zones, want 144", len(zones))
	}
	if tiers := fmt.Sprint(byName["cf_plan_tier"]["choices"]); !strings.Contains(tiers, "value:Enterprise") {
		t.Errorf("plan tiers: %s", tiers)
	}
}

func lookup(t *testing.T, box *sandbox.Sandbox, field, value string) []string {
	t.Helper()
	res := api(t, box, "GET", "lookup?"+url.Values{"f": {field}, "q": {value}, "entities": {"contact,sales_account"}}.Encode(), nil)
	nested, _ := res.body["contacts"].(object)
	rows, ok := nested["contacts"].([]any)
	if res.status != 200 || !ok {
		t.Fatalf("lookup %s=%s: got %d %s", field, value, res.status, res.raw)
	}
	addresses := []string{}
	for _, row := range rows {
		addresses = append(addresses, row.(object)["email"].(string))
	}
	return addresses
}

func TestLookup(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	create(t, box, object{
		"emails": []any{"ann@x.test", "second@x.test"}, "first_name": "Ann", "last_name": "Lee", "external_id": "u-1",
		"mobile_number": "1-926-555-9504", "custom_field": object{"cf_plan": "Gold", "cf_logins": 5},
	})
	create(t, box, object{"email": "bob@x.test", "work_number": "19265559504", "custom_field": object{"cf_plan": "Gold"}})
	gone := create(t, box, object{"email": "gone@x.test", "custom_field": object{"cf_plan": "Gold"}}).id()
	api(t, box, "DELETE", "contacts/"+gone, nil)
	tests := []struct {
		field, value string
		want         []string
	}{
		{"email", "ANN@x.test", []string{"ann@x.test"}},
		{"email", "second@x.test", []string{}}, // primary addresses only
		{"email", "gone@x.test", []string{}},
		{"email", "", []string{}},
		{"external_id", "u-1", []string{"ann@x.test"}},
		{"external_id", "U-1", []string{}},
		{"mobile_number", "19265559504", []string{"ann@x.test"}},
		{"phone", "1 926 555 9504", []string{"ann@x.test", "bob@x.test"}},
		{"name", "ann lee", []string{"ann@x.test"}},
		{"name", "bob@x.test", []string{"bob@x.test"}},
		{"cf_plan", "Gold", []string{"ann@x.test", "bob@x.test"}},
		{"cf_logins", "5", []string{"ann@x.test"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, lookup(t, box, tt.field, tt.value)); diff != "" {
			t.Errorf("%s=%s (-want +got):\n%s", tt.field, tt.value, diff)
		}
	}
}

// With an index lag, lookups show the state of a while ago; everything else is up to date.
func TestIndexLag(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now, IndexLag: 10 * time.Second})
	expect := func(when, field, value string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(append([]string{}, want...), lookup(t, box, field, value)); diff != "" {
			t.Errorf("%s: %s=%s (-want +got):\n%s", when, field, value, diff)
		}
	}
	id := create(t, box, object{"email": "a@x.test", "custom_field": object{"cf_plan": "one"}}).id() // at 0 s
	expect("just created", "email", "a@x.test")
	if res := api(t, box, "GET", "contacts/"+id, nil); res.status != 200 {
		t.Errorf("GET by id lags: %d", res.status)
	}
	if res := api(t, box, "POST", "contacts", object{"contact": object{"email": "a@x.test"}}); res.status != 400 {
		t.Errorf("uniqueness lags: %d", res.status)
	}
	clock.pass(10 * time.Second)
	expect("10 s later", "email", "a@x.test", "a@x.test")

	change := func(fields object) { api(t, box, "PUT", "contacts/"+id, object{"contact": fields}) }
	change(object{"email": "b@x.test", "custom_field": object{"cf_plan": "two"}}) // at 10 s
	clock.pass(4 * time.Second)
	change(object{"email": "c@x.test"}) // at 14 s
	expect("two writes under way", "email", "a@x.test", "a@x.test")
	expect("two writes under way", "email", "c@x.test")
	expect("two writes under way", "cf_plan", "two")
	clock.pass(6 * time.Second) // 20 s
	expect("the first has arrived", "email", "b@x.test", "b@x.test")
	expect("the first has arrived", "cf_plan", "two", "b@x.test")
	clock.pass(4 * time.Second) // 24 s
	expect("both have arrived", "email", "c@x.test", "c@x.test")

	api(t, box, "DELETE", "contacts/"+id+"/forget", nil)
	expect("just forgotten", "email", "c@x.test", "c@x.test")
	clock.pass(10 * time.Second)
	expect("forgotten", "email", "c@x.test")
}

func TestViews(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now})
	for i := range 30 {
		create(t, box, object{"email": fmt.Sprintf("c%02d@x.test", i), "first_name": fmt.Sprintf("N%02d", (i*7)%30)})
		clock.pass(time.Second)
	}
	api(t, box, "DELETE", "contacts/990000000000030", nil)
	api(t, box, "PUT", "contacts/990000000000003", object{"contact": object{"city": "Ulm"}})

	views := map[string]string{}
	filters, _ := api(t, box, "GET", "contacts/filters", nil).body["filters"].([]any)
	for _, f := range filters {
		views[f.(object)["name"].(string)] = fmt.Sprintf("%.0f", f.(object)["id"])
	}
	if len(views) != 8 {
		t.Errorf("views: %v, want 8", views)
	}
	tests := []struct {
		view, query string
		first       string // address of the first row
		rows        int
		pages       int
		total       int
	}{
		{"All Contacts", "", "c00@x.test", 25, 2, 29},
		{"All Contacts", "?page=2", "c25@x.test", 4, 2, 29},
		{"All Contacts", "?page=3", "", 0, 0, 0},
		{"All Contacts", "?per_page=10&page=3", "c20@x.test", 9, 3, 29},
		{"All Contacts", "?per_page=0", "", 0, 0, 0},
		{"All Contacts", "?per_page=1000", "c00@x.test", 29, 1, 29},
		{"All Contacts", "?per_page=x&page=-1", "c00@x.test", 25, 2, 29},
		{"All Contacts", "?sort=updated_at&sort_type=desc", "c02@x.test", 25, 2, 29},
		{"All Contacts", "?sort=created_at&sort_type=desc", "c28@x.test", 25, 2, 29},
		{"All Contacts", "?sort=first_name", "c00@x.test", 25, 2, 29},
		{"Recycle Bin", "", "c29@x.test", 1, 1, 1},
		{"Active", "", "", 0, 0, 0},
	}
	for _, tt := range tests {
		res := api(t, box, "GET", "contacts/view/"+views[tt.view]+tt.query, nil)
		rows, _ := res.body["contacts"].([]any)
		meta, _ := res.body["meta"].(object)
		first := ""
		if len(rows) > 0 {
			first, _ = rows[0].(object)["email"].(string)
		}
		want := object{"total_pages": float64(tt.pages), "total": float64(tt.total)}
		if res.status != 200 || first != tt.first || len(rows) != tt.rows || cmp.Diff(want, meta) != "" {
			t.Errorf("%s%s: got %d, first %q of %d, meta %v; want %q of %d, %v", tt.view, tt.query, res.status, first, len(rows), meta, tt.first, tt.rows, want)
		}
	}
}

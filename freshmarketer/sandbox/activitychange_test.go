package sandbox_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// postActivity makes an activity of the first contact and returns its path.
func postActivity(t *testing.T, box *sandbox.Sandbox, title string) string {
	t.Helper()
	res := api(t, box, "POST", "sales_activities", object{"sales_activity": object{
		"title": title, "sales_activity_type_id": choose(t, box, "sales_activity_types", "sales_activity_types", "Phone"),
		"owner_id": choose(t, box, "owners", "users", "Sandbox User"), "targetable_type": "Contact", "targetable_id": 990_000_000_000_001,
		"start_date": "2026-08-09T10:00:00Z", "notes": "n",
	}})
	if res.status != 201 {
		t.Fatalf("got %d %s", res.status, res.raw)
	}
	return fmt.Sprintf("sales_activities/%.0f", res.body["sales_activity"].(object)["id"])
}

func TestUpdateActivity(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now})
	create(t, box, object{"email": "a@x.test"})
	other := create(t, box, object{"email": "b@x.test"}).id()
	path := postActivity(t, box, "Called")
	was := box.Activities()[0]
	clock.pass(time.Hour)
	change := object{"title": "Called back", "notes": nil, "id": 5, "created_at": "never", "targetable_id": other, "targetable_type": "Contact"}
	res := api(t, box, "PUT", path, object{"sales_activity": change})
	got, _ := res.body["sales_activity"].(object)
	want := object{
		"id": float64(was.ID), "title": "Called back", "notes": nil, "start_date": "2026-08-09T10:00:00Z", "targetable_id": 990_000_000_000_002.0,
		"created_at": "2026-08-09T03:22:12-04:00", "updated_at": "2026-08-09T04:22:12-04:00", "updater_id": 980_000_000_000_001.0,
	}
	for key, v := range want {
		if diff := cmp.Diff(v, got[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	if read := api(t, box, "GET", path, nil); res.status != 200 || read.raw != res.raw {
		t.Errorf("answered %d %s, then %s", res.status, res.raw, read.raw)
	}
	inside := box.Activities()[0]
	if inside.ContactID != 990_000_000_000_002 || inside.Fields["title"] != "Called back" || !inside.UpdatedAt.Equal(clock.now) || was.Fields["title"] != "Called" {
		t.Errorf("inside: %+v, before: %+v", inside, was)
	}
	tests := []struct {
		name   string
		change object
		status int
		says   string
	}{
		{"nothing", object{}, 400, "Invalid or missing attributes"},
		{"no title", object{"title": " "}, 400, "Title can't be blank"},
		{"unknown type", object{"sales_activity_type_id": 5}, 404, "This record is not in the CRM any more."},
		{"unknown owner", object{"owner_id": 5}, 400, "Invalid owner provided."},
		{"unknown contact", object{"targetable_id": 5}, 404, "This record is not in the CRM any more."},
		{"of a deal", object{"targetable_type": "Deal"}, 400, "Invalid targetable type provided."},
		{"bad date", object{"end_date": "tomorrow"}, 400, "Invalid end date provided."},
		{"words for an id", object{"sales_activity_outcome_id": "good"}, 400, "Invalid sales activity outcome provided."},
	}
	for _, tt := range tests {
		if res := api(t, box, "PUT", path, object{"sales_activity": tt.change}); res.status != tt.status || res.messages() != tt.says {
			t.Errorf("%s: got %d %s, want %d %q", tt.name, res.status, res.raw, tt.status, tt.says)
		}
	}
	if res := api(t, box, "PUT", path, "title"); res.status != 400 {
		t.Errorf("no JSON: got %d", res.status)
	}
	if diff := cmp.Diff(inside, box.Activities()[0]); diff != "" {
		t.Errorf("refused calls changed it (-want +got):\n%s", diff)
	}
}

func TestDeleteActivity(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	create(t, box, object{"email": "a@x.test"})
	var paths []string
	for _, title := range []string{"first", "second", "third"} {
		paths = append(paths, postActivity(t, box, title))
	}
	if res := api(t, box, "DELETE", paths[1], nil); res.status != 200 || res.body["success"] != "200" {
		t.Errorf("got %d %s", res.status, res.raw)
	}
	for _, method := range []string{"DELETE", "GET", "PUT"} {
		if res := api(t, box, method, paths[1], object{"sales_activity": object{"title": "x"}}); res.status != 404 || res.raw == "" {
			t.Errorf("%s of a deleted one: %d %q", method, res.status, res.raw)
		}
		if res := api(t, box, method, "sales_activities/x", object{}); res.status != 404 || res.raw != "" {
			t.Errorf("%s of no id: %d %q", method, res.status, res.raw)
		}
	}
	if fourth := postActivity(t, box, "fourth"); slices.Contains(paths, fourth) {
		t.Errorf("%s was given twice", fourth)
	}
	titles := func() (titles []string) {
		for _, a := range box.Activities() {
			titles = append(titles, fmt.Sprint(a.Fields["title"]))
		}
		return titles
	}
	if diff := cmp.Diff([]string{"first", "third", "fourth"}, titles()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if res := api(t, box, "PUT", paths[2], object{"sales_activity": object{"title": "3"}}); res.status != 200 || titles()[1] != "3" {
		t.Errorf("the one behind it: %d %s, %v", res.status, res.raw, titles())
	}
	if meta := api(t, box, "GET", "sales_activities", nil).body["meta"].(object); meta["total"] != 3.0 {
		t.Errorf("listed: %v", meta)
	}
}

func TestActivitySettings(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	res := api(t, box, "GET", "settings/sales_activities/fields", nil)
	var fields struct {
		Fields []struct {
			Name, Label, Type string
			BaseModel         string `json:"base_model"`
			Required          bool
			Choices           []struct{ ID any }
		}
	}
	if err := json.Unmarshal([]byte(res.raw), &fields); err != nil || res.status != 200 {
		t.Fatalf("got %d %s: %v", res.status, res.raw, err)
	}
	var required []string
	for _, f := range fields.Fields {
		if f.Required {
			required = append(required, f.Name)
		}
		if f.BaseModel != "SalesActivity" || f.Label == "" {
			t.Errorf("field %+v", f)
		}
		if f.Name == "sales_activity_type_id" && !slices.ContainsFunc(f.Choices, func(c struct{ ID any }) bool {
			id, _ := c.ID.(float64)
			return fmt.Sprintf("%.0f", id) == choose(t, box, "sales_activity_types", "sales_activity_types", "Phone").String()
		}) {
			t.Errorf("the types are %v", f.Choices)
		}
	}
	// What is required is what a creation without anything is refused for.
	empty := api(t, box, "POST", "sales_activities", object{"sales_activity": object{}}).messages()
	if len(required) != 5 || empty != "Title can't be blank; Sales activity type can't be blank; Targetable type can't be blank; Targetable can't be blank; Owner can't be blank" {
		t.Errorf("required are %v, refused is %s", required, empty)
	}
	selector, settings := api(t, box, "GET", "selector/sales_activity_types", nil), api(t, box, "GET", "settings/sales_activity_types", nil)
	if settings.status != 200 || settings.raw != selector.raw {
		t.Errorf("types: got %d %s, want %s", settings.status, settings.raw, selector.raw)
	}
}

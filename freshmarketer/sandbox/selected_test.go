package sandbox_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestBulkDestroy(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	var ids []any
	for i := range 3 {
		ids = append(ids, create(t, box, object{"email": fmt.Sprintf("c%d@x.test", i)}).id()) // as text
	}
	body := object{"selected_ids": []any{ids[0], json.Number(fmt.Sprint(ids[2])), "nobody", 5}}
	if res := api(t, box, "POST", "contacts/bulk_destroy", body); res.status != 200 || res.body["message"] == nil {
		t.Fatalf("got %d %s", res.status, res.raw)
	}
	for i, want := range []int{404, 200, 404} {
		if res := api(t, box, "GET", fmt.Sprint("contacts/", ids[i]), nil); res.status != want {
			t.Errorf("contact %d: got %d, want %d", i, res.status, want)
		}
	}
	if res := api(t, box, "PUT", fmt.Sprint("contacts/", ids[0], "/restore"), nil); res.status != 200 {
		t.Errorf("out of the recycle bin: %d", res.status)
	}
	create(t, box, object{"email": "c2@x.test"}) // the address is free
	for name, body := range map[string]any{"no ids": object{}, "none": object{"selected_ids": []any{}}, "no JSON": "["} {
		if res := api(t, box, "POST", "contacts/bulk_destroy", body); res.status != 400 {
			t.Errorf("%s: got %d", name, res.status)
		}
	}
}

func TestBulkAssignOwner(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{Changes: true})
	a, b := create(t, box, object{"email": "a@x.test"}), create(t, box, object{"email": "b@x.test"})
	owner := choose(t, box, "owners", "users", "Sandbox User")
	if res := api(t, box, "POST", "contacts/bulk_assign_owner", object{"selected_ids": []any{a.id()}, "owner_id": owner}); res.status != 200 {
		t.Fatalf("got %d %s", res.status, res.raw)
	}
	for id, want := range map[string]string{a.id(): owner.String(), b.id(): "<nil>"} {
		res := api(t, box, "GET", "contacts/"+id+"?include=owner", nil)
		if got, ok := res.contact()["owner_id"].(float64); ok && fmt.Sprintf("%.0f", got) != want || !ok && want != "<nil>" {
			t.Errorf("the owner of %s is %v, want %s", id, res.contact()["owner_id"], want)
		}
	}
	for _, change := range box.Changes(990_000_000_000_001)[1:] {
		if change.Operation == sandbox.OpBulkAssignOwner && (change.Field != "owner_id" || !change.Named) {
			t.Errorf("%+v", change)
		}
	}
	if res := api(t, box, "POST", "contacts/bulk_assign_owner", object{"selected_ids": []any{a.id()}, "owner_id": 5}); res.status != 400 || res.messages() != "Invalid owner provided." {
		t.Errorf("an owner that is none: %d %s", res.status, res.raw)
	}
}

func TestCloneContact(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	of := create(t, box, object{"email": "a@x.test", "external_id": "u1", "mobile_number": "+14155550102", "city": "Ulm", "tags": []string{"vip"}, "custom_field": object{"cf_plan": "Gold"}})
	res := api(t, box, "POST", "contacts/"+of.id()+"/clone", nil)
	c := res.contact()
	if res.status != 200 || res.id() == of.id() || c["city"] != "Ulm" || res.custom()["cf_plan"] != "Gold" || c["email"] != nil || c["external_id"] != nil || c["mobile_number"] != nil {
		t.Errorf("got %d %s", res.status, res.raw)
	}
	if res := api(t, box, "POST", "contacts/"+of.id()+"/clone", object{"contact": object{"email": "b@x.test", "city": "Bonn", "custom_field": object{"cf_logins": 1}}}); res.status != 200 || res.contact()["city"] != "Bonn" || res.custom()["cf_plan"] != "Gold" {
		t.Errorf("with another city: %d %s", res.status, res.raw)
	}
	if res := api(t, box, "POST", "contacts/"+of.id()+"/clone", object{"contact": object{"email": "a@x.test"}}); res.status != 400 {
		t.Errorf("with the same address: %d", res.status)
	}
	if was := api(t, box, "GET", "contacts/"+of.id(), nil); was.contact()["city"] != "Ulm" || was.contact()["email"] != "a@x.test" || was.custom()["cf_logins"] != nil {
		t.Errorf("the first one is changed: %s", was.raw)
	}
	for id, hasBody := range map[string]bool{"1": true, "x": false} {
		if res := api(t, box, "POST", "contacts/"+id+"/clone", nil); res.status != 404 || (res.raw != "") != hasBody {
			t.Errorf("%s: %d %q", id, res.status, res.raw)
		}
	}
}

func TestTasks(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	contact := create(t, box, object{"email": "a@x.test"}).id()
	task := object{"title": "Call back", "due_date": "2026-08-10T10:00:00Z", "targetable_type": "Contact", "targetable_id": contact, "owner_id": choose(t, box, "owners", "users", "Sandbox User")}
	made := api(t, box, "POST", "tasks", object{"task": task})
	got, _ := made.body["task"].(object)
	if made.status != 201 || got["title"] != "Call back" || got["targetable_id"] != 990_000_000_000_001.0 {
		t.Fatalf("got %d %s", made.status, made.raw)
	}
	path := fmt.Sprintf("tasks/%.0f", got["id"])
	if res := api(t, box, "POST", "tasks", object{"task": object{"title": "Of nobody", "due_date": "2026-08-10T10:00:00Z"}}); res.status != 201 {
		t.Errorf("about nobody: %d %s", res.status, res.raw)
	}
	for _, tt := range []struct {
		name   string
		body   any
		status int
		says   string
	}{
		{"empty", object{"task": object{}}, 400, "Title can't be blank; Due date can't be blank"},
		{"flat", task, 400, "Title can't be blank; Due date can't be blank"},
		{"no due date", object{"task": object{"title": "x"}}, 400, "Due date can't be blank"},
		{"a bad one", object{"task": object{"title": "x", "due_date": "soon"}}, 400, "Invalid due date provided."},
		{"an unknown owner", object{"task": object{"title": "x", "due_date": "2026-08-10T10:00:00Z", "owner_id": 5}}, 400, "Invalid owner provided."},
		{"words for an id", object{"task": object{"title": "x", "due_date": "2026-08-10T10:00:00Z", "task_type_id": "call"}}, 400, "Invalid task type provided."},
		{"an unknown contact", object{"task": object{"title": "x", "due_date": "2026-08-10T10:00:00Z", "targetable_type": "Contact", "targetable_id": 5}}, 404, "This record is not in the CRM any more."},
	} {
		if res := api(t, box, "POST", "tasks", tt.body); res.status != tt.status || res.messages() != tt.says {
			t.Errorf("%s: got %d %s, want %d %q", tt.name, res.status, res.raw, tt.status, tt.says)
		}
	}
	if res := api(t, box, "PUT", path, object{"task": object{"title": "Called"}}); res.status != 200 || res.body["task"].(object)["title"] != "Called" || res.body["task"].(object)["due_date"] != task["due_date"] {
		t.Errorf("update: %d %s", res.status, res.raw)
	}
	if res := api(t, box, "PUT", path, object{"task": object{"title": ""}}); res.status != 400 {
		t.Errorf("update to nothing: %d", res.status)
	}
	if res := api(t, box, "GET", path, nil); res.status != 200 || res.body["task"].(object)["title"] != "Called" {
		t.Errorf("read: %d %s", res.status, res.raw)
	}
	if res := api(t, box, "DELETE", path, nil); res.status != 200 || res.body["success"] != "200" {
		t.Errorf("delete: %d %s", res.status, res.raw)
	}
	for _, method := range []string{"DELETE", "GET", "PUT"} {
		if res := api(t, box, method, path, object{"task": task}); res.status != 404 {
			t.Errorf("%s of a deleted one: %d", method, res.status)
		}
	}
	if rows, _ := api(t, box, "GET", "tasks", nil).body["tasks"].([]any); len(rows) != 1 || len(box.Tasks()) != 1 {
		t.Errorf("left: %v", rows)
	}
}

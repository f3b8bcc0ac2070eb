package sandbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// makeList returns the id of a new list with these members.
func makeList(t *testing.T, box *sandbox.Sandbox, name string, members ...any) string {
	t.Helper()
	res := api(t, box, "POST", "lists", object{"name": name})
	list, _ := res.body["list"].(object)
	id := fmt.Sprintf("%.0f", list["id"])
	if added := api(t, box, "PUT", "lists/"+id+"/add_contacts", object{"ids": append([]any{}, members...)}); res.status != 200 || added.status != 200 {
		t.Fatalf("making %s: %s, %s", name, res.raw, added.raw)
	}
	return id
}

func members(t *testing.T, box *sandbox.Sandbox, list string) string {
	t.Helper()
	rows, _ := api(t, box, "GET", "contacts/lists/"+list, nil).body["contacts"].([]any)
	var addresses []string
	for _, r := range rows {
		addresses = append(addresses, strings.TrimSuffix(fmt.Sprint(r.(object)["email"]), "@x.test"))
	}
	return strings.Join(addresses, " ")
}

func TestRenameList(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{Language: sandbox.Dutch})
	a := create(t, box, object{"email": "a@x.test"}).id()
	first, second := makeList(t, box, "First", a), makeList(t, box, "Second")
	res := api(t, box, "PUT", "lists/"+first, object{"name": "Second"}) // two may have one name
	if diff := cmp.Diff(object{"id": 920_000_000_000_001.0, "name": "Second"}, res.body["list"]); res.status != 200 || diff != "" {
		t.Errorf("got %d (-want +got):\n%s", res.status, diff)
	}
	for name, body := range map[string]any{"no name": object{}, "blank": object{"name": " "}, "a number": object{"name": 5}} {
		if res := api(t, box, "PUT", "lists/"+second, body); res.status != 400 || res.messages() != "Name moet opgegeven zijn" {
			t.Errorf("%s: got %d %s, want 400 in Dutch", name, res.status, res.raw)
		}
	}
	if res := api(t, box, "PUT", "lists/"+second, "name"); res.status != 400 {
		t.Errorf("no JSON: got %d", res.status)
	}
	rows, _ := api(t, box, "GET", "lists", nil).body["lists"].([]any)
	if len(rows) != 2 || rows[0].(object)["name"] != "Second" || rows[1].(object)["name"] != "Second" || members(t, box, first) != "a" {
		t.Errorf("lists: %v, members %q", rows, members(t, box, first))
	}
	for id, hasBody := range map[string]bool{"1": true, "x": false} {
		if res := api(t, box, "PUT", "lists/"+id, object{"name": "x"}); res.status != 404 || (res.raw != "") != hasBody {
			t.Errorf("%s: %d %q", id, res.status, res.raw)
		}
	}
}

func TestMoveContactsBetweenLists(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	var ids []any
	for _, name := range []string{"a", "b", "c", "d"} {
		ids = append(ids, create(t, box, object{"email": name + "@x.test"}).id())
	}
	from, to := makeList(t, box, "From", ids[:3]...), makeList(t, box, "To", ids[1])
	move := func(into string, body any) result { return api(t, box, "PUT", "lists/"+into+"/move_contacts", body) }
	check := func(step string, res result, wantFrom, wantTo string) {
		t.Helper()
		if res.status != 200 || res.body["message"] == nil {
			t.Errorf("%s: got %d %s", step, res.status, res.raw)
		}
		if f, o := members(t, box, from), members(t, box, to); f != wantFrom || o != wantTo {
			t.Errorf("%s: %q and %q, want %q and %q", step, f, o, wantFrom, wantTo)
		}
	}
	// b is in both, d in neither of them.
	check("by id", move(to, object{"from_list_id": from, "ids": []any{ids[0], ids[1], ids[3], 5}}), "c", "b a")
	for name, body := range map[string]any{
		"no list": object{"ids": ids}, "words for it": object{"from_list_id": "x", "ids": ids}, "nobody": object{"from_list_id": from}, "no JSON": "[",
		"all: false": object{"from_list_id": from, "all": false},
	} {
		if res := move(to, body); res.status != 400 {
			t.Errorf("%s: got %d %s, want 400", name, res.status, res.raw)
		}
	}
	if res := move(to, object{"from_list_id": 1, "all": true}); res.status != 404 || res.raw == "" {
		t.Errorf("from an unknown list: %d %q", res.status, res.raw)
	}
	if res := move("1", object{"from_list_id": from, "all": true}); res.status != 404 || res.raw == "" {
		t.Errorf("to an unknown list: %d %q", res.status, res.raw)
	}
	check("onto itself", move(to, object{"from_list_id": to, "all": true}), "c", "b a")
	check("all", move(from, object{"from_list_id": to, "all": true}), "c b a", "")
}

func TestAContactThatIsWrittenJoinsLists(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	first, second := makeList(t, box, "First"), makeList(t, box, "Second")
	a := create(t, box, object{"email": "a@x.test", "contact_list_ids": []any{first}}).id()
	upsert := object{"unique_identifier": object{"emails": "b@x.test"}, "contact": object{"emails": "b@x.test", "contact_list_ids": []any{first, second}}}
	for what, res := range map[string]result{
		"update": api(t, box, "PUT", "contacts/"+a, object{"contact": object{"contact_list_ids": []any{second, second}}}),
		"upsert": api(t, box, "POST", "contacts/upsert", upsert),
		"none":   api(t, box, "PUT", "contacts/"+a, object{"contact": object{"contact_list_ids": nil, "city": "Ulm"}}),
	} {
		if res.status > 201 {
			t.Errorf("%s: %d %s", what, res.status, res.raw)
		}
	}
	for name, ids := range map[string]any{"no list of the account": []any{1}, "a word": []any{"First"}, "no array": first} {
		if res := api(t, box, "PUT", "contacts/"+a, object{"contact": object{"city": "Bonn", "contact_list_ids": ids}}); res.status != 400 {
			t.Errorf("%s: got %d %s, want 400", name, res.status, res.raw)
		}
	}
	for list, want := range map[string][]string{first: {"a", "b"}, second: {"a", "b"}} {
		got := strings.Fields(members(t, box, list))
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("members (-want +got):\n%s", diff)
		}
	}
	if city := box.Contacts()[0].Fields["city"]; city != "Ulm" {
		t.Errorf("what was refused was written: %v", city)
	}
}

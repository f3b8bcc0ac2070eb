package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// account is the object of an answer, empty if there is none.
func (r result) account() object {
	a, _ := r.body["sales_account"].(object)
	return a
}

func (r result) accountID() string { return fmt.Sprintf("%.0f", r.account()["id"]) }

func upsertAccount(t *testing.T, box *sandbox.Sandbox, name string, fields object) result {
	t.Helper()
	return api(t, box, "POST", "sales_accounts/upsert", object{"unique_identifier": object{"name": name}, "sales_account": fields})
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	made := upsertAccount(t, box, "Harbor Lane", object{
		"website": "https://harborlane.test", "phone": "1-926-555-9504", "number_of_employees": "12", "annual_revenue": 5.5, "nonsense": 1,
		"custom_field": object{"cf_tier": "Free", "cf_seats": "many", "cf_unknown": "x"},
	})
	want := object{
		"id": 950_000_000_000_001.0, "name": "Harbor Lane", "website": "https://harborlane.test", "phone": "19265559504",
		"number_of_employees": 12.0, "annual_revenue": 5.5, "city": nil, "is_deleted": false,
	}
	for key, v := range want {
		if diff := cmp.Diff(v, made.account()[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	if made.status != 201 || cmp.Diff(object{"cf_segment": nil, "cf_tier": "Free", "cf_seats": nil}, made.account()["custom_field"]) != "" {
		t.Errorf("made: %d %s", made.status, made.raw)
	}
	again := upsertAccount(t, box, "harbor LANE ", object{"city": "Ulm"})
	if again.status != 200 || again.accountID() != made.accountID() || again.account()["city"] != "Ulm" || again.account()["website"] != want["website"] {
		t.Errorf("by the same name: %d %s", again.status, again.raw)
	}
	path := "sales_accounts/" + made.accountID()
	if res := api(t, box, "PUT", path, object{"sales_account": object{"city": nil, "name": "Harbor"}}); res.account()["city"] != nil || res.account()["name"] != "Harbor" {
		t.Errorf("changed: %s", res.raw)
	}
	if res := api(t, box, "GET", path, nil); res.status != 200 || res.account()["name"] != "Harbor" {
		t.Errorf("read: %d %s", res.status, res.raw)
	}
	if got := box.SalesAccounts(); len(got) != 1 || got[0].Name != "Harbor" || got[0].Fields["number_of_employees"] != json.Number("12") {
		t.Errorf("inside: %+v", got)
	}
	if res := api(t, box, "DELETE", path, nil); res.status != 200 || res.raw != "true" {
		t.Errorf("deleted: %d %s", res.status, res.raw)
	}
	if res := upsertAccount(t, box, "Harbor", object{}); res.status != 201 || res.accountID() == made.accountID() {
		t.Errorf("after the deletion: %d %s, want a new one", res.status, res.raw)
	}
}

func TestAccountsAreChecked(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	upsertAccount(t, box, "Taken", object{})
	mine := "sales_accounts/" + upsertAccount(t, box, "Mine", object{}).accountID()
	wrap := func(fields object) object { return object{"sales_account": fields} }
	tests := []struct {
		name, method, path string
		body               any
		status             int
		says               string
	}{
		{"taken name", "POST", "sales_accounts", wrap(object{"name": "TAKEN"}), 400, "Name has already been taken"},
		{"taken name on update", "PUT", mine, wrap(object{"name": "taken"}), 400, "Name has already been taken"},
		{"its own name", "PUT", mine, wrap(object{"name": "MINE"}), 200, ""},
		{"no name", "POST", "sales_accounts", wrap(object{}), 400, "Name can't be empty"},
		{"empty name", "PUT", mine, wrap(object{"name": " "}), 400, "Name can't be empty"},
		{"255 letters", "PUT", mine, wrap(object{"name": strings.Repeat("ü", 255)}), 200, ""},
		{"256 letters", "PUT", mine, wrap(object{"name": strings.Repeat("ü", 256)}), 400, "Name is not in required length"},
		{"bad website", "PUT", mine, wrap(object{"website": "my page"}), 400, "website is not in required format"},
		{"bad choice", "PUT", mine, wrap(object{"industry_type_id": 5}), 400, "Invalid industry type provided."},
		{"employees in words", "PUT", mine, wrap(object{"number_of_employees": "many"}), 400, "Number of employees is not in required format"},
		{"no identifier", "POST", "sales_accounts/upsert", wrap(object{"name": "x"}), 400, "Invalid or missing attributes"},
		{"two identifiers", "POST", "sales_accounts/upsert", object{"unique_identifier": object{"name": "x", "id": 1}, "sales_account": object{}}, 400, "Invalid or missing attributes"},
		{"no envelope", "POST", "sales_accounts/upsert", object{"unique_identifier": object{"name": "x"}}, 400, "Invalid or missing attributes"},
		{"not JSON", "POST", "sales_accounts", "name", 400, "unexpected token at 'name'"},
		{"unknown id", "GET", "sales_accounts/950000000000999", nil, 404, "This record is not in the CRM any more."},
		{"no id", "GET", "sales_accounts/x", nil, 404, ""},
	}
	for _, tt := range tests {
		if res := api(t, box, tt.method, tt.path, tt.body); res.status != tt.status || res.messages() != tt.says {
			t.Errorf("%s: got %d %s, want %d %q", tt.name, res.status, res.raw, tt.status, tt.says)
		}
	}
	res := api(t, box, "POST", "sales_accounts", wrap(object{"name": "x"}), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
	if res.status != 500 || res.raw != `{"error_code":500}` {
		t.Errorf("wrong content type: got %d %s, want 500 as seen live", res.status, res.raw)
	}
	if _, err := sandbox.New(sandbox.Options{AccountFields: []sandbox.Field{{Name: "tier"}}}); err == nil {
		t.Error("an account field without cf_ was taken")
	}
}

func TestLinksToAccounts(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{Changes: true})
	var accounts []string
	for i := range 11 {
		accounts = append(accounts, upsertAccount(t, box, fmt.Sprint("Account ", i), object{"website": "a.test"}).accountID())
	}
	link := func(id string, primary bool) object { return object{"id": id, "is_primary": primary} }
	id := create(t, box, object{"email": "a@x.test", "sales_accounts": []object{link(accounts[0], true), link(accounts[1], false)}}).id()
	if _, shown := api(t, box, "GET", "contacts/"+id, nil).contact()["sales_accounts"]; shown {
		t.Error("links are shown without being asked for")
	}
	linked := func() (ids []string) {
		rows, _ := api(t, box, "GET", "contacts/"+id+"?include=sales_accounts", nil).contact()["sales_accounts"].([]any)
		for _, r := range rows {
			r := r.(object)
			ids = append(ids, fmt.Sprintf("%.0f %v %v %v", r["id"], r["is_primary"], r["partial"], r["website"]))
		}
		return ids
	}
	want := []string{accounts[0] + " true true a.test", accounts[1] + " false true a.test"}
	if diff := cmp.Diff(want, linked()); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	var eleven []object
	for i, a := range accounts {
		eleven = append(eleven, link(a, i == 0))
	}
	for name, links := range map[string]any{
		"eleven": eleven, "no primary": []object{link(accounts[2], false)}, "two primaries": []object{link(accounts[2], true), link(accounts[3], true)},
		"an unknown one": []object{link("950000000000999", true)}, "no list": "x", "no id": []object{{"is_primary": true}},
	} {
		if res := api(t, box, "PUT", "contacts/"+id, object{"contact": object{"sales_accounts": links}}); res.status != 400 {
			t.Errorf("%s: got %d, want 400", name, res.status)
		}
	}
	if diff := cmp.Diff(want, linked()); diff != "" {
		t.Errorf("links after refusals (-want +got):\n%s", diff)
	}
	api(t, box, "PUT", "contacts/"+id, object{"contact": object{"sales_accounts": []object{link(accounts[2], true)}}})
	if diff := cmp.Diff([]string{accounts[2] + " true true a.test"}, linked()); diff != "" {
		t.Errorf("links are replaced (-want +got):\n%s", diff)
	}
	last := box.Changes(990_000_000_000_001)
	if c := last[len(last)-1]; c.Field != "sales_accounts" || !c.Named {
		t.Errorf("the last change is %+v", c)
	}
	api(t, box, "DELETE", "sales_accounts/"+accounts[2], nil)
	if got := linked(); len(got) != 0 {
		t.Errorf("links to a deleted account: %v", got)
	}
}

func TestAccountsAreKept(t *testing.T) {
	t.Parallel()
	opt := sandbox.Options{StateFile: filepath.Join(t.TempDir(), "state.jsonl")}
	box, err := sandbox.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	account := upsertAccount(t, box, "Kept", object{"city": "Ulm"}).accountID()
	gone := upsertAccount(t, box, "Gone", object{}).accountID()
	api(t, box, "DELETE", "sales_accounts/"+gone, nil)
	create(t, box, object{"email": "a@x.test", "sales_accounts": []object{{"id": account, "is_primary": true}}})
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	again := newBox(t, opt)
	if got := again.SalesAccounts(); len(got) != 1 || got[0].Name != "Kept" || got[0].Fields["city"] != "Ulm" {
		t.Errorf("accounts after a restart: %+v", got)
	}
	if rows, _ := api(t, again, "GET", "contacts/990000000000001?include=sales_accounts", nil).contact()["sales_accounts"].([]any); len(rows) != 1 {
		t.Errorf("links after a restart: %v", rows)
	}
	if next := upsertAccount(t, again, "New", object{}).accountID(); next == account || next == gone {
		t.Errorf("the id %s was given twice", next)
	}
}

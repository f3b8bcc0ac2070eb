package sandbox_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func accountNames(box *sandbox.Sandbox) (names []string) {
	for _, a := range box.SalesAccounts() {
		names = append(names, a.Name)
	}
	return names
}

func TestBulkUpsertOfAccounts(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{BulkPolls: 1, MaxJobs: 1})
	known := upsertAccount(t, box, "Known", object{"city": "Ulm"}).accountID()
	other := upsertAccount(t, box, "Other", object{}).accountID()
	records := []any{
		object{"name": "KNOWN", "data": object{"website": "known.test"}},
		object{"id": other, "data": object{"name": "Renamed"}},
		object{"name": "New", "data": object{"custom_field": object{"cf_tier": "Free"}}},
		object{"name": "Bad", "data": object{"website": "my page"}},
		object{"name": "No data"},
		object{"name": "Two", "id": known, "data": object{}},
		object{"id": "950000000000999", "data": object{}},
	}
	res := api(t, box, "POST", "sales_accounts/bulk_upsert", object{"sales_accounts": records})
	url, _ := res.body["job_status_url"].(string)
	_, job, found := strings.Cut(url, "http://example.com/crm/sales/api/")
	if res.status != 200 || !found || len(box.SalesAccounts()) != 2 {
		t.Fatalf("got %d %s, want an absolute job URL and nothing done yet", res.status, res.raw)
	}
	if res := api(t, box, "POST", "contacts/bulk_upsert", object{"contacts": []any{object{"emails": "a@x.test", "data": object{}}}}); res.status != 405 {
		t.Errorf("a second job: got %d, want 405: both kinds count", res.status)
	}
	if state, n, _, _ := poll(t, box, job); state != "QUEUED" || n != 0 {
		t.Errorf("first poll: %s %d", state, n)
	}
	state, succeeded, failed, report := poll(t, box, job)
	if state != "SUCCESS" || succeeded != 3 || failed != 4 {
		t.Errorf("got %s, %d succeeded, %d failed: %v", state, succeeded, failed, report)
	}
	if !slices.ContainsFunc(report, func(f object) bool {
		return f["name"] == "Bad" && fmt.Sprint(f["error"]) == "map[code:400 message:[website is not in required format]]"
	}) {
		t.Errorf("report: %v", report)
	}
	got := box.SalesAccounts()
	if diff := cmp.Diff([]string{"Known", "Renamed", "New"}, accountNames(box)); diff != "" {
		t.Fatalf("accounts (-want +got):\n%s", diff)
	}
	if got[0].Fields["city"] != "Ulm" || got[0].Fields["website"] != "known.test" || got[2].Custom["cf_tier"] != "Free" || len(box.Contacts()) != 0 {
		t.Errorf("accounts: %+v", got)
	}
	for name, body := range map[string]any{
		"none": object{"sales_accounts": []any{}}, "contacts": object{"contacts": records}, "not objects": object{"sales_accounts": []any{"x"}},
		"101": object{"sales_accounts": slices.Repeat(records[:1], 101)}, "not JSON": "accounts",
	} {
		if res := api(t, box, "POST", "sales_accounts/bulk_upsert", body); res.status != 400 || res.messages() == "" {
			t.Errorf("%s: got %d %s, want 400", name, res.status, res.raw)
		}
	}
}

func TestBulkDestroyOfAccounts(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	var ids []string
	for i := range 4 {
		ids = append(ids, upsertAccount(t, box, fmt.Sprint("Account ", i), object{}).accountID())
		create(t, box, object{"email": fmt.Sprintf("c%d@x.test", i), "sales_accounts": []object{{"id": ids[i], "is_primary": true}}})
	}
	body := object{"selected_ids": []any{ids[0], json.Number(ids[1]), "nobody", 5}}
	if res := api(t, box, "POST", "sales_accounts/bulk_destroy", body); res.status != 200 || res.body["message"] == nil {
		t.Fatalf("got %d %s", res.status, res.raw)
	}
	for i, want := range []int{404, 404, 200, 200} {
		if res := api(t, box, "GET", "sales_accounts/"+ids[i], nil); res.status != want {
			t.Errorf("account %d: got %d, want %d", i, res.status, want)
		}
	}
	if len(box.Contacts()) != 4 {
		t.Errorf("contacts went with the accounts: %d left", len(box.Contacts()))
	}
	if res := upsertAccount(t, box, "Account 0", object{}); res.status != 201 {
		t.Errorf("the name is not free: %d %s", res.status, res.raw)
	}
	body = object{"selected_ids": []any{ids[2]}, "delete_associated_contacts_deals": true}
	if res := api(t, box, "POST", "sales_accounts/bulk_destroy", body); res.status != 200 {
		t.Errorf("with its contacts: %d %s", res.status, res.raw)
	}
	if res := api(t, box, "GET", "contacts/990000000000003", nil); res.status != 404 || len(box.Contacts()) != 3 {
		t.Errorf("its contact: got %d and %d contacts, want 404 and 3", res.status, len(box.Contacts()))
	}
	for name, body := range map[string]any{"no ids": object{}, "none": object{"selected_ids": []any{}}, "no JSON": "["} {
		if res := api(t, box, "POST", "sales_accounts/bulk_destroy", body); res.status != 400 {
			t.Errorf("%s: got %d", name, res.status)
		}
	}
}

func TestForgetAccount(t *testing.T) {
	t.Parallel()
	opt := sandbox.Options{StateFile: filepath.Join(t.TempDir(), "state.jsonl")}
	box := newBox(t, opt)
	live := upsertAccount(t, box, "Live", object{"city": "Ulm"}).accountID()
	binned := upsertAccount(t, box, "Binned", object{}).accountID()
	contact := create(t, box, object{"email": "a@x.test", "sales_accounts": []object{{"id": live, "is_primary": true}}}).id()
	api(t, box, "DELETE", "sales_accounts/"+binned, nil)
	again := upsertAccount(t, box, "Binned", object{}).accountID()
	for _, id := range []string{live, binned} {
		if res := api(t, box, "DELETE", "sales_accounts/"+id+"/forget", nil); res.status != 200 || res.raw != "true" {
			t.Errorf("got %d %s, want true", res.status, res.raw)
		}
		if res := api(t, box, "DELETE", "sales_accounts/"+id+"/forget", nil); res.status != 404 || res.raw == "" {
			t.Errorf("a second time: got %d %q, want a JSON 404", res.status, res.raw)
		}
	}
	if res := api(t, box, "DELETE", "sales_accounts/x/forget", nil); res.status != 404 || res.raw != "" {
		t.Errorf("no id: got %d %q", res.status, res.raw)
	}
	if res := upsertAccount(t, box, "Binned", object{}); res.status != 200 || res.accountID() != again {
		t.Errorf("the name's new owner is not found any more: %d %s", res.status, res.raw)
	}
	if rows, _ := api(t, box, "GET", "contacts/"+contact+"?include=sales_accounts", nil).contact()["sales_accounts"].([]any); len(rows) != 0 {
		t.Errorf("links to a forgotten account: %v", rows)
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	after := newBox(t, opt)
	if got := accountNames(after); cmp.Diff([]string{"Binned"}, got) != "" || strings.Contains(readFile(t, opt.StateFile), "Ulm") {
		t.Errorf("after a restart: %v in\n%s", got, readFile(t, opt.StateFile))
	}
	if id := upsertAccount(t, after, "Live", object{}).accountID(); id == live || id == binned || id == again {
		t.Errorf("the id %s was given twice", id)
	}
}

func TestCloneAccount(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	of := upsertAccount(t, box, "First", object{"city": "Ulm", "custom_field": object{"cf_tier": "Free"}}).accountID()
	path := "sales_accounts/" + of + "/clone"
	res := api(t, box, "POST", path, object{"sales_account": object{"name": "Second", "phone": "1-2"}})
	if a := res.account(); res.status != 200 || res.accountID() == of || a["name"] != "Second" || a["city"] != "Ulm" || a["phone"] != "12" || a["custom_field"].(object)["cf_tier"] != "Free" {
		t.Errorf("got %d %s", res.status, res.raw)
	}
	for name, body := range map[string]any{"no body": nil, "the same name": object{"sales_account": object{"name": "FIRST"}}} {
		if res := api(t, box, "POST", path, body); res.status != 400 || res.messages() != "Name has already been taken" {
			t.Errorf("%s: got %d %s, want 400", name, res.status, res.raw)
		}
	}
	if res := api(t, box, "POST", path, "{"); res.status != 400 {
		t.Errorf("no JSON: got %d", res.status)
	}
	if was := api(t, box, "GET", "sales_accounts/"+of, nil).account(); was["name"] != "First" || was["phone"] != nil {
		t.Errorf("the first one is changed: %v", was)
	}
	if diff := cmp.Diff([]string{"First", "Second"}, accountNames(box)); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	for id, hasBody := range map[string]bool{"1": true, "x": false} {
		if res := api(t, box, "POST", "sales_accounts/"+id+"/clone", nil); res.status != 404 || (res.raw != "") != hasBody {
			t.Errorf("%s: %d %q", id, res.status, res.raw)
		}
	}
}

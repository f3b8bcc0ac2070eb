package sandbox_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestAccountViews(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now})
	owner := choose(t, box, "owners", "users", "Sandbox User")
	upsertAccount(t, box, "B old", object{"owner_id": owner})
	upsertAccount(t, box, "A old", object{})
	clock.pass(8 * 24 * time.Hour)
	upsertAccount(t, box, "New", object{})
	binned := upsertAccount(t, box, "Binned", object{}).accountID()
	api(t, box, "DELETE", "sales_accounts/"+binned, nil)
	clock.pass(time.Minute)
	upsertAccount(t, box, "A old", object{"city": "Ulm"})

	views := map[string]string{}
	filters := api(t, box, "GET", "sales_accounts/filters", nil)
	rows, _ := filters.body["filters"].([]any)
	for _, r := range rows {
		r := r.(object)
		views[fmt.Sprint(r["name"])] = fmt.Sprintf("sales_accounts/view/%.0f", r["id"])
		if r["model_class_name"] != "SalesAccount" || r["is_default"] != true {
			t.Errorf("filter %v", r)
		}
	}
	names := func(path string) (names []string) {
		res := api(t, box, "GET", path, nil)
		list, _ := res.body["sales_accounts"].([]any)
		for _, a := range list {
			names = append(names, fmt.Sprint(a.(object)["name"]))
		}
		if res.status != 200 || res.body["meta"] == nil {
			t.Errorf("%s: got %d %s", path, res.status, res.raw)
		}
		return names
	}
	for path, want := range map[string][]string{
		views["My Accounts"]:                                    {"B old"},
		views["New Accounts"]:                                   {"New"},
		views["All Accounts"]:                                   {"B old", "A old", "New"},
		views["Recently Modified"]:                              {"A old", "New"},
		views["Recycle Bin"]:                                    {"Binned"},
		views["All Accounts"] + "?sort=name":                    {"A old", "B old", "New"},
		views["All Accounts"] + "?sort=name&sort_type=desc":     {"New", "B old", "A old"},
		views["All Accounts"] + "?sort=updated_at":              {"B old", "New", "A old"},
		views["All Accounts"] + "?per_page=2&page=2":            {"New"},
		views["All Accounts"] + "?per_page=2&sort_type=desc":    {"New", "A old"},
		views["All Accounts"] + "?per_page=2&page=3":            nil,
		views["All Accounts"] + "?per_page=0&sort=created_at":   nil,
		views["All Accounts"] + "?sort=created_at&per_page=100": {"B old", "A old", "New"},
	} {
		if diff := cmp.Diff(want, names(path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	whole := api(t, box, "GET", views["All Accounts"]+"?per_page=1&page=2", nil)
	if row := whole.body["sales_accounts"].([]any)[0].(object); row["city"] != "Ulm" || row["custom_field"] == nil || whole.body["meta"].(object)["total_pages"] != 3.0 {
		t.Errorf("a row is %v with %v", row, whole.body["meta"])
	}
	for _, path := range []string{"sales_accounts/view/1", "sales_accounts/view/x", "sales_accounts"} {
		if res := api(t, box, "GET", path, nil); res.status != 403 || res.messages() == "" {
			t.Errorf("%s: got %d %s, want 403", path, res.status, res.raw)
		}
	}
}

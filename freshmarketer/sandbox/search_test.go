package sandbox_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// found are the names that a search answers, and the ids' form.
func found(t *testing.T, box *sandbox.Sandbox, query string) string {
	t.Helper()
	res := api(t, box, "GET", "search?"+query, nil)
	var rows []struct {
		ID   string `json:"id"` // text, unlike everywhere else
		Type string `json:"type"`
		Name string `json:"name"`
	}
	if err := json.Unmarshal([]byte(res.raw), &rows); err != nil || res.status != 200 {
		t.Fatalf("%s: %d %s (%v)", query, res.status, res.raw, err)
	}
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.Type + ":" + r.Name
	}
	return strings.Join(names, " ")
}

func TestSearch(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now, IndexLag: 20 * time.Second})
	ann := create(t, box, object{"emails": []object{{"value": "ann@x.test", "is_primary": true}, {"value": "second@y.test"}}, "first_name": "Ann", "mobile_number": "+14155550102"})
	create(t, box, object{"email": "bob@x.test", "first_name": "Bob"})
	api(t, box, "POST", "sales_accounts", object{"sales_account": object{"name": "X.Test Ltd"}})
	if got := found(t, box, "q=x.test&include=contact"); got != "" {
		t.Errorf("at once: %s", got)
	}
	clock.pass(20 * time.Second)
	for query, want := range map[string]string{
		"q=X.test&include=contact":                   "contact:Ann contact:Bob",
		"q=x.test&include=contact,sales_account":     "contact:Ann contact:Bob sales_account:X.Test Ltd",
		"q=second@&include=contact":                  "contact:Ann", // an address that is not the primary one
		"q=5550102&include=contact":                  "contact:Ann",
		"q=x.test&include=sales_account":             "sales_account:X.Test Ltd",
		"q=nobody&include=contact":                   "",
		"q=x.test&include=deal":                      "",
		"q=x.test&include=contact&per_page=1&page=2": "contact:Bob",
	} {
		if got := found(t, box, query); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	api(t, box, "DELETE", "contacts/"+ann.id(), nil)
	if got := found(t, box, "q=Ann&include=contact"); got != "contact:Ann" {
		t.Errorf("a deletion is seen at once: %q", got)
	}
	clock.pass(20 * time.Second)
	if got := found(t, box, "q=Ann&include=contact"); got != "" {
		t.Errorf("deleted: %q", got)
	}
	for path, status := range map[string]int{"search?q=x.test": 400, "search?include=contact": 400, "contacts/search?q=x": 404} {
		if res := api(t, box, "GET", path, nil); res.status != status {
			t.Errorf("%s: got %d, want %d", path, res.status, status)
		}
	}
}

func TestFilteredSearch(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now, IndexLag: 5 * time.Second})
	for i, city := range []string{"Ulm", "Porto", "Ulm", "Bonn"} {
		create(t, box, object{"email": fmt.Sprintf("c%d@x.test", i), "city": city, "first_name": fmt.Sprint("N", 9-i), "tags": []string{"all"}, "custom_field": object{"cf_plan": fmt.Sprint("p", i%2)}})
	}
	rule := func(attribute string, values ...any) object {
		return object{"attribute": attribute, "operator": "is_in", "value": values}
	}
	ask := func(more object, rules ...object) (string, result) {
		body := object{"filter_rule": rules}
		maps.Copy(body, more)
		res := api(t, box, "POST", "filtered_search/contact", body)
		rows, _ := res.body["contacts"].([]any)
		var emails []string
		for _, r := range rows {
			if _, has := r.(object)["custom_field"]; has {
				t.Errorf("a row has custom fields: %v", r)
			}
			emails = append(emails, strings.TrimSuffix(fmt.Sprint(r.(object)["email"]), "@x.test"))
		}
		return strings.Join(emails, " "), res
	}
	if got, res := ask(nil, rule("city", "Ulm")); got != "" || res.status != 200 {
		t.Errorf("at once: %q %d", got, res.status)
	}
	clock.pass(5 * time.Second)
	for _, tt := range []struct {
		more  object
		rules []object
		want  string
	}{
		{nil, []object{rule("city", "Ulm", "Bonn")}, "c0 c2 c3"},
		{nil, []object{rule("city", "Ulm", "Bonn"), rule("cf_plan", "p1")}, "c3"},
		{object{"sort": "first_name", "sort_type": "asc"}, []object{rule("tags", "all")}, "c3 c2 c1 c0"},
		{object{"page": 2, "per_page": 3}, []object{rule("tags", "all")}, "c3"},
		{nil, []object{rule("email", "C1@x.test")}, "c1"},
		{nil, []object{rule("id", json.Number("990000000000002"))}, "c1"},
		{nil, []object{rule("city", "Nowhere")}, ""},
	} {
		if got, res := ask(tt.more, tt.rules...); got != tt.want || res.status != 200 {
			t.Errorf("%v %v: got %d %q, want %q", tt.more, tt.rules, res.status, got, tt.want)
		}
	}
	if _, res := ask(object{"per_page": 1}, rule("tags", "all")); !cmp.Equal(res.body["meta"], any(object{"total": 4.0, "total_pages": 4.0})) {
		t.Errorf("meta %v", res.body["meta"])
	}
	for name, body := range map[string]any{
		"no rule": object{}, "another operator": object{"filter_rule": []object{{"attribute": "city", "operator": "is", "value": []string{"Ulm"}}}},
		"no field": object{"filter_rule": []object{rule("cf_unheard_of", "x")}}, "no JSON": "{",
	} {
		if res := api(t, box, "POST", "filtered_search/contact", body); res.status != 400 {
			t.Errorf("%s: got %d", name, res.status)
		}
	}
	if res := api(t, box, "POST", "filtered_search/deal", object{"filter_rule": []object{rule("id", 1)}}); res.status != 404 {
		t.Errorf("deals: got %d", res.status)
	}
}

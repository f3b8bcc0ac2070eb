package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// classic makes a call of the classic API with its key.
func classic(t *testing.T, box *sandbox.Sandbox, method, path string, body any) result {
	t.Helper()
	return send(t, box, method, "/mas/api/v1/"+path, body, func(r *http.Request) {
		r.Header.Del("Authorization")
		r.Header.Set("fm-token", sandbox.DefaultAPIKey)
	})
}

func TestClassicContacts(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	list := api(t, box, "POST", "lists", object{"name": "News"}).body["list"].(object)
	id := json.Number(fmt.Sprintf("%.0f", list["id"]))
	made := classic(t, box, "PUT", "contacts", object{"email": "ann@x.test", "status": "unsubscribed", "lists": []any{id}, "first_name": "Ann", "phone": "+14155550102", "cf_plan": "Gold"})
	if made.status != 200 || made.id() == "" || fmt.Sprint(made.contact()["subscription_status"]) != "0" || made.custom()["cf_plan"] != "Gold" || made.contact()["mobile_number"] != "+14155550102" {
		t.Fatalf("created: %d %s", made.status, made.raw)
	}
	again := classic(t, box, "PUT", "contacts", object{"email": "ANN@x.test", "custom_field": object{"cf_logins": 3}})
	if again.status != 200 || again.id() != made.id() || again.contact()["first_name"] != "Ann" || fmt.Sprint(again.contact()["subscription_status"]) != "0" {
		t.Errorf("updated: %d %s", again.status, again.raw)
	}
	second := classic(t, box, "POST", "contacts", object{"email": "bob@x.test", "status": "subscribed"})
	if second.status != 200 {
		t.Fatalf("created: %d %s", second.status, second.raw)
	}
	for name, path := range map[string]string{"by id": "contacts/" + made.id(), "by address": "contacts/ann%40x.test"} {
		if res := classic(t, box, "GET", path, nil); res.status != 200 || res.id() != made.id() {
			t.Errorf("%s: %d %s", name, res.status, res.raw)
		}
	}
	if res := classic(t, box, "PUT", "contacts/"+made.id(), object{"first_name": "Anna"}); res.status != 200 || res.contact()["first_name"] != "Anna" {
		t.Errorf("by id: %d %s", res.status, res.raw)
	}
	members := func(query string) string {
		rows, _ := classic(t, box, "GET", "contacts?"+query, nil).body["contacts"].([]any)
		var emails []string
		for _, r := range rows {
			emails = append(emails, strings.ToLower(fmt.Sprint(r.(object)["email"]))) // the stored case is not known
		}
		return strings.Join(emails, " ")
	}
	subscriber := func(email, what string) {
		t.Helper()
		if res := classic(t, box, "PATCH", fmt.Sprintf("lists/%s/subscribers/%s/%s", id, email, what), nil); res.status != 200 {
			t.Errorf("%s: %d %s", what, res.status, res.raw)
		}
	}
	if got := members("page=1&size=30"); got != "bob@x.test ann@x.test" { // newest first
		t.Errorf("all: %s", got)
	}
	if got := members("page=2&size=1"); got != "ann@x.test" {
		t.Errorf("second page: %s", got)
	}
	of := "list_id=" + id.String()
	if got := members(of); got != "ann@x.test" {
		t.Errorf("of the list: %s", got)
	}
	subscriber("bob@x.test", "subscribe")
	subscriber(made.id(), "unsubscribe")
	if got := members(of); got != "bob@x.test" {
		t.Errorf("of the list, then: %s", got)
	}
	if lists, _ := classic(t, box, "GET", "lists", nil).body["lists"].([]any); len(lists) != 1 {
		t.Errorf("lists %v", lists)
	}
	if res := classic(t, box, "DELETE", "contacts/"+made.id(), nil); res.status != 200 {
		t.Errorf("delete: %d", res.status)
	}
	if res := classic(t, box, "GET", "contacts/"+made.id(), nil); res.status != 404 {
		t.Errorf("deleted: %d", res.status)
	}
}

func TestClassicRefusals(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{ReadOnlyKeys: []string{"reader"}})
	create(t, box, object{"email": "a@x.test"})
	for _, tt := range []struct {
		method, path string
		body         any
		status       int
	}{
		{"POST", "contacts", object{"email": "A@x.test"}, 400}, // it is there
		{"PUT", "contacts", object{"status": "subscribed"}, 400},
		{"PUT", "contacts", object{"email": "nonsense"}, 400},
		{"PUT", "contacts", object{"email": "b@x.test", "status": "maybe"}, 400},
		{"PUT", "contacts", object{"email": "b@x.test", "lists": []any{5}}, 400},
		{"PUT", "contacts", "{", 400},
		{"GET", "contacts/nobody@x.test", nil, 404},
		{"PUT", "contacts/5", object{"first_name": "x"}, 404},
		{"GET", "contacts?list_id=5", nil, 404},
		{"PATCH", "lists/5/subscribers/a@x.test/unsubscribe", nil, 404},
		{"PATCH", "lists/5/subscribers/a@x.test/praise", nil, 404},
		{"DELETE", "lists", nil, 404},
	} {
		if res := classic(t, box, tt.method, tt.path, tt.body); res.status != tt.status {
			t.Errorf("%s %s: got %d %s, want %d", tt.method, tt.path, res.status, res.raw, tt.status)
		}
	}
	for key, status := range map[string]int{"": 401, "wrong": 401, "reader": 403, sandbox.DefaultAPIKey: 200} {
		res := send(t, box, "PUT", "/mas/api/v1/contacts", object{"email": "c@x.test"}, func(r *http.Request) {
			r.Header.Set("fm-token", key) // the other API's header is there, and says nothing
		})
		if res.status != status {
			t.Errorf("key %q: got %d, want %d", key, res.status, status)
		}
	}
	// On a bundled account the same calls are below another path, with the key of the present API.
	if res := send(t, box, "GET", "/crm/marketer/mas/api/v1/contacts/a@x.test", nil); res.status != 200 || res.contact()["email"] != "a@x.test" {
		t.Errorf("bundled: %d %s", res.status, res.raw)
	}
}

func TestClassicMail(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	mail := func(body object, header string) int {
		return send(t, box, "POST", "/mas/api/v1/mail/transaction", body, func(r *http.Request) { r.Header.Set(header, sandbox.DefaultAPIKey) }).status
	}
	body := object{"id": "template", "recipient": "a@x.test", "tokens": object{"name": "Ann"}}
	for name, got := range map[string][2]int{
		"sent":         {mail(body, "Token"), 200},
		"wrong header": {mail(body, "fm-token"), 401},
		"no template":  {mail(object{"recipient": "a@x.test"}, "Token"), 400},
		"no address":   {mail(object{"id": "template", "recipient": "a"}, "Token"), 400},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: got %d, want %d", name, got[0], got[1])
		}
	}
	if got := box.Mails(); len(got) != 1 || got[0].Template != "template" || got[0].Recipient != "a@x.test" || got[0].Tokens["name"] != "Ann" {
		t.Errorf("%+v", got)
	}
	if res := send(t, box, "GET", "/_sandbox/mails", nil); len(res.body["mails"].([]any)) != 1 {
		t.Errorf("shown: %s", res.raw)
	}
}

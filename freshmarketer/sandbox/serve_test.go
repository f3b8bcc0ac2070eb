package sandbox_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestAuthentication(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{APIKeys: []string{"good"}, ReadOnlyKeys: []string{"reader"}})
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			if value == "" {
				r.Header.Del(name)
				return
			}
			r.Header.Set(name, value)
		}
	}
	tests := []struct {
		name, method, auth, accept string
		status                     int
		body                       string
	}{
		{"good key", "GET", "Token token=good", "application/json", 200, ""},
		{"no key", "GET", "", "application/json", 401, `{"login":"failed","message":null}`},
		{"wrong key", "GET", "Token token=bad", "application/json", 401, `{"login":"failed","message":"Incorrect or expired API key"}`},
		{"default key is not known here", "GET", "Token token=" + sandbox.DefaultAPIKey, "application/json", 401, `{"login":"failed","message":"Incorrect or expired API key"}`},
		{"without token=", "GET", "Token good", "application/json", 401, `{"login":"failed","message":null}`},
		{"bearer", "GET", "Bearer good", "application/json", 401, `{"login":"failed","message":null}`},
		{"no key, browser", "GET", "", "text/html", 302, ""},
		{"wrong key, no Accept", "GET", "Token token=bad", "", 302, ""},
		{"read-only key reads", "GET", "Token token=reader", "application/json", 200, ""},
		{"read-only key does not write", "POST", "Token token=reader", "application/json", 403, ""},
	}
	for _, tt := range tests {
		path := map[string]string{"GET": "contacts/filters", "POST": "contacts"}[tt.method]
		res := api(t, box, tt.method, path, nil, header("Authorization", tt.auth), header("Accept", tt.accept))
		if res.status != tt.status || tt.body != "" && res.raw != tt.body {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, res.status, res.raw, tt.status, tt.body)
		}
		if tt.status == 302 && res.header.Get("Location") != "/crm/sales/login" {
			t.Errorf("%s: Location %q, want the sign-in page", tt.name, res.header.Get("Location"))
		}
	}
}

func TestRouting(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	tests := []struct {
		method, path string
		status       int
		json         bool // a JSON error, not an empty body
	}{
		{"GET", "/", 404, false},
		{"GET", "/crm/sales/api/nothing", 404, false},
		{"GET", "/crm/sales/api/contacts/search", 404, false},
		{"PATCH", "/crm/sales/api/contacts/1", 404, false},
		{"GET", "/crm/sales/api/contacts/upsert", 404, false}, // read as an id that is no number
		{"GET", "/crm/sales/api/contacts/abc", 404, false},
		{"PUT", "/crm/sales/api/contacts/12x", 404, false},
		{"GET", "/crm/sales/api/contacts/", 404, false},
		{"GET", "/crm/sales/api/contacts/123", 404, true},
		{"DELETE", "/crm/sales/api/contacts/123", 404, true},
		{"DELETE", "/crm/sales/api/contacts/123/forget", 404, true},
		{"PUT", "/crm/sales/api/contacts/123", 404, true},
		{"GET", "/crm/sales/api/contacts", 403, true},
		{"GET", "/crm/sales/api/contacts/view/1", 403, true},
		{"GET", "/crm/sales/api/lookup?f=lead_score&q=1&entities=contact", 400, true},
		{"GET", "/crm/sales/api/lookup?f=email&q=1", 400, true},
	}
	for _, tt := range tests {
		res := send(t, box, tt.method, tt.path, nil)
		if res.status != tt.status || (res.body["errors"] != nil) != tt.json || !tt.json && res.raw != "" {
			t.Errorf("%s %s: got %d %q, want %d with a JSON error: %t", tt.method, tt.path, res.status, res.raw, tt.status, tt.json)
		}
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	const needEmail = "Need to fill this Email to submit the form."
	strict, lenient := newBox(t, sandbox.Options{}), newBox(t, sandbox.Options{LenientBody: true})
	tests := []struct {
		name     string
		box      *sandbox.Sandbox
		method   string
		path     string
		body     any
		status   int
		messages string
	}{
		{"not JSON", strict, "POST", "contacts", `{"contact":{"emails":"ann@x.test"`, 400, `unexpected token at '{"contact":{"emails":"ann@x.test"'`},
		{"two values", strict, "POST", "contacts", `{} {}`, 400, `unexpected token at '{} {}'`},
		{"a list", strict, "POST", "contacts", `[]`, 400, `unexpected token at '[]'`},
		{"empty object", strict, "POST", "contacts", object{}, 400, needEmail},
		{"empty envelope", strict, "POST", "contacts", object{"contact": object{}}, 400, needEmail},
		{"flat", strict, "POST", "contacts", object{"emails": "flat@x.test"}, 400, needEmail},
		{"flat, lenient", lenient, "POST", "contacts", object{"emails": "flat@x.test"}, 200, ""},
		{"upsert without identifier", strict, "POST", "contacts/upsert", object{"contact": object{"emails": "a@x.test"}}, 400, "Invalid or missing attributes"},
		{"upsert without contact", strict, "POST", "contacts/upsert", object{"unique_identifier": object{"emails": "a@x.test"}}, 400, needEmail},
		{"upsert without an identifier", strict, "POST", "contacts/upsert", object{"contact": object{"emails": "a@x.test"}}, 400, "Invalid or missing attributes"},
		{"upsert by two", strict, "POST", "contacts/upsert", object{"unique_identifier": object{"emails": "a@x.test", "id": 1}, "contact": object{}}, 400, "Invalid or missing attributes"},
		{"upsert by nothing", strict, "POST", "contacts/upsert", object{"unique_identifier": object{"emails": " "}, "contact": object{}}, 400, "Invalid or missing attributes"},
		{"upsert by a name", strict, "POST", "contacts/upsert", object{"unique_identifier": object{"first_name": "A"}, "contact": object{}}, 400, "Invalid or missing attributes"},
	}
	for _, tt := range tests {
		res := api(t, tt.box, tt.method, tt.path, tt.body)
		if res.status != tt.status || res.messages() != tt.messages {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, res.status, res.raw, tt.status, tt.messages)
		}
	}
	form := func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }
	if res := api(t, strict, "POST", "contacts", object{"contact": object{"emails": "a@x.test"}}, form); res.status != 400 {
		t.Errorf("wrong content type: got %d %s, want 400", res.status, res.raw)
	}
	if res := api(t, strict, "POST", "contacts", strings.Repeat(" ", 5<<20)); res.status != 413 {
		t.Errorf("5 MiB: got %d, want 413", res.status)
	}
}

func TestMessagesAreLocalised(t *testing.T) {
	t.Parallel()
	for language, want := range map[sandbox.Language]string{
		sandbox.English: "a@x.test already exists.", sandbox.Dutch: "a@x.test bestaat al.", sandbox.Spanish: "a@x.test ya existe.",
	} {
		box := newBox(t, sandbox.Options{Language: language})
		create(t, box, object{"email": "a@x.test"})
		res := api(t, box, "POST", "contacts", object{"contact": object{"email": "a@x.test"}})
		if res.status != 400 || res.messages() != want {
			t.Errorf("%s: got %d %s, want %q", language, res.status, res.raw, want)
		}
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	t.Parallel()
	tests := map[string]sandbox.Options{
		`"append"`:              {CustomFieldMode: "append"},
		`"fr"`:                  {Language: "fr"},
		"negative":              {IndexLag: -1},
		"must start with cf_":   {CustomFields: []sandbox.Field{{Name: "plan", Label: "Plan", Type: sandbox.TypeText}}},
		"twice":                 {CustomFields: []sandbox.Field{{Name: "cf_a", Label: "A", Type: sandbox.TypeText}, {Name: "cf_a", Label: "A", Type: sandbox.TypeText}}},
		"no label":              {CustomFields: []sandbox.Field{{Name: "cf_a", Type: sandbox.TypeText}}},
		`no type "string"`:      {CustomFields: []sandbox.Field{{Name: "cf_a", Label: "A", Type: "string"}}},
		"choices belong":        {CustomFields: []sandbox.Field{{Name: "cf_a", Label: "A", Type: sandbox.TypeDropdown}}},
		"there is no such fiel": {Required: []string{"nickname"}},
	}
	for want, opt := range tests {
		if _, err := sandbox.New(opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %s", err, want)
		}
	}
}

package ingest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/queue"
)

const origin = "https://shop.example.test"

func TestPreflight(t *testing.T) {
	t.Parallel()
	const base = "authorization, content-type, x-retry-count"
	tests := map[string]struct {
		path, asked string
		allowed     string
	}{
		"analytics.js":     {"/v1/t", "authorization, x-retry-count", base},
		"without version":  {"/b", "authorization", base},
		"trailing slash":   {"/v1/import/", "", base},
		"settings":         {"/v1/projects/wk/settings", "", base},
		"of a page":        {"/v1/p", "X-Tenant,x-trace-id ,", base + ", x-tenant, x-trace-id"},
		"asked twice":      {"/v1/p", "x-a, X-A", base + ", x-a"},
		"no names":         {"/v1/p", "x a, x:b, ü, x\"c, *", base + ", *"},
		"endless name":     {"/v1/p", strings.Repeat("x", 65), base},
		"endless names":    {"/v1/p", strings.Repeat("x-a,", 10_000), base + ", x-a"},
		"what is not here": {"/v1/nothing", "", base},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			w := d.do(request(tt.path, "", method("OPTIONS"), header("Origin", origin),
				header("Access-Control-Request-Method", "POST"), header("Access-Control-Request-Headers", tt.asked)))
			if w.Code != http.StatusNoContent || w.Body.Len() != 0 {
				t.Fatalf("answer = %d %s", w.Code, w.Body)
			}
			for header, want := range map[string]string{
				"Access-Control-Allow-Origin":      origin,
				"Access-Control-Allow-Credentials": "true",
				"Access-Control-Allow-Methods":     "GET, POST, OPTIONS",
				"Access-Control-Allow-Headers":     tt.allowed,
				"Access-Control-Max-Age":           "86400",
			} {
				if got := w.Header().Get(header); got != want {
					t.Errorf("%s = %q, want %q", header, got, want)
				}
			}
			if got := strings.Join(w.Header().Values("Vary"), ", "); got != "Origin, Access-Control-Request-Headers" {
				t.Errorf("Vary = %q", got)
			}
			if d.logs.Len() != 0 {
				t.Errorf("a preflight was logged: %v", d.logs.All())
			}
		})
	}
}

func TestPreflightListsAreBounded(t *testing.T) {
	t.Parallel()
	var asked []string
	for _, a := range "abcdefghijklmnopqrstuvwxyz" {
		for _, b := range "abcdefghijklmnopqrstuvwxyz" {
			asked = append(asked, "x-"+string(a)+string(b))
		}
	}
	w := newDoor(t).do(request("/v1/p", "", method("OPTIONS"), header("Access-Control-Request-Headers", strings.Join(asked, ","))))
	if got := strings.Count(w.Header().Get("Access-Control-Allow-Headers"), ",") + 1; got != 32 {
		t.Errorf("%d headers allowed, want 32", got)
	}
}

// A browser hides the answer from the page, and with it that something is wrong, unless it is allowed to be read.
func TestOriginIsAllowedOnEveryAnswer(t *testing.T) {
	t.Parallel()
	full := newDoor(t)
	full.store.err = queue.ErrFull
	answers := map[string]struct {
		door   *door
		path   string
		body   string
		key    string
		status int
	}{
		"stored":      {newDoor(t), "/v1/i", `{}`, key, 200},
		"dropped":     {newDoor(t), "/v1/m", `{"series":[]}`, "", 200},
		"bad key":     {newDoor(t), "/v1/i", `{}`, marker, 401},
		"bad body":    {newDoor(t), "/v1/i", `{`, key, 400},
		"no path":     {newDoor(t), "/v1/x", `{}`, key, 404},
		"store full":  {full, "/v1/i", `{}`, key, 503},
		"no version":  {newDoor(t), "/b", `{`, key, 400},
		"is settings": {newDoor(t), "/v1/projects/" + key + "/settings", ``, key, 405},
	}
	for name, tt := range answers {
		for origin, want := range map[string][2]string{
			"":                              {"*", ""},
			origin:                          {origin, "true"},
			"null":                          {"null", "true"},
			"https://a b":                   {"*", ""},
			"https://\u00fc.example.test":   {"*", ""},
			"https://" + marker + "\x01":    {"*", ""},
			strings.Repeat("h", 513):        {"*", ""},
			"http://localhost:3000":         {"http://localhost:3000", "true"},
			"capacitor://localhost":         {"capacitor://localhost", "true"},
			"https://xn--bcher-kva.example": {"https://xn--bcher-kva.example", "true"},
		} {
			w := tt.door.do(request(tt.path, tt.body, basic(tt.key), header("Origin", origin)))
			h := w.Header()
			if w.Code != tt.status || h.Get("Access-Control-Expose-Headers") != "Retry-After" || h.Get("Vary") != "Origin" ||
				h.Get("Access-Control-Allow-Origin") != want[0] || h.Get("Access-Control-Allow-Credentials") != want[1] {
				t.Errorf("%s from %q: %d %v", name, origin, w.Code, h)
			}
		}
	}
}

// Segment's servers do not ask, and no page has a reason to.
func TestWebhooksAreNotForBrowsers(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.do(request("/webhook/website", `{}`, basic(key), header("Origin", origin)))
	wantOK(t, w)
	if got := w.Header().Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("allowed for %q", got)
	}
	wantRefused(t, d.do(request("/webhook/website", "", method("OPTIONS"), header("Origin", origin))), 405, "method_not_allowed")
}

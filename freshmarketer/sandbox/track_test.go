package sandbox_test

import (
	"maps"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestTrack(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{PerHour: 1})
	keyless := func(r *http.Request) { r.Header.Del("Authorization") }
	base := object{"application_token": sandbox.DefaultApplicationToken, "sdk": "ruby", "identifier": "u1"}
	post := func(path string, change object) result {
		body := maps.Clone(base)
		maps.Copy(body, change)
		return send(t, box, "POST", "/track/"+path, body, keyless)
	}
	visitor := object{"First name": "Ann", "Email": "ann@x.test", "company": object{"Name": "Acme"}}
	for _, tt := range []struct {
		name, path string
		change     object
		status     int
	}{
		{"a visitor", "visitors", object{"visitor": visitor}, 200},
		{"an event", "events", object{"event": object{"name": "Order Completed", "total": 9}, "sdk": "python"}, 200},
		{"a page", "page_views", object{"page_view": object{"url": "https://x.test/"}}, 200},
		{"another token", "visitors", object{"visitor": visitor, "application_token": sandbox.DefaultAPIKey}, 401},
		{"no token", "visitors", object{"visitor": visitor, "application_token": nil}, 401},
		{"an unknown library", "visitors", object{"visitor": visitor, "sdk": "go"}, 400},
		{"no visitor", "visitors", object{"event": object{"name": "x"}}, 400},
		{"nobody", "visitors", object{"visitor": visitor, "identifier": ""}, 400},
		{"no name", "events", object{"event": object{"total": 1}}, 400},
		{"no url", "page_views", object{"page_view": object{"title": "x"}}, 400},
		{"an unknown route", "post_it", object{}, 404},
	} {
		if res := post(tt.path, tt.change); res.status != tt.status {
			t.Errorf("%s: got %d %s, want %d", tt.name, res.status, res.raw, tt.status)
		}
	}
	if res := send(t, box, "GET", "/track/events", nil); res.status != 404 {
		t.Errorf("GET: %d", res.status)
	}
	got := box.Tracked()
	var operations []string
	for _, c := range got {
		operations = append(operations, c.Operation)
	}
	if diff := cmp.Diff([]string{"track_visitor", "track_event", "track_page_view"}, operations); diff != "" || got[0].Identifier != "u1" || got[0].Fields["First name"] != "Ann" {
		t.Errorf("%+v", got)
	}
	if len(box.Contacts()) != 0 || box.Throttled() != 0 {
		t.Errorf("%d contacts, %d times throttled", len(box.Contacts()), box.Throttled())
	}
	if res := send(t, box, "GET", "/_sandbox/tracked", nil); len(res.body["tracked"].([]any)) != 3 {
		t.Errorf("shown: %s", res.raw)
	}
	// A key of the API is no token, and a token no key.
	if res := api(t, box, "GET", "contacts/filters", nil, func(r *http.Request) { r.Header.Set("Authorization", "Token token="+sandbox.DefaultApplicationToken) }); res.status != 401 {
		t.Errorf("with the token as key: %d", res.status)
	}
}

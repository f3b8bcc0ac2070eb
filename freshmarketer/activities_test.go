package freshmarketer_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
)

// activityOf needs a contact, and takes type and owner from the account's lists, as the worker does.
func activityOf(t *testing.T, box *sandbox.Sandbox, client *freshmarketer.Client) freshmarketer.Activity {
	t.Helper()
	if _, err := box.Add(map[string]any{"email": "ann@x.test"}); err != nil {
		t.Fatal(err)
	}
	types, typesErr := client.Select(t.Context(), freshmarketer.SelectActivityTypes)
	owners, ownersErr := client.Select(t.Context(), freshmarketer.SelectOwners)
	if err := errors.Join(typesErr, ownersErr); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 8, 9, 10, 0, 0, 0, time.UTC)
	return freshmarketer.Activity{
		Title: "Order Completed", TypeID: types[len(types)-1].ID, OwnerID: owners[0].ID, ContactID: "990000000000001",
		Start: at, End: at.Add(time.Minute), Notes: "o-1",
	}
}

func TestActivitiesThroughTheSandbox(t *testing.T) {
	t.Parallel()
	box, client := sandboxClient(t, sandbox.Options{})
	activity := activityOf(t, box, client)
	id, err := client.CreateActivity(t.Context(), activity)
	if err != nil || id == "" {
		t.Fatalf("got %q, %v", id, err)
	}
	if _, err := client.CreateActivity(t.Context(), activity); err != nil || len(box.Activities()) != 2 {
		t.Errorf("a second one: %v, %d activities, want 2: nothing makes them one", err, len(box.Activities()))
	}
	listed, pages, err := client.ListActivities(t.Context(), 0)
	if err != nil || pages != 1 || len(listed) != 2 {
		t.Fatalf("listed %+v, of %d pages, %v", listed, pages, err)
	}
	activity.ID = id
	if diff := cmp.Diff(activity, listed[0]); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}

	bad := activity
	bad.ContactID = "990000000000999"
	if _, err := client.CreateActivity(t.Context(), bad); freshmarketer.KindOf(err) != freshmarketer.KindGone {
		t.Errorf("an unknown contact: got %v, want kind gone", err)
	}
	for name, change := range map[string]func(*freshmarketer.Activity){
		"no title": func(a *freshmarketer.Activity) { a.Title = " " },
		"no owner": func(a *freshmarketer.Activity) { a.OwnerID = "" },
		"no type":  func(a *freshmarketer.Activity) { a.TypeID = "x" },
	} {
		bad := activity
		change(&bad)
		_, err := client.CreateActivity(t.Context(), bad)
		if e := new(freshmarketer.Error); !errors.As(err, &e) || e.Kind != freshmarketer.KindInvalid || e.Status != 0 || e.MayHaveEffect() {
			t.Errorf("%s: got %+v, want it refused before it is sent", name, e)
		}
	}
}

func TestActivityPaging(t *testing.T) {
	t.Parallel()
	server := &capture{body: `{"sales_activities":[{"id":"5","title":"T","targetable_type":"Deal","targetable_id":9,"start_date":"soon"}],"meta":{"total_pages":3}}`}
	client := clientOf(t, server.ServeHTTP)
	for page, want := range map[int]int{1: 3, 2: 3, 3: 3, 4: 4} {
		got, pages, err := client.ListActivities(t.Context(), page)
		if err != nil || pages != want || len(got) != 1 || got[0].ID != "5" || got[0].ContactID != "" || !got[0].Start.IsZero() {
			t.Errorf("page %d: %+v, of %d, %v", page, got, pages, err)
		}
	}
	for body, want := range map[string]int{`{"sales_activities":[{"id":5}]}`: 4, `{"sales_activities":[]}`: 3, `{"sales_activities":[],"meta":{"total_pages":2}}`: 3} {
		if _, pages, err := clientOf(t, reply{200, nil, body}.ServeHTTP).ListActivities(t.Context(), 3); err != nil || pages != want {
			t.Errorf("%s: %d pages, %v, want %d", body, pages, err, want)
		}
	}
	for _, body := range []string{`{}`, `[]`, `{"sales_activities":null}`} {
		if _, _, err := clientOf(t, reply{200, nil, body}.ServeHTTP).ListActivities(t.Context(), 1); freshmarketer.KindOf(err) != freshmarketer.KindTemporary {
			t.Errorf("%s: got %v, want kind temporary", body, err)
		}
	}
}

func TestEventsThroughTheSandbox(t *testing.T) {
	t.Parallel()
	box, client := sandboxClient(t, sandbox.Options{})
	event := freshmarketer.Event{
		Email: "ann+1@x.test", Name: "Order Completed", At: time.Date(2026, 8, 9, 12, 0, 0, 0, time.FixedZone("", 7200)),
		Properties: freshmarketer.Fields{"order_id": "o-1", "total": 12.5, "gift": true},
	}
	if err := client.SendEvent(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	got := box.Events()
	if len(got) != 1 || got[0].Email != event.Email || got[0].Name != event.Name || got[0].Timestamp != "2026-08-09T10:00:00Z" || len(got[0].Properties) != 3 {
		t.Errorf("events %+v", got)
	}
	for name, bad := range map[string]freshmarketer.Event{
		"no email": {Name: "n"}, "no name": {Email: "a@x.test"}, "a long name": {Email: "a@x.test", Name: strings.Repeat("ü", 51)},
	} {
		if err := client.SendEvent(t.Context(), bad); freshmarketer.KindOf(err) != freshmarketer.KindInvalid {
			t.Errorf("%s: got %v, want kind invalid", name, err)
		}
	}
	if err := client.SendEvent(t.Context(), freshmarketer.Event{Email: "a@x.test", Name: strings.Repeat("ü", 50)}); err != nil {
		t.Errorf("50 characters: %v", err)
	}
}

func TestEventAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer reply
		want   freshmarketer.Kind
	}{
		{"200 {}", reply{200, nil, `{}`}, ""},
		{"202 empty", reply{202, nil, ``}, ""},
		{"204", reply{204, nil, ``}, ""},
		{"200 true", reply{200, nil, `true`}, ""},
		{"200 text", reply{200, nil, `accepted`}, ""},
		{"200 with numbers that are no error", reply{200, nil, `{"code":200,"error_code":0,"message":"ok"}`}, ""},
		{"200 with an error", reply{200, nil, `{"errors":{"message":"no"}}`}, freshmarketer.KindTemporary},
		{"200 with a page", reply{200, map[string]string{"Content-Type": "text/html"}, `<html>`}, freshmarketer.KindMisrouted},
		{"200 throttled", reply{200, nil, `{"error_code":429}`}, freshmarketer.KindThrottled},
		{"no such endpoint", reply{404, nil, ``}, freshmarketer.KindUnsupported},
		{"no such endpoint, page", reply{404, map[string]string{"Content-Type": "text/html"}, `<html>`}, freshmarketer.KindUnsupported},
		{"no such contact", reply{404, nil, `{"errors":{"message":"x"}}`}, freshmarketer.KindGone},
		{"bad", reply{400, nil, `{"errors":{"message":"x"}}`}, freshmarketer.KindInvalid},
	}
	for _, tt := range tests {
		err := clientOf(t, tt.answer.ServeHTTP).SendEvent(t.Context(), freshmarketer.Event{Email: "a@x.test", Name: "n"})
		if got := freshmarketer.KindOf(err); got != tt.want {
			t.Errorf("%s: got kind %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestEventsGoBesideTheAPI(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"http://freshmarketer.test":                     "/crm/marketer/mas/api/v1/events?",
		"http://freshmarketer.test/fresh/crm/sales/api": "/fresh/crm/marketer/mas/api/v1/events?",
	} {
		server := &capture{}
		client, err := freshmarketer.New(freshmarketer.Config{BaseURL: base, APIKey: testKey, HTTPClient: sandboxtest.Serve(t, server)})
		if err != nil {
			t.Fatal(err)
		}
		if err := client.SendEvent(t.Context(), freshmarketer.Event{Email: "a+b@x.test", Name: "n", At: time.Unix(0, 0)}); err != nil {
			t.Fatal(err)
		}
		want += "email=a%2Bb%40x.test&event_name=n&event_timestamp=1970-01-01T00%3A00%3A00Z"
		if server.uri != want || server.header.Get("Authorization") != "Token token="+testKey {
			t.Errorf("%s: called %s, want %s", base, server.uri, want)
		}
	}
}

// What cannot be repeated hangs on this: was it perhaps done?
func TestMayHaveEffect(t *testing.T) {
	t.Parallel()
	send := func(ctx context.Context, client *freshmarketer.Client) error {
		return client.SendEvent(ctx, freshmarketer.Event{Email: "a@x.test", Name: "n"})
	}
	for status, want := range map[int]bool{
		302: false, 400: false, 401: false, 403: false, 404: false, 405: false, 409: false, 422: false, 429: false,
		408: true, 500: true, 502: true, 503: true, 504: true,
	} {
		err := send(t.Context(), clientOf(t, reply{status, nil, ``}.ServeHTTP))
		if e := new(freshmarketer.Error); !errors.As(err, &e) || e.MayHaveEffect() != want {
			t.Errorf("%d: got %v, want an effect %t", status, err, want)
		}
	}
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    bool
	}{
		"cut":              {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
		"page with 200":    {reply{200, nil, `<html>`}.ServeHTTP, true},
		"throttled by 200": {reply{200, nil, `{"error_code":429}`}.ServeHTTP, false},
	} {
		err := send(t.Context(), clientOf(t, tt.handler))
		if e := new(freshmarketer.Error); !errors.As(err, &e) || e.Unsent || e.MayHaveEffect() != tt.want {
			t.Errorf("%s: got %+v, want an effect %t", name, e, tt.want)
		}
	}

	unreachable := func(transport http.RoundTripper) error {
		client, err := freshmarketer.New(freshmarketer.Config{BaseURL: sandboxtest.BaseURL, APIKey: testKey, HTTPClient: &http.Client{Transport: transport}})
		if err != nil {
			t.Fatal(err)
		}
		return send(t.Context(), client)
	}
	refused := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }}
	if e := new(freshmarketer.Error); !errors.As(unreachable(refused), &e) || !e.Unsent || e.MayHaveEffect() {
		t.Errorf("no connection: got %+v, want no effect", e)
	}
	if e := new(freshmarketer.Error); !errors.As(unreachable(silent{}), &e) || e.Unsent || !e.MayHaveEffect() {
		t.Errorf("a transport that tells nothing: got %+v, want a possible effect", e)
	}
}

// silent is a transport that reports nothing of what it does.
type silent struct{}

func (silent) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("broken") }

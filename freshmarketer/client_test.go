package freshmarketer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
)

// capture answers every call with the same body and remembers the last request.
type capture struct {
	body   string
	method string
	uri    string
	header http.Header
	sent   map[string]any
}

func (c *capture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.method, c.uri, c.header, c.sent = r.Method, r.URL.RequestURI(), r.Header, nil
	if body, err := io.ReadAll(r.Body); err == nil && len(body) > 0 {
		if err := json.Unmarshal(body, &c.sent); err != nil {
			http.Error(w, "not JSON", http.StatusBadRequest)
			return
		}
	}
	_, _ = io.WriteString(w, c.body)
}

func TestRequests(t *testing.T) {
	t.Parallel()
	write := freshmarketer.ContactWrite{
		Fields: freshmarketer.Fields{"email": "ann@x.test", "job_title": nil, "subscription_types": []string{"2", "3"}, "tags": []string{"a", "b"}},
		Custom: freshmarketer.Fields{"cf_plan": "Gold <&>", "cf_n": json.Number("1.50"), "cf_many": []string{"A", "B"}, "cf_gone": nil},
	}
	contact := func(emailKey string) map[string]any {
		return map[string]any{
			emailKey: "ann@x.test", "job_title": nil, "subscription_types": "2;3", "tags": []any{"a", "b"},
			"custom_field": map[string]any{"cf_plan": "Gold <&>", "cf_n": 1.5, "cf_many": "A;B", "cf_gone": nil},
		}
	}
	upserted := contact("emails")
	upserted["external_id"] = "u-1"
	only := freshmarketer.ContactWrite{Fields: freshmarketer.Fields{"first_name": "Ann"}}

	type call func(context.Context, *freshmarketer.Client) error
	tests := []struct {
		name   string
		call   call
		method string
		uri    string
		body   map[string]any
	}{
		{"upsert by external id", func(ctx context.Context, c *freshmarketer.Client) error {
			_, err := c.UpsertContact(ctx, "external_id", "u-1", write)
			return err
		}, "POST", "/crm/sales/api/contacts/upsert", map[string]any{"unique_identifier": map[string]any{"external_id": "u-1"}, "contact": upserted}},
		{"create", func(ctx context.Context, c *freshmarketer.Client) error {
			_, err := c.CreateContact(ctx, write)
			return err
		}, "POST", "/crm/sales/api/contacts", map[string]any{"contact": contact("email")}},
		{"upsert by email repeats it inside", func(ctx context.Context, c *freshmarketer.Client) error {
			_, err := c.UpsertContact(ctx, "email", "b@x.test", only)
			return err
		}, "POST", "/crm/sales/api/contacts/upsert", map[string]any{
			"unique_identifier": map[string]any{"emails": "b@x.test"},
			"contact":           map[string]any{"first_name": "Ann", "emails": "b@x.test"},
		}},
		{"upsert by email keeps another address", func(ctx context.Context, c *freshmarketer.Client) error {
			_, err := c.UpsertContact(ctx, "emails", "old@x.test", write)
			return err
		}, "POST", "/crm/sales/api/contacts/upsert", map[string]any{"unique_identifier": map[string]any{"emails": "old@x.test"}, "contact": contact("emails")}},
		{"upsert by id", func(ctx context.Context, c *freshmarketer.Client) error {
			_, err := c.UpsertContact(ctx, "id", "70", only)
			return err
		}, "POST", "/crm/sales/api/contacts/upsert", map[string]any{"unique_identifier": map[string]any{"id": "70"}, "contact": map[string]any{"first_name": "Ann"}}},
		{"update", func(ctx context.Context, c *freshmarketer.Client) error {
			_, err := c.UpdateContact(ctx, "70", write)
			return err
		}, "PUT", "/crm/sales/api/contacts/70", map[string]any{"contact": contact("email")}},
		{"get", func(ctx context.Context, c *freshmarketer.Client) error {
			_, err := c.GetContact(ctx, "70")
			return err
		}, "GET", "/crm/sales/api/contacts/70", nil},
		{
			"delete", func(ctx context.Context, c *freshmarketer.Client) error { return c.DeleteContact(ctx, "70") },
			"DELETE", "/crm/sales/api/contacts/70", nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := &capture{body: `{"contact":{"id":70}}`}
			if err := tt.call(t.Context(), clientOf(t, server.ServeHTTP)); err != nil {
				t.Fatal(err)
			}
			if server.method != tt.method || server.uri != tt.uri {
				t.Errorf("got %s %s, want %s %s", server.method, server.uri, tt.method, tt.uri)
			}
			if diff := cmp.Diff(tt.body, server.sent); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			for name, want := range map[string]string{
				"Authorization": "Token token=" + testKey, "Accept": "application/json",
				"Content-Type": "application/json", "User-Agent": "freshrelay",
			} {
				if got := server.header.Get(name); got != want {
					t.Errorf("header %s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestLookupEscapesTheValue(t *testing.T) {
	t.Parallel()
	server := &capture{body: `{"contacts":{"contacts":[]}}`}
	got, err := clientOf(t, server.ServeHTTP).LookupContacts(t.Context(), "external_id", "a&f=email/ü+ ")
	if err != nil || got == nil || len(got) != 0 {
		t.Fatalf("got %v, %v, want an empty list", got, err)
	}
	if want := "/crm/sales/api/lookup?entities=contact&f=external_id&q=a%26f%3Demail%2F%C3%BC%2B+"; server.uri != want {
		t.Errorf("got %s, want %s", server.uri, want)
	}
}

func TestAnswersAreReadLeniently(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, id, email, externalID string }{
		{"numbers", `{"contact":{"id":70042006456,"email":"a@x.test","external_id":12}}`, "70042006456", "a@x.test", "12"},
		{"texts", `{"contact":{"id":"70042006456","email":null,"external_id":null,"emails":[{"value":"s@x.test"},{"value":"p@x.test","is_primary":true}]}}`, "70042006456", "p@x.test", ""},
		{"addresses as text", `{"contact":{"id":1,"email":"a@x.test","emails":"a@x.test","sales_accounts":"?"}}`, "1", "a@x.test", ""},
		{"addresses as a list of text", `{"contact":{"id":1,"email":"a@x.test","emails":["a@x.test"],"sales_accounts":[5]}}`, "1", "a@x.test", ""},
		{"unknown keys", `{"contact":{"id":1,"new":{"a":[1]}},"users":[]}`, "1", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := clientOf(t, reply{201, nil, tt.body}.ServeHTTP).GetContact(t.Context(), "1")
			if err != nil || got.ID != tt.id || got.Email != tt.email || got.ExternalID != tt.externalID {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}

	client := clientOf(t, reply{200, nil, `{"contact":{"id":1,"first_name":"Ann","custom_field":{"cf_n":5.0,"cf_x":null}}}`}.ServeHTTP)
	got, err := client.GetContact(t.Context(), "1")
	if err != nil || string(got.Fields["first_name"]) != `"Ann"` || string(got.Custom["cf_n"]) != "5.0" || string(got.Custom["cf_x"]) != "null" {
		t.Errorf("got %+v, %v, want the values as they were written", got, err)
	}
}

func TestLookupShapes(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]int{
		`{"contacts":{"contacts":[{"id":1},{"id":"2"}]}}`: 2,
		`{"contacts":[{"id":1}]}`:                         1,
		`{"contacts":{"contacts":[]},"meta":{}}`:          0,
	} {
		got, err := clientOf(t, reply{200, nil, body}.ServeHTTP).LookupContacts(t.Context(), "email", "a@x.test")
		if err != nil || len(got) != want {
			t.Errorf("%s: got %v, %v, want %d contacts", body, got, err, want)
		}
	}
	for _, body := range []string{`{}`, `{"contacts":null}`, `{"contacts":{}}`, `[]`} {
		if got, err := clientOf(t, reply{200, nil, body}.ServeHTTP).LookupContacts(t.Context(), "email", "a@x.test"); freshmarketer.KindOf(err) != freshmarketer.KindTemporary {
			t.Errorf("%s: got %v, %v: not found must be said, not guessed", body, got, err)
		}
	}
}

func TestContactFields(t *testing.T) {
	t.Parallel()
	client := clientOf(t, reply{200, nil, `{"fields":[
		{"id":"9","name":"cf_tier","label":"Tier ","type":"dropdown","default":false,"required":true,"choices":[{"id":7,"value":"Free","position":1},{"id":"x","value":"Paid"}]},
		{"id":1,"name":"tags","label":"Tags","type":"auto_complete","default":true,"required":null,"multiple":true,"choices":null}]}`}.ServeHTTP)
	got, err := client.ContactFields(t.Context())
	want := []freshmarketer.FieldMeta{
		{ID: "9", Name: "cf_tier", Label: "Tier ", Type: "dropdown", Required: true, Choices: []freshmarketer.FieldChoice{{ID: "7", Value: "Free"}, {ID: "x", Value: "Paid"}}},
		{ID: "1", Name: "tags", Label: "Tags", Type: "auto_complete", Default: true, Multiple: true},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, fields (-want +got):\n%s", err, diff)
	}
}

func TestUnsendableCallsAreNotSent(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	client := clientOf(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	ctx := t.Context()
	errs := map[string]error{}
	_, errs["get without id"] = client.GetContact(ctx, "")
	_, errs["get with a path"] = client.GetContact(ctx, "../lists")
	_, errs["update without id"] = client.UpdateContact(ctx, "", freshmarketer.ContactWrite{})
	errs["delete without id"] = client.DeleteContact(ctx, "")
	_, errs["upsert without identifier"] = client.UpsertContact(ctx, "external_id", " ", freshmarketer.ContactWrite{})
	_, errs["not JSON"] = client.UpdateContact(ctx, "1", freshmarketer.ContactWrite{Fields: freshmarketer.Fields{"first_name": json.Number("secret")}})
	for name, err := range errs {
		if freshmarketer.KindOf(err) != freshmarketer.KindInvalid || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: got %v, want kind invalid and no value", name, err)
		}
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d calls were sent", n)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(trap.Close)
	server := httptest.NewServer(http.RedirectHandler(trap.URL, http.StatusTemporaryRedirect))
	t.Cleanup(server.Close)
	client, err := freshmarketer.New(freshmarketer.Config{BaseURL: server.URL, APIKey: testKey})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Probe(t.Context()); freshmarketer.KindOf(err) != freshmarketer.KindMisrouted {
		t.Errorf("got %v, want kind misrouted", err)
	}
	if elsewhere.Load() != 0 {
		t.Error("the redirect was followed, with the key")
	}
	if client.Host() != strings.TrimPrefix(server.URL, "http://") {
		t.Errorf("Host() = %q, want that of %s", client.Host(), server.URL)
	}
}

func TestOversizedAnswer(t *testing.T) {
	t.Parallel()
	client := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
		block := []byte(strings.Repeat(" ", 1<<20))
		for range 64 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	if _, err := client.GetContact(t.Context(), "1"); freshmarketer.KindOf(err) != freshmarketer.KindTemporary {
		t.Errorf("got %v, want kind temporary", err)
	}
}

func TestNetworkTrouble(t *testing.T) {
	t.Parallel()
	refused := errors.New("connection refused by Ann")
	client, err := freshmarketer.New(freshmarketer.Config{BaseURL: sandboxtest.BaseURL, APIKey: testKey, HTTPClient: &http.Client{
		Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, refused }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	err = client.Probe(t.Context())
	if freshmarketer.KindOf(err) != freshmarketer.KindTemporary || !errors.Is(err, refused) {
		t.Errorf("got %v, want kind temporary that is %v", err, refused)
	}
}

// net/http repeats a GET on its own if a connection that was used before breaks. The client must not.
func TestBrokenConnectionsAreNotRetried(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	var remotes []string
	client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		remotes = append(remotes, r.Header.Get("Content-Length")+r.Header.Get("Transfer-Encoding"))
		if calls.Add(1) == 2 {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, `{"filters":[]}`)
	})
	if err := client.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := client.Probe(t.Context()); freshmarketer.KindOf(err) != freshmarketer.KindTemporary || calls.Load() != 2 {
		t.Errorf("got %v after %d calls, want kind temporary after 2", err, calls.Load())
	}
	if diff := cmp.Diff([]string{"", ""}, remotes); diff != "" {
		t.Errorf("a body was announced (-want +got):\n%s", diff)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls []string
		client, err := freshmarketer.New(freshmarketer.Config{
			BaseURL: sandboxtest.BaseURL, APIKey: testKey, Timeout: 3 * time.Second,
			HTTPClient: sandboxtest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })),
			OnCall:     func(op string, status int, took time.Duration) { calls = append(calls, fmt.Sprint(op, status, took)) },
		})
		if err != nil {
			t.Fatal(err)
		}
		err = client.Probe(t.Context())
		if freshmarketer.KindOf(err) != freshmarketer.KindTemporary || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want kind temporary that is a deadline", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = client.GetContact(ctx, "1")
		if freshmarketer.KindOf(err) != freshmarketer.KindTemporary || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller's deadline: got %v, want kind temporary that is a deadline", err)
		}
		if diff := cmp.Diff([]string{"contact_filters0 3s", "get_contact0 1s"}, calls); diff != "" {
			t.Errorf("observed calls (-want +got):\n%s", diff)
		}
	})
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	wrapped := fmt.Errorf("sending: %w", &freshmarketer.Error{Kind: freshmarketer.KindGone})
	for err, want := range map[error]freshmarketer.Kind{nil: "", io.EOF: freshmarketer.KindUnknown, wrapped: freshmarketer.KindGone} {
		if got := freshmarketer.KindOf(err); got != want {
			t.Errorf("KindOf(%v) = %q, want %q", err, got, want)
		}
	}
}

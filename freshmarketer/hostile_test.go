package freshmarketer_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
)

// What the calls below send and no error may repeat.
const (
	secretName    = "Oluwaseun Łukasz"
	secretAddress = "Mara.Okafor@harborlane.test"
	secretPlan    = "hidden-plan"
	secretUser    = "u-4711"
	secretCompany = "Harbor Lane Ltd"
	secretEvent   = "Secret Sale"
	secretNotes   = "call her at noon"
)

func secrets() []string {
	return []string{testKey, secretName, secretAddress, secretPlan, secretUser, secretCompany, secretEvent, secretNotes}
}

// allCalls is every call of the client, each carrying what it can of the secrets.
func allCalls() map[string]func(context.Context, *freshmarketer.Client) error {
	type client = freshmarketer.Client
	write := freshmarketer.ContactWrite{
		Fields: freshmarketer.Fields{"first_name": secretName, "email": secretAddress, "external_id": secretUser, "tags": []string{secretCompany}},
		Custom: freshmarketer.Fields{"cf_plan": secretPlan, "cf_kept": json.RawMessage(`"` + secretNotes + `"`)}, // one as it was read
	}
	account := freshmarketer.AccountWrite{Fields: freshmarketer.Fields{"city": secretName}, Custom: freshmarketer.Fields{"cf_plan": secretPlan}}
	rows := []freshmarketer.BulkRow{{Identifier: "email", Value: secretAddress, Write: write}, {Identifier: "external_id", Value: secretUser, Write: write}}
	activity := freshmarketer.Activity{Title: secretEvent, TypeID: "1", OwnerID: "1", ContactID: "1", Notes: secretNotes, Custom: freshmarketer.Fields{"cf_plan": secretPlan}}
	event := freshmarketer.Event{Email: secretAddress, Name: secretEvent, Properties: freshmarketer.Fields{"plan": secretPlan, "who": secretName}}
	return map[string]func(context.Context, *client) error{
		"upsert": func(ctx context.Context, c *client) error {
			return second(c.UpsertContact(ctx, "external_id", secretUser, write))
		},
		"create": func(ctx context.Context, c *client) error { return second(c.CreateContact(ctx, write)) },
		"update": func(ctx context.Context, c *client) error { return second(c.UpdateContact(ctx, "1", write)) },
		"get":    func(ctx context.Context, c *client) error { return second(c.GetContact(ctx, "1")) },
		"delete": func(ctx context.Context, c *client) error { return c.DeleteContact(ctx, "1") },
		"forget": func(ctx context.Context, c *client) error { return c.ForgetContact(ctx, "1") },
		"lookup": func(ctx context.Context, c *client) error {
			return second(c.LookupContacts(ctx, "email", secretAddress))
		},
		"bulk":  func(ctx context.Context, c *client) error { return second(c.BulkUpsert(ctx, rows)) },
		"job":   func(ctx context.Context, c *client) error { return second(c.JobStatus(ctx, "1", rows)) },
		"views": func(ctx context.Context, c *client) error { return second(c.ContactViews(ctx)) },
		"view": func(ctx context.Context, c *client) error {
			return second(c.ViewContacts(ctx, "1", freshmarketer.PageQuery{}))
		},
		"fields":   func(ctx context.Context, c *client) error { return second(c.ContactFields(ctx)) },
		"probe":    func(ctx context.Context, c *client) error { return c.Probe(ctx) },
		"selector": func(ctx context.Context, c *client) error { return second(c.Select(ctx, freshmarketer.SelectOwners)) },
		"account": func(ctx context.Context, c *client) error {
			return second(c.UpsertAccount(ctx, secretCompany, account))
		},
		"getaccount": func(ctx context.Context, c *client) error { return second(c.GetAccount(ctx, "1")) },
		"putaccount": func(ctx context.Context, c *client) error { return second(c.UpdateAccount(ctx, "1", account)) },
		"accfields":  func(ctx context.Context, c *client) error { return second(c.AccountFields(ctx)) },
		"activity":   func(ctx context.Context, c *client) error { return second(c.CreateActivity(ctx, activity)) },
		"activities": func(ctx context.Context, c *client) error { _, _, err := c.ListActivities(ctx, 1); return err },
		"event":      func(ctx context.Context, c *client) error { return c.SendEvent(ctx, event) },
	}
}

// bodiless calls take any 2xx for success, as nothing of its body matters: what they did is done.
func bodiless(name string) bool { return name == "delete" || name == "forget" || name == "event" }

// Whatever answers, every call ends in time with an error of its kind; none panics, and none takes junk for an answer.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"contact":`, 20_000)
	answers := map[string]struct {
		answer http.HandlerFunc
		junk   bool // a 2xx that calls without a body take for success
	}{
		"cut before the answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false},
		"cut inside the JSON":   {reply{200, nil, `{"contact":{"id":1,"em`}.ServeHTTP, true},
		"shorter than promised": {reply{200, map[string]string{"Content-Length": "999"}, `{"contact":{"id":1}}`}.ServeHTTP, false},
		"empty":                 {reply{200, nil, ``}.ServeHTTP, true},
		"204":                   {reply{204, nil, ``}.ServeHTTP, true},
		"not JSON":              {reply{200, nil, "\x00\xff\xfe"}.ServeHTTP, true},
		"null":                  {reply{200, nil, `null`}.ServeHTTP, true},
		"a number":              {reply{200, nil, `5`}.ServeHTTP, true},
		"a list":                {reply{200, nil, `[[],{},1]`}.ServeHTTP, true},
		"another type everywhere": {reply{200, nil, `{"contact":[],"contacts":"x","filters":5,"fields":{},"sales_account":true,"sales_activity":[1],
			"sales_activities":{},"users":7,"job_status_url":["x"],"status":{},"meta":"x"}`}.ServeHTTP, true},
		"types inside": {reply{200, nil, `{"contact":{"id":{}},"contacts":[{"id":[]}],"filters":[5],"fields":["x"],"sales_account":{"id":[]},
			"sales_activity":{"id":true},"sales_activities":[{"id":{}}],"users":["x"],"job_status_url":"x","status":"SUCCESS","data":"5"}`}.ServeHTTP, true},
		"deeper than any parser":      {reply{200, nil, deep}.ServeHTTP, true},
		"plain text that is JSON":     {reply{400, map[string]string{"Content-Type": "text/plain"}, `{"errors":{"message":{"message":[{"message":[5,null,"x"]}]}}}`}.ServeHTTP, false},
		"a page that says it is JSON": {reply{200, map[string]string{"Content-Type": "application/json"}, `<html>`}.ServeHTTP, false},
		"JSON that says it is a page": {reply{200, map[string]string{"Content-Type": "text/html"}, `x`}.ServeHTTP, false},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			block := []byte(strings.Repeat("[", 1<<16))
			for {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, false},
		"a bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for range 6 {
				if _, err := z.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
			_ = z.Close()
		}, false},
		"no gzip":        {reply{200, map[string]string{"Content-Encoding": "gzip"}, `{"contact":{"id":1}}`}.ServeHTTP, false},
		"redirect":       {reply{307, map[string]string{"Location": "https://evil.test/"}, ``}.ServeHTTP, false},
		"status 999":     {reply{999, nil, ``}.ServeHTTP, false},
		"a huge message": {reply{400, nil, `{"errors":{"message":"` + strings.Repeat("x", 1<<17) + `"}}`}.ServeHTTP, false},
	}
	for title, tt := range answers {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				tt.answer(w, r)
			})
			for name, call := range allCalls() {
				err := call(t.Context(), client)
				if tt.junk && bodiless(name) {
					continue
				}
				if e := new(freshmarketer.Error); !errors.As(err, &e) || e.Kind == "" || e.Op == "" || len([]rune(e.Text)) > 200 {
					t.Errorf("%s: got %#v", name, err)
				}
			}
		})
	}
}

// A server that never ends costs each call its timeout and no more.
func TestSlowAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, err := freshmarketer.New(freshmarketer.Config{
			BaseURL: sandboxtest.BaseURL, APIKey: testKey, Timeout: 3 * time.Second,
			HTTPClient: sandboxtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // lets the server see that the client goes away
				_, _ = io.WriteString(w, `{"contact":{`)
				for tick := time.NewTicker(time.Second); ; {
					_ = http.NewResponseController(w).Flush()
					select {
					case <-tick.C:
						_, _ = io.WriteString(w, " ")
					case <-r.Context().Done():
						tick.Stop()
						return
					}
				}
			})),
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, call := range allCalls() {
			start := time.Now()
			err := call(t.Context(), client)
			if e := new(freshmarketer.Error); !errors.As(err, &e) || e.Kind != freshmarketer.KindTemporary || !e.MayHaveEffect() || time.Since(start) != 3*time.Second {
				t.Errorf("%s: got %v after %s, want kind temporary after 3 s", name, err, time.Since(start))
			}
		}
	})
}

// The key goes to one host, whatever that host answers to whichever call.
func TestTheKeyStaysWhereItBelongs(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(trap.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler(trap.URL, status))
		t.Cleanup(server.Close)
		client, err := freshmarketer.New(freshmarketer.Config{BaseURL: server.URL, APIKey: testKey, Proxy: freshmarketer.ProxyNone})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.CloseIdleConnections)
		for name, call := range allCalls() {
			if err := call(t.Context(), client); freshmarketer.KindOf(err) != freshmarketer.KindMisrouted {
				t.Errorf("%d, %s: got %v, want kind misrouted", status, name, err)
			}
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d calls went elsewhere", n)
	}
}

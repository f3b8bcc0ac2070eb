package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

type object = map[string]any

func newBox(t *testing.T, opt sandbox.Options) *sandbox.Sandbox {
	t.Helper()
	box, err := sandbox.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	return box
}

// result is an answer as a test looks at it.
type result struct {
	status int
	header http.Header
	raw    string
	body   object // nil if the body is no JSON object
}

// contact is the contact object, empty if there is none.
func (r result) contact() object {
	c, _ := r.body["contact"].(object)
	return c
}

func (r result) id() string { return fmt.Sprintf("%.0f", r.contact()["id"]) }

func (r result) custom() object {
	c, _ := r.contact()["custom_field"].(object)
	return c
}

// messages are those of an error, joined.
func (r result) messages() string {
	errs, _ := r.body["errors"].(object)
	list, _ := errs["message"].([]any)
	texts := make([]string, len(list))
	for i, m := range list {
		texts[i] = fmt.Sprint(m)
	}
	return strings.Join(texts, "; ")
}

// send makes one call without a network; body is text as it is, anything else as JSON, nil none.
func send(t *testing.T, box *sandbox.Sandbox, method, path string, body any, edit ...func(*http.Request)) result {
	t.Helper()
	text, ok := body.(string)
	if !ok && body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(encoded)
	}
	r := httptest.NewRequest(method, path, strings.NewReader(text))
	r.Header.Set("Authorization", "Token token="+sandbox.DefaultAPIKey)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/json")
	for _, f := range edit {
		f(r)
	}
	w := httptest.NewRecorder()
	box.Handler().ServeHTTP(w, r)
	res := result{status: w.Code, header: w.Header(), raw: w.Body.String()}
	if json.Unmarshal(w.Body.Bytes(), &res.body) != nil {
		res.body = nil
	}
	return res
}

// api is send below the API's prefix.
func api(t *testing.T, box *sandbox.Sandbox, method, path string, body any, edit ...func(*http.Request)) result {
	t.Helper()
	return send(t, box, method, "/crm/sales/api/"+path, body, edit...)
}

// create makes a contact and fails the test if that is refused.
func create(t *testing.T, box *sandbox.Sandbox, fields object) result {
	t.Helper()
	res := api(t, box, "POST", "contacts", object{"contact": fields})
	if res.status != http.StatusOK {
		t.Fatalf("creating %v: %d %s", fields, res.status, res.raw)
	}
	return res
}

// clock is a time that tests move by hand. It is for tests with one goroutine.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 8, 9, 7, 22, 12, 0, time.UTC)} }

func (c *clock) Now() time.Time { return c.now }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }

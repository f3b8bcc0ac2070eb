package app

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer"
)

// Conformance is what an account answers to calls that only read, without what it says of anybody: names of keys, types of
// values, statuses. It is for comparing a real account with docs/assumptions.md.
type Conformance struct {
	Version string            `json:"version"` // of freshrelay
	At      time.Time         `json:"at"`
	Calls   []ConformanceCall `json:"calls"`
}

// ConformanceCall is one call of it.
type ConformanceCall struct {
	Question  string            `json:"question"`
	Operation string            `json:"operation"`
	Status    int               `json:"status"`            // 0: no answer
	Kind      string            `json:"kind"`              // what freshrelay takes it for: ok, or an error's kind
	Headers   map[string]string `json:"headers,omitempty"` // those that say something about the quota and the form
	Millis    int64             `json:"millis"`
	Shape     any               `json:"shape,omitempty"`
}

// nobody is an address and an id that no contact has.
const nobody = "nobody@freshrelay.invalid"

// question is one call that only reads.
type question struct {
	text string
	ask  func(ctx context.Context, c *freshmarketer.Client) error
}

func questions() []question {
	selector := func(which freshmarketer.Selector) func(context.Context, *freshmarketer.Client) error {
		return func(ctx context.Context, c *freshmarketer.Client) error { _, err := c.Select(ctx, which); return err }
	}
	list := []question{
		{"which views are there", func(ctx context.Context, c *freshmarketer.Client) error { return c.Probe(ctx) }},
		{"which fields have contacts", func(ctx context.Context, c *freshmarketer.Client) error { _, err := c.ContactFields(ctx); return err }},
		{"which fields have accounts", func(ctx context.Context, c *freshmarketer.Client) error { _, err := c.AccountFields(ctx); return err }},
		{"how is an address looked up that nobody has", func(ctx context.Context, c *freshmarketer.Client) error {
			_, err := c.LookupContacts(ctx, "email", nobody)
			return err
		}},
		{"how is an external id looked up that nobody has", func(ctx context.Context, c *freshmarketer.Client) error {
			_, err := c.LookupContacts(ctx, "external_id", nobody)
			return err
		}},
		{"what is answered for a contact that does not exist", func(ctx context.Context, c *freshmarketer.Client) error {
			_, err := c.GetContact(ctx, "1")
			return err
		}},
		{"what does a contact look like in a view", oneOfAll},
	}
	for _, which := range []freshmarketer.Selector{freshmarketer.SelectLifecycleStages, freshmarketer.SelectActivityTypes, freshmarketer.SelectLeadSources} {
		list = append(list, question{"what does the list of " + strings.ReplaceAll(string(which), "_", " ") + " look like", selector(which)})
	}
	return list
}

// oneOfAll reads one contact of the view that has all.
func oneOfAll(ctx context.Context, c *freshmarketer.Client) error {
	views, err := c.ContactViews(ctx)
	if err != nil {
		return err
	}
	all, found := freshmarketer.FindView(views, freshmarketer.AllContacts)
	if !found {
		return errors.New("there is no view " + freshmarketer.AllContacts)
	}
	_, err = c.ViewContacts(ctx, all.ID, freshmarketer.PageQuery{PerPage: 1})
	return err
}

// Record asks an account what only reads, about a dozen API calls, and notes the form of the answers. Errors are those of the
// configuration: what the account answers is what is wanted, whatever it is.
func Record(ctx context.Context, o CheckOptions) (Conformance, error) {
	out := Conformance{Version: o.Version, At: time.Now().UTC(), Calls: []ConformanceCall{}}
	cfg, err := config.Load(o.Config)
	if err != nil {
		return out, err
	}
	var call *ConformanceCall
	client, err := newClient(cfg.Freshmarketer, freshmarketer.Config{
		UserAgent: "freshrelay/" + o.Version,
		OnCall: func(op string, status int, took time.Duration) {
			call.Operation, call.Status, call.Millis = op, status, took.Milliseconds()
		},
		OnAnswer: func(_ string, _ int, header http.Header, body []byte) {
			call.Headers, call.Shape = telling(header), freshmarketer.Shape(body)
		},
	})
	if err != nil {
		return out, err
	}
	defer client.CloseIdleConnections()
	for _, q := range questions() {
		call = &ConformanceCall{Question: q.text, Kind: "ok"}
		if err := q.ask(ctx, client); err != nil {
			call.Kind = string(freshmarketer.KindOf(err))
		}
		if ctx.Err() != nil {
			return out, context.Cause(ctx)
		}
		out.Calls = append(out.Calls, *call)
	}
	return out, nil
}

// telling are the headers that say how an account answers and nothing about who it is.
func telling(h http.Header) map[string]string {
	out := map[string]string{}
	for name := range h {
		lower := strings.ToLower(name)
		if slices.Contains([]string{"content-type", "retry-after", "content-encoding"}, lower) || strings.HasPrefix(lower, "x-ratelimit") {
			out[name] = h.Get(name)
		}
	}
	return out
}

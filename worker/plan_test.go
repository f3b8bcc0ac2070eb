package worker_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
	"github.com/freshrelay/freshrelay/worker"
)

// wiretap notes all requests about contacts, accounts and activities, reading ones too.
type wiretap struct {
	next     http.RoundTripper
	requests []string
}

func (w *wiretap) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if path := r.URL.Path; !strings.Contains(path, "/settings/") && !strings.Contains(path, "/selector/") && !strings.HasSuffix(path, "/filters") {
		if strings.Contains(path, "/marketer/") {
			r.URL.RawQuery, _, _ = strings.Cut(r.URL.RawQuery, "?")
			w.requests = append(w.requests, flat(r.Method, path, body))
		} else {
			w.requests = append(w.requests, flat(r.Method, strings.TrimPrefix(r.URL.RequestURI(), "/crm/sales/api"), body))
		}
	}
	return w.next.RoundTrip(r)
}

// flat is a request as one line, whatever the order of its query and its body.
func flat(method, path string, body []byte) string {
	path, query, _ := strings.Cut(path, "?")
	q, _ := url.ParseQuery(query)
	line := method + " " + path + "?" + q.Encode()
	var v any
	if json.Unmarshal(body, &v) == nil && v != nil {
		b, _ := json.Marshal(v)
		line += " " + string(b)
	}
	return line
}

func flatten(t *testing.T, list []mapping.Request) []string {
	t.Helper()
	lines := []string{}
	for _, r := range list {
		body, err := json.Marshal(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, flat(r.Method, r.Path, body))
	}
	return lines
}

// foretold is a call of a type, what has come before it, and what becomes of its entries: of each, outcome and reason.
type foretold struct {
	given  []func(r *rig)
	call   func(r *rig) []queue.Entry
	want   []string
	events bool // track calls become events
	// again is made besides what is explained, because calls that have waited for another mode are read anew by the start.
	again string
	set   func(r *rig)
}

func one(e queue.Entry) []queue.Entry { return []queue.Entry{e} }

func knows(user string) func(*rig) {
	return func(r *rig) {
		r.publish(r.identify(user, map[string]any{"city": "Ulm"}))
		r.drain(time.Minute)
	}
}

func theForetold() map[string]foretold {
	identify := func(user string, traits map[string]any) func(*rig) []queue.Entry {
		return func(r *rig) []queue.Entry { return one(r.identify(user, traits)) }
	}
	group := func(user, company string, traits map[string]any) func(*rig) []queue.Entry {
		return func(r *rig) []queue.Entry { return r.group(user, company, traits) }
	}
	alias := func(previous, user string) func(*rig) []queue.Entry {
		return func(r *rig) []queue.Entry { return r.alias(previous, user) }
	}
	erased := func(user string) func(*rig) {
		return func(r *rig) { r.publish(r.forget(user, false)); r.drain(time.Hour) }
	}
	return map[string]foretold{
		"identify, a new contact":   {call: identify("ann", map[string]any{"city": "Bonn"}), want: []string{"identify delivered"}},
		"identify, a known contact": {given: []func(*rig){knows("ann")}, call: identify("ann", map[string]any{"city": "Bonn"}), want: []string{"identify delivered"}},
		"identify, nothing new":     {given: []func(*rig){knows("ann")}, call: identify("ann", map[string]any{"city": "Ulm"}), want: []string{"identify delivered"}},
		"identify, no address":      {call: identify("ann", map[string]any{"email": nil}), want: []string{"identify discarded missing_email"}},
		"identify, of an erased":    {given: []func(*rig){knows("ann"), erased("ann")}, call: identify("ann", nil), want: []string{"identify discarded suppressed"}},
		"group": {
			given: []func(*rig){knows("ann")}, call: group("ann", "g1", map[string]any{"name": "Acme", "employees": 4}),
			want: []string{"account delivered", "group delivered"},
		},
		"group, without a name": {
			given: []func(*rig){knows("ann")}, call: group("ann", "g1", nil),
			want: []string{"account discarded missing_group_name", "group discarded no_account"},
		},
		"group, no contact yet": {call: group("ann", "g1", map[string]any{"name": "Acme"}), want: []string{"account delivered", "group discarded no_contact_yet"}},
		"group, nobody":         {call: group("", "g1", map[string]any{"name": "Acme"}), want: []string{"account delivered"}},
		"group, no company":     {given: []func(*rig){knows("ann")}, call: group("ann", "", nil), want: []string{"group discarded missing_group_id"}},
		"group, nothing new": {
			given: []func(*rig){knows("ann"), func(r *rig) { r.publish(r.group("ann", "g1", map[string]any{"name": "Acme"})...); r.drain(time.Minute) }},
			call:  group("ann", "g1", map[string]any{"name": "Acme"}), want: []string{"account delivered", "group delivered"},
			again: "GET /contacts/ID?include=sales_accounts",
		},
		"alias": {given: []func(*rig){knows("old")}, call: alias("old", "new"), want: []string{"alias_previous delivered", "alias delivered"}},
		"alias, both have a contact": {
			given: []func(*rig){knows("old"), knows("new")}, call: alias("old", "new"), want: []string{"alias_previous delivered", "alias dead alias_conflict"},
		},
		"alias, of nobody":       {given: []func(*rig){knows("new")}, call: alias("old", "new"), want: []string{"alias_previous discarded unknown_previous", "alias discarded unknown_previous"}},
		"alias, of one alone":    {call: alias("", "new"), want: []string{"alias discarded missing_previous_id"}},
		"alias, of an erased":    {given: []func(*rig){knows("new"), erased("new")}, call: alias("old", "new"), want: []string{"alias_previous discarded unknown_previous", "alias discarded suppressed"}},
		"alias, not heard":       {set: func(r *rig) { r.mapping.Aliases = false }, call: func(r *rig) []queue.Entry { return r.alias("old", "new")[1:] }, want: []string{"alias discarded not_forwarded"}},
		"delete":                 {given: []func(*rig){knows("ann")}, call: func(r *rig) []queue.Entry { return one(r.webhookDelete("ann")) }, want: []string{"delete delivered"}},
		"delete, to the bin":     {set: func(r *rig) { r.deletion.RecycleBin = true }, given: []func(*rig){knows("ann")}, call: func(r *rig) []queue.Entry { return one(r.webhookDelete("ann")) }, want: []string{"delete delivered"}},
		"delete, nobody":         {again: "GET /lookup?entities=contact&f=external_id&q=ann", call: func(r *rig) []queue.Entry { return one(r.webhookDelete("ann")) }, want: []string{"delete delivered"}},
		"delete, not heard":      {set: func(r *rig) { r.deletion.Webhooks = false }, given: []func(*rig){knows("ann")}, call: func(r *rig) []queue.Entry { return one(r.webhookDelete("ann")) }, want: []string{"delete discarded not_forwarded"}},
		"undo":                   {given: []func(*rig){knows("ann"), erased("ann")}, call: func(r *rig) []queue.Entry { return one(r.forget("ann", true)) }, want: []string{"delete delivered"}},
		"track":                  {given: []func(*rig){knows("ann")}, call: func(r *rig) []queue.Entry { return one(r.track("ann", "A", map[string]any{"total": 9})) }, want: []string{"track delivered"}},
		"track, no contact":      {call: func(r *rig) []queue.Entry { return one(r.track("ann", "A", nil)) }, want: []string{"track discarded unknown_contact"}},
		"track, nobody":          {call: func(r *rig) []queue.Entry { return one(r.track("", "A", nil)) }, want: []string{"track discarded missing_user_id"}},
		"track, as an event":     {events: true, given: []func(*rig){knows("ann")}, call: func(r *rig) []queue.Entry { return one(r.track("ann", "A", map[string]any{"total": 9})) }, want: []string{"track delivered"}},
		"page":                   {given: []func(*rig){knows("ann")}, call: func(r *rig) []queue.Entry { return one(r.page("ann", "Home")) }, want: []string{"page delivered"}},
		"page, of an erased one": {given: []func(*rig){knows("ann"), erased("ann")}, call: func(r *rig) []queue.Entry { return one(r.page("ann", "Home")) }, want: []string{"page discarded suppressed"}},
	}
}

// said is what a preview, or the journal, says of an entry.
type said struct {
	what string   // type, outcome, reason
	ops  []string // of the API calls
}

func saying(typ, outcome, reason string) string {
	return strings.TrimSpace(typ + " " + outcome + " " + reason)
}

func whats(list []said) (out []string) {
	for _, s := range list {
		out = append(out, s.what)
	}
	return out
}

// received are the calls as the door has stored them.
func (r *rig) received(entries []queue.Entry) []segment.Received {
	r.t.Helper()
	list := make([]segment.Received, len(entries))
	for i, e := range entries {
		var err error
		if list[i], err = segment.Decode(e.Data); err != nil {
			r.t.Fatal(err)
		}
	}
	return list
}

// explain has the call explained, and its requests.
func (r *rig) explain(body []byte) (list []said, requests []string) {
	r.t.Helper()
	explanations, err := r.pool.Explain(r.t.Context(), "website", [][]byte{body})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, x := range explanations {
		list = append(list, said{what: saying(x.Type, x.Outcome, string(x.Reason))})
		if requests = append(requests, flatten(r.t, x.Requests)...); x.Outcome == queue.Delivered && len(x.Requests) == 0 && x.Note == "" {
			r.t.Errorf("%s: neither requests nor why there are none", x.Type)
		}
	}
	return list, requests
}

// dryRun has the entries looked at as if they were dead letters, and the requests that would write.
func (r *rig) dryRun(entries []queue.Entry) (list []said, writes []string) {
	r.t.Helper()
	var letters []queue.Letter
	for i, call := range r.received(entries) {
		letters = append(letters, queue.Letter{
			ID: call.MessageID, User: r.store.User(call.Lane()), Position: 1<<40 + uint64(i), MessageID: call.MessageID, Type: string(call.Type),
			Source: call.Source, Reason: worker.ReasonInvalid, Event: entries[i].Data, Activity: entries[i].Activity,
		})
	}
	previews, err := r.pool.Preview(r.t.Context(), letters, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, p := range previews {
		list = append(list, said{what: saying(p.Letter.Type, p.Outcome, p.Reason)})
		for _, q := range p.Requests {
			writes = append(writes, flat(q.Method, strings.TrimPrefix(q.Path, "/crm/sales/api"), q.Body))
		}
	}
	return list, writes
}

// journaled is what the journal says of entries: observed, or done.
func (r *rig) journaled(entries []queue.Entry, observed bool) []said {
	r.t.Helper()
	var list []said
	for _, call := range r.received(entries) {
		for _, e := range r.lines(call.MessageID) {
			if e.Type != string(call.Type) || (e.Outcome == "observed") != observed {
				continue
			}
			s := said{what: saying(e.Type, e.Outcome, e.Reason), ops: e.Planned}
			if !observed {
				s.ops = nil
				for _, c := range e.Calls {
					s.ops = append(s.ops, c.Operation)
				}
			} else if len(e.Planned) == 0 && e.Reason == "" && e.Note == "" {
				r.t.Errorf("%s: the journal says nothing of what would be done", e.Type)
			}
			list = append(list, s)
		}
	}
	return list
}

// noIDs replaces ids, which a plan does not know of what is yet to be made, and the marker of an activity.
func noIDs(lines []string) []string {
	ids, marker := regexp.MustCompile(`"?(\d{6,}|…)"?`), regexp.MustCompile(`(\\n)?freshrelay-[a-z2-7]+`)
	out := []string{}
	for _, line := range lines {
		out = append(out, ids.ReplaceAllString(marker.ReplaceAllString(line, ""), "ID"))
	}
	return out
}

// TestWhatIsForetoldIsWhatIsDone: for each type of call, what mapping explain says, what a dry run says, what is journaled and counted
// while nothing is written, and then what is done: outcome, reason and requests are the same.
func TestWhatIsForetoldIsWhatIsDone(t *testing.T) {
	for name, c := range theForetold() {
		bubbleNamed(t, name, sandbox.Options{}, func(t *testing.T, r *rig) {
			w := &wiretap{next: r.api.HTTPClient.Transport}
			r.api.HTTPClient = &http.Client{Transport: w}
			r.mapping.Accounts, r.mapping.Aliases, r.deletion.Webhooks = true, true, true
			r.forward = func(string, segment.Type, string) bool { return true }
			if r.activities = asActivities(t); c.events {
				r.activities = mapping.Activities{As: mapping.AsEvent}
			}
			if c.set != nil {
				c.set(r)
			}
			r.restart()
			for _, given := range c.given {
				given(r)
			}
			time.Sleep(time.Hour) // lookups show everything
			entries := c.call(r)
			own := r.received(entries)[len(entries)-1]

			var requests []string
			explained := own.Source != worker.SourceOperator
			if explained {
				var list []said
				if list, requests = r.explain(own.Body); !slices.Equal(whats(list), c.want) {
					t.Errorf("explained %q, want %q", whats(list), c.want)
				}
			}
			list, writes := r.dryRun(entries)
			if !slices.Equal(whats(list), c.want) {
				t.Errorf("dry run %q, want %q", whats(list), c.want)
			}

			r.inMode(worker.Mode{Name: worker.ModeObserve, ObserveFor: 24 * time.Hour})
			r.publish(entries...)
			time.Sleep(2 * time.Minute)
			observed := r.journaled(entries, true)
			for i, s := range observed {
				if want := strings.Replace(strings.Replace(strings.Replace(c.want[i], " delivered", " observed", 1), " discarded", " observed", 1), " dead", " observed", 1); s.what != want {
					t.Errorf("observed %q, want %q", s.what, want)
				}
			}
			forecast, err := r.pool.Forecast(t.Context())
			if err != nil {
				t.Fatal(err)
			}

			w.requests = nil
			r.inMode(worker.Mode{})
			r.drain(time.Hour)
			done := r.journaled(entries, false)
			if !slices.Equal(whats(done), c.want) || len(observed) != len(done) {
				t.Fatalf("done %q, want %q, observed %q", whats(done), c.want, whats(observed))
			}
			for i := range done {
				ops := observed[i].ops
				if strings.HasPrefix(c.again, "GET /lookup") { // looked up twice, in two turns
					ops = ops[:1]
				}
				if !slices.Equal(done[i].ops, ops) {
					t.Errorf("%s: observed as %q, done as %q", c.want[i], observed[i].ops, done[i].ops)
				}
			}
			made := noIDs(w.requests)
			told := noIDs(requests)
			if c.again != "" {
				told = append(told, c.again)
			}
			if diff := cmp.Diff(told, made); explained && diff != "" {
				t.Errorf("(-explained +done)\n%s", diff)
			}
			made = slices.DeleteFunc(made, func(line string) bool { return strings.HasPrefix(line, http.MethodGet) })
			if diff := cmp.Diff(noIDs(writes), made); diff != "" {
				t.Errorf("(-dry run +done)\n%s", diff)
			}
			if forecast.Requests != len(w.requests) && len(forecast.Dead) == 0 {
				t.Errorf("%d requests were foreseen, %d made", forecast.Requests, len(w.requests))
			}
		})
	}
}

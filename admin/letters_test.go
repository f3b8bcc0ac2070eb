package admin

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/replay"
)

func TestLetterList(t *testing.T) {
	t.Parallel()
	s := newService(t)
	if got := s.ask(t, "GET", "/api/letters", "").Body.String(); got != `{"letters":[],"total":0}`+"\n" {
		t.Errorf("no letters: %s", got)
	}
	s.store.list = []queue.Letter{aLetter(1, "invalid"), aLetter(2, "exhausted")}
	got := read[LetterList](t, s, "GET", "/api/letters?reason=exhausted&user_id=ada&type=identify&source=website&limit=7&offset=3", "", 200)
	if got.Total != 1 || len(got.Letters) != 1 || got.Letters[0].ID != "user.2" {
		t.Errorf("%+v", got)
	}
	want := queue.LetterQuery{LetterFilter: queue.LetterFilter{Reason: "exhausted", User: "hash-of-ada", Type: "identify", Source: "website"}, Limit: 7, Offset: 3}
	if diff := cmp.Diff(want, s.store.query); diff != "" {
		t.Error(diff)
	}
	read[LetterList](t, s, "GET", "/api/letters?user=token", "", 200)
	if want := (queue.LetterQuery{LetterFilter: queue.LetterFilter{User: "token"}, Limit: 100}); s.store.query != want {
		t.Errorf("%+v", s.store.query)
	}
}

// TestLetterListKeys: the design fixes how a letter looks in -o json.
func TestLetterListKeys(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.store.list = []queue.Letter{aLetter(1, "invalid")}
	list := read[struct{ Letters []map[string]any }](t, s, "GET", "/api/letters", "", 200)
	for _, key := range []string{
		"id", "user", "message_id", "type", "reason", "field", "status", "attempts", "first_try", "last_try", "error",
	} {
		if _, ok := list.Letters[0][key]; !ok {
			t.Errorf("no %s in %v", key, list.Letters[0])
		}
	}
}

func TestLetterView(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.store.list = []queue.Letter{aLetter(1, "email_conflict")}
	got := read[LetterView](t, s, "GET", "/api/letters/user.1", "", 200)
	if got.ID != "user.1" || got.Surface != "tracking" || !got.ReceivedAt.Equal(time.Unix(99, 0)) || !got.Masked {
		t.Errorf("%+v", got)
	}
	if want := Advise(AboutDead, "email_conflict"); got.Meaning != want.Meaning || got.WhatToDo != strings.ReplaceAll(want.Mend, "<id>", "user.1") {
		t.Errorf("advice: %q %q", got.Meaning, got.WhatToDo)
	}
	masked := `{"type":"identify","userId":"<string>","messageId":"m","traits":{"email":"<string>","age":"<number>"}}`
	if string(got.Event) != masked {
		t.Errorf("masked: %s", got.Event)
	}
	if body := s.ask(t, "GET", "/api/letters/user.1", "").Body.String(); strings.Contains(body, "ada@example.com") {
		t.Errorf("shown without being asked for: %s", body)
	}
	got = read[LetterView](t, s, "GET", "/api/letters/user.1?reveal=true", "", 200)
	if got.Masked || !strings.Contains(string(got.Event), "ada@example.com") {
		t.Errorf("not revealed: %s", got.Event)
	}
	if got = read[LetterView](t, s, "GET", "/api/letters/user.1?reveal=false", "", 200); !got.Masked {
		t.Error("reveal=false reveals")
	}
}

func TestUnreadableLetter(t *testing.T) {
	t.Parallel()
	s := newService(t)
	l := aLetter(1, "unreadable")
	for name, stored := range map[string]string{"no header": "zoe@example.com", "empty": "", "broken body": `{"v":1}` + "\n{zoe"} {
		l.Event = []byte(stored)
		s.store.list = []queue.Letter{l}
		body := s.ask(t, "GET", "/api/letters/user.1", "").Body.String()
		if !strings.Contains(body, `"event":null`) || strings.Contains(body, "zoe") || strings.Contains(body, "raw") {
			t.Errorf("%s: %s", name, body)
		}
		if v := read[LetterView](t, s, "GET", "/api/letters/user.1?reveal=true", "", 200); string(v.Raw) != stored {
			t.Errorf("%s: raw = %q", name, v.Raw)
		}
	}
}

// TestReplay: a replay is counted, written down and begun, in this order.
func TestReplay(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body   string
		want   replay.Job
		audits []queue.AuditEntry
	}{
		"ids": {
			`{"ids":["user.3","user.1","user.3"]}`,
			replay.Job{Action: "replay", IDs: []string{"user.1", "user.3"}},
			[]queue.AuditEntry{{Action: "replay", Count: 2, Detail: "user.1, user.3"}},
		},
		"filter": {
			`{"filter":{"reason":"exhausted","user_id":"ada"}}`,
			replay.Job{Action: "replay", Filter: queue.LetterFilter{Reason: "exhausted", User: "user"}},
			[]queue.AuditEntry{{Action: "replay", Count: 1, Detail: "reason exhausted, user user"}},
		},
		"all, edited": {
			`{"all":true,"edits":[{"path":"traits.plan","value":"Gold"}]}`,
			replay.Job{Action: "replay", Edits: []queue.Edit{{Path: "traits.plan", Value: json.RawMessage(`"Gold"`)}}},
			[]queue.AuditEntry{{Action: "set", Count: 3, Detail: "paths traits.plan; all letters"}, {Action: "replay", Count: 3, Detail: "all letters"}},
		},
		"discard": {
			`{"all":true,"action":"discard","note":"old tests"}`,
			replay.Job{Action: "discard", Reason: "by_operator"},
			[]queue.AuditEntry{{Action: "discard", Count: 3, Detail: "all letters; note: old tests"}},
		},
	} {
		s := newService(t, func(c *Config) { c.User = func(string) string { return "user" } })
		s.store.list = []queue.Letter{aLetter(1, "invalid"), aLetter(2, "exhausted"), aLetter(3, "invalid")}
		read[Replay](t, s, "POST", "/api/replays", tt.body, 200)
		tt.want.Actor = "unknown"
		for i := range tt.audits {
			tt.audits[i].Actor = "unknown"
		}
		if diff := cmp.Diff([]replay.Job{tt.want}, s.store.jobs); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if diff := cmp.Diff(tt.audits, s.store.audits); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestNothingIsDoneThatCannotBeWrittenDown: without an audit log there is no replay and no look at anybody's data.
func TestNothingIsDoneThatCannotBeWrittenDown(t *testing.T) {
	t.Parallel()
	deaf := &brokenAudit{}
	s := newService(t, func(c *Config) { c.AuditLog = deaf })
	s.store.list = []queue.Letter{aLetter(1, "invalid")}
	for _, request := range [][3]string{
		{"POST", "/api/replays", `{"all":true}`},
		{"GET", "/api/letters/user.1?reveal=true", ""},
		{"GET", "/api/letters/export", ""},
		{"POST", "/api/letters/preview", `{"all":true,"reveal":true}`},
		{"POST", "/api/replays/7/stop", ""},
	} {
		if w := s.ask(t, request[0], request[1], request[2]); w.Code != 503 || strings.Contains(w.Body.String(), "ada@") {
			t.Errorf("%s answers %d: %s", request[1], w.Code, w.Body)
		}
	}
	if len(s.store.jobs) != 0 {
		t.Errorf("%+v", s.store.jobs)
	}
}

type brokenAudit struct{}

func (*brokenAudit) Audit(context.Context, queue.AuditEntry) error { return queue.ErrUnavailable }

func (*brokenAudit) AuditLog(context.Context, uint64, int) ([]queue.AuditEntry, error) {
	return nil, queue.ErrUnavailable
}

func TestCountPreviewAndGroups(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.store.list = []queue.Letter{aLetter(1, "invalid"), aLetter(2, "exhausted")}
	counted := read[Counted](t, s, "POST", "/api/letters/count", `{"ids":["user.1","gone.7"]}`, 200)
	if diff := cmp.Diff(Counted{Count: 1, Groups: []queue.LetterGroup{}, Missing: []string{"gone.7"}}, counted); diff != "" {
		t.Error(diff)
	}
	if counted = read[Counted](t, s, "POST", "/api/letters/count", `{"all":true}`, 200); counted.Count != 2 || len(counted.Groups) != 2 {
		t.Errorf("%+v", counted)
	}
	if groups := read[GroupList](t, s, "GET", "/api/letters/groups?reason=invalid", "", 200); groups.Total != 1 {
		t.Errorf("%+v", groups)
	}
	got := read[PreviewList](t, s, "POST", "/api/letters/preview", `{"all":true,"edits":[{"path":"traits.a","value":1}]}`, 200)
	if !got.Masked || got.Total != 2 || string(got.Previews[0].Requests[0].Body) != `{"contact":{"email":"<string>"}}` || len(s.store.edits) != 1 || len(s.store.audits) != 0 {
		t.Errorf("%+v", got)
	}
	got = read[PreviewList](t, s, "POST", "/api/letters/preview", `{"all":true,"reveal":true}`, 200)
	if got.Masked || !strings.Contains(string(got.Previews[0].Requests[0].Body), "ada@") || len(s.store.audits) != 1 {
		t.Errorf("%+v %+v", got, s.store.audits)
	}
}

// TestImportFromElsewhere: in another store a user has another token, and a position means nothing.
func TestImportFromElsewhere(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.store.list = []queue.Letter{aLetter(1, "invalid")}
	page := read[Export](t, s, "GET", "/api/letters/export", "", 200)
	here, err := json.Marshal(ImportRequest{Letters: page.Letters})
	if err != nil {
		t.Fatal(err)
	}
	read[Imported](t, s, "POST", "/api/letters/import", string(here), 200)
	read[Imported](t, s, "POST", "/api/letters/import", strings.ReplaceAll(string(here), "this-store", "another"), 200)
	there := s.store.list[0]
	there.User, there.Position = "hash-of-ada", 0
	if diff := cmp.Diff([]queue.Letter{s.store.list[0], there}, s.store.imported); diff != "" {
		t.Error(diff)
	}
	read[Problem](t, s, "POST", "/api/letters/import", `{"letters":[{"reason":"invalid","first_try":"2026-01-01T00:00:00Z","stored":"x"}]}`, 400)
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.store.journal = []queue.JournalEntry{
		{At: time.Unix(100, 0).UTC(), MessageID: "m", Outcome: "dead", Reason: "exhausted"},
		{At: time.Unix(200, 0).UTC(), MessageID: "m", Outcome: "delivered", Fields: []queue.JournalField{{Field: "city", Action: "set"}}},
		{At: time.Unix(200, 0).UTC(), MessageID: "other", Outcome: "delivered"},
	}
	if got := read[EventList](t, s, "GET", "/api/events?message_id=m", "", 200); len(got.Events) != 2 {
		t.Errorf("%+v", got)
	}
	got := read[EventList](t, s, "GET", "/api/events?message_id=m&since="+time.Unix(150, 0).UTC().Format(time.RFC3339Nano), "", 200)
	if diff := cmp.Diff(s.store.journal[1:2], got.Events); diff != "" {
		t.Error(diff)
	}
	if body := s.ask(t, "GET", "/api/events?message_id=nobody", "").Body.String(); body != `{"events":[]}`+"\n" {
		t.Errorf("not settled yet: %s", body)
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"type":"identify","traits":{"email":"a@b.c","n":1.50,"ok":true,"none":null,"empty":""}}`: `{"type":"identify","traits":{"email":"<string>","n":"<number>","ok":"<boolean>","none":null,"empty":""}}`,
		`{"traits":{"address":{"city":"Porto"},"tags":["a",{"b":"c"},null,2]}}`:                    `{"traits":{"address":{"city":"<string>"},"tags":["<string>",{"b":"<string>"},null,"<number>"]}}`,
		`{"timestamp":"2026-01-01T00:00:00Z","messageId":"m","anonymousId":"x","userId":7}`:        `{"timestamp":"2026-01-01T00:00:00Z","messageId":"m","anonymousId":"<string>","userId":"<number>"}`,
		`{"context":{"library":{"name":"node","version":"1"},"ip":"1.2.3.4","type":"x"}}`:          `{"context":{"library":{"name":"node","version":"1"},"ip":"<string>","type":"<string>"}}`,
		`{"traits":{"ada@example.com":1,"type":"x","library":{"name":"y"}}}`:                       `{"traits":{"<key>":"<number>","type":"<string>","library":{"name":"<string>"}}}`,
		` { "type" : "page" , "a" : [ ] } `:                                                        `{"type":"page","a":[]}`,
		`{"type":{"email":"a@b.c"}}`:                                                               `{"type":{"email":"<string>"}}`,
		`{"type":["a@b.c"]}`:                                                                       `{"type":["<string>"]}`,
		``:                                                                                         `null`,
	} {
		if got := string(Mask([]byte(in))); got != want {
			t.Errorf("Mask(%s)\n got %s\nwant %s", in, got, want)
		}
	}
}

// FuzzMask: whatever JSON comes, JSON goes out, and no value of a trait is in it.
func FuzzMask(f *testing.F) {
	f.Add(`{"traits":{"email":"SECRET","x":["SECRET",{"SECRET":1}]}}`)
	f.Add(`{"context":{"traits":{"a":"SECRET"}},"properties":["SECRET"]}`)
	f.Fuzz(func(t *testing.T, event string) {
		if !json.Valid([]byte(event)) {
			return
		}
		masked := Mask([]byte(`{"traits":{"a":` + event + `}}`))
		if !json.Valid(masked) {
			t.Fatalf("%s becomes %s", event, masked)
		}
		var values any
		if err := json.Unmarshal(masked, &values); err != nil {
			t.Fatal(err)
		}
		checkMasked(t, values)
	})
}

func checkMasked(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for _, below := range v {
			checkMasked(t, below)
		}
	case []any:
		for _, below := range v {
			checkMasked(t, below)
		}
	case nil:
	default:
		if !slices.Contains([]any{"<string>", "<number>", "<boolean>", ""}, v) {
			t.Errorf("a value got through: %v", v)
		}
	}
}

package admin

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/queue"
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

func TestLookup(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.store.list = []queue.Letter{aLetter(1, "invalid"), aLetter(2, "invalid")}
	got := read[LetterList](t, s, "POST", "/api/letters/lookup", `{"ids":["user.2","user.9"]}`, 200)
	if got.Total != 1 || got.Letters[0].ID != "user.2" {
		t.Errorf("%+v", got)
	}
	s.store.failing = queue.ErrUnavailable
	read[Problem](t, s, "POST", "/api/letters/lookup", `{"ids":["user.2"]}`, 503)
}

func TestReplay(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body    string
		count   int
		missing []string
		want    [][]string
	}{
		"ids":           {`{"ids":["user.3","user.1","user.3","gone.7"]}`, 2, []string{"gone.7"}, [][]string{{"user.1", "user.3"}}},
		"reason":        {`{"reason":"exhausted"}`, 1, nil, [][]string{{"user.2"}}},
		"unused reason": {`{"reason":"never"}`, 0, nil, nil},
		"all":           {`{"all":true}`, 3, nil, [][]string{{"user.1", "user.2", "user.3"}}},
		"dry run":       {`{"all":true,"dry_run":true}`, 3, nil, nil},
	} {
		s := newService(t)
		s.store.list = []queue.Letter{aLetter(1, "invalid"), aLetter(2, "exhausted"), aLetter(3, "invalid")}
		got := read[ReplayAnswer](t, s, "POST", "/api/letters/replay", tt.body, 200)
		dry := strings.Contains(tt.body, "dry_run")
		if got.Count != tt.count || got.Queued == dry || (len(got.Letters) == 0) != (dry || tt.count == 0) {
			t.Errorf("%s: %+v", name, got)
		}
		if !slices.Equal(got.Missing, tt.missing) || got.Missing == nil {
			t.Errorf("%s: missing = %v, want %v", name, got.Missing, tt.missing)
		}
		if diff := cmp.Diff(tt.want, s.store.replayed); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestReplayInChunks(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for i := range replayChunk + 3 {
		s.store.list = append(s.store.list, aLetter(i, "invalid"))
	}
	got := read[ReplayAnswer](t, s, "POST", "/api/letters/replay", `{"all":true}`, 200)
	if got.Count != replayChunk+3 || len(s.store.replayed) != 2 || len(s.store.replayed[0]) != replayChunk || len(s.store.replayed[1]) != 3 {
		t.Errorf("%d letters in %d chunks", got.Count, len(s.store.replayed))
	}
	s.store.replayed, s.store.failAt = nil, 2
	p := read[Problem](t, s, "POST", "/api/letters/replay", `{"all":true}`, 503)
	if !strings.Contains(p.Error, "only 500 of 503") || !strings.Contains(p.Mend, "twice") {
		t.Errorf("a replay that stopped half-way: %+v", p)
	}
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

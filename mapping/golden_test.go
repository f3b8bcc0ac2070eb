package mapping

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/segment"
)

// The cases are text files that can be read and added to without Go; testdata/golden/README.md says how.
var update = flag.Bool("update", false, "rewrite what the golden cases want")

func TestGolden(t *testing.T) {
	t.Parallel()
	playFiles(t, "testdata/golden", 120, playGolden)
}

// playFiles plays every case of a folder, of which there are at least so many, and compares what comes of it with the file.
func playFiles(t *testing.T, dir string, least int, play func(t *testing.T, text string) string) {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < least {
		t.Fatalf("%d cases in %s, want at least %d", len(files), dir, least)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			had, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(had))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(had), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("differs (-file +played); go test ./mapping -run Golden -update rewrites the file\n%s", diff)
			}
		})
	}
}

// section is a part of a case: "-- name --" and the lines below it. The first has no name: it says what the case is about.
type section struct{ name, text string }

func sections(text string) []section {
	list := []section{{}}
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "-- "); ok {
			name, _, _ = strings.Cut(name, " --")
			list = append(list, section{name: name})
			continue
		}
		list[len(list)-1].text += line
	}
	return list
}

type goldenSetup struct {
	Catalogue string          `json:"catalogue"`
	Contact   string          `json:"contact"` // id of a contact that is known from the start
	Record    json.RawMessage `json:"record"`  // a stored record, instead
	Now       time.Time       `json:"now"`
	Accounts  bool            `json:"accounts"` // group calls are forwarded
	Aliases   bool            `json:"aliases"`  // alias calls are forwarded; those of a case are their previousId's half
	Company   bool            `json:"company"`  // the calls are those of a company's lane; the record is its own
	Options   struct {
		MissingTraits MissingTraits     `json:"missing_traits"`
		StrictLabels  bool              `json:"strict_labels"`
		ResendAfter   string            `json:"resend_after"`
		Traits        map[string]string `json:"traits"`
		Match         map[string]bool   `json:"match"`
		EmailFallback bool              `json:"email_fallback"`
		WithoutUserID WithoutUserID     `json:"without_user_id"`
		OnCreate      map[string]string `json:"on_create"`
		GroupTraits   map[string]string `json:"group_traits"`
	} `json:"options"`
}

// golden plays one case: its calls against a record that is carried along.
type golden struct {
	t   *testing.T
	cat *Catalogue
	opt Options
	now time.Time
	rec Record
	pos uint64

	company bool
}

// playGolden returns the case as it should be: the same text with what each fold gives.
func playGolden(t *testing.T, text string) string {
	t.Helper()
	g := &golden{t: t}
	g.setup(goldenSetup{})
	var out strings.Builder
	for _, s := range sections(text) {
		if s.name != "" && s.name != "want" {
			fmt.Fprintf(&out, "-- %s --\n", s.name)
		}
		switch s.name {
		case "":
			out.WriteString(s.text)
		case "setup":
			var setup goldenSetup
			g.unmarshal([]byte(s.text), &setup)
			g.setup(setup)
			out.WriteString(s.text)
		case "given":
			out.WriteString(s.text)
			for _, call := range g.calls(s.text) {
				g.fold([]Call{call})
			}
		case "calls":
			out.WriteString(s.text)
			calls := g.calls(s.text)
			fmt.Fprintf(&out, "-- want --\n%s", g.show(g.fold(calls)))
		case "want":
		default:
			t.Fatalf("no section is called %q", s.name)
		}
	}
	return out.String()
}

func (g *golden) unmarshal(b []byte, v any) {
	g.t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		g.t.Fatalf("%v in\n%s", err, b)
	}
}

func (g *golden) setup(s goldenSetup) {
	g.t.Helper()
	g.company = s.Company
	switch {
	case s.Catalogue == "" && g.company:
		s.Catalogue = "sales-account"
	case s.Catalogue == "":
		s.Catalogue = "account"
	}
	if g.cat = readCatalogue(g.t, s.Catalogue); g.company {
		g.cat = NewAccountCatalogue(readFields(g.t, s.Catalogue))
	}
	g.now = s.Now
	if g.now.IsZero() {
		g.now = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	}
	off := func(rule string) bool { on, given := s.Options.Match[rule]; return given && !on }
	g.opt = Options{
		MissingTraits: s.Options.MissingTraits, StrictLabels: s.Options.StrictLabels, Traits: s.Options.Traits,
		NoLabels: off("label"), NoSpelling: off("spelling"), NoReserved: off("reserved"),
		EmailFallback: s.Options.EmailFallback, WithoutUserID: s.Options.WithoutUserID, OnCreate: s.Options.OnCreate,
		Aliases: s.Aliases, Accounts: s.Accounts || s.Company, AccountTraits: s.Options.GroupTraits,
	}
	if s.Options.ResendAfter != "" {
		var err error
		if g.opt.ResendAfter, err = time.ParseDuration(s.Options.ResendAfter); err != nil {
			g.t.Fatal(err)
		}
	}
	if s.Record != nil {
		rec, err := DecodeRecord(s.Record)
		if err != nil {
			g.t.Fatal(err)
		}
		g.rec = rec
	}
	if s.Contact != "" {
		g.rec.ContactID = s.Contact
	}
}

func (g *golden) fold(calls []Call) Result {
	fold := Fold
	if g.company {
		fold = FoldAccount
	}
	res := fold(g.cat, g.opt, g.rec, calls, g.now)
	g.rec = res.Record.Clone()
	if g.rec.ContactID == "" && !res.Change.Empty() {
		g.rec.ContactID = "7001" // what the worker learns from the answer
	}
	return res
}

func readCatalogue(t testing.TB, name string) *Catalogue {
	t.Helper()
	return NewCatalogue(readFields(t, name))
}

func readFields(t testing.TB, name string) []Field {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata/catalogues", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	fields, err := ParseFields(b)
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

// goldenCall is one call of a case. Either it is a sample or an event as it came, or traits and what matters about them.
type goldenCall struct {
	Sample string          `json:"sample"`
	Event  json.RawMessage `json:"event"`

	Traits       json.RawMessage `json:"traits"`
	Context      json.RawMessage `json:"context"`
	User         *string         `json:"user"`
	ID           string          `json:"id"`
	Type         string          `json:"type"`
	Group        *string         `json:"group"` // groupId
	Heir         string          `json:"heir"`  // stands for the userId of an alias call
	At           string          `json:"at"`    // time of day, or a whole time
	Partial      bool            `json:"partial"`
	Integrations json.RawMessage `json:"integrations"`

	Source   string `json:"source"`
	Surface  string `json:"surface"`
	Received string `json:"received"`
	Pos      uint64 `json:"pos"`
	Replay   bool   `json:"replay"`
}

func (g *golden) calls(text string) []Call {
	g.t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	var calls []Call
	for {
		var c goldenCall
		if err := d.Decode(&c); err == io.EOF {
			return calls
		} else if err != nil {
			g.t.Fatalf("%v in\n%s", err, text)
		}
		calls = append(calls, g.call(c))
	}
}

func (g *golden) call(c goldenCall) Call {
	g.t.Helper()
	if c.Pos == 0 {
		g.pos++
		c.Pos = g.pos
	}
	at := goldenTime(g.t, c.At, "09:15:00")
	if c.Sample != "" {
		at = goldenTime(g.t, "", "09:15:05") // the samples happened in the second before
	}
	r := segment.Received{
		Source: c.Source, Surface: segment.Surface(c.Surface), At: goldenTime(g.t, c.Received, at.Add(time.Second).Format(time.RFC3339Nano)),
		Body: g.body(c, at),
	}
	if r.Source == "" {
		r.Source = "website"
	}
	if r.Surface == "" {
		r.Surface = segment.SurfaceWebhook
	}
	var own struct {
		Type      segment.Type `json:"type"`
		MessageID string       `json:"messageId"`
	}
	if err := json.Unmarshal(r.Body, &own); err != nil {
		g.t.Fatal(err)
	}
	r.Type, r.MessageID = own.Type, own.MessageID
	if account, ok := r.Account(); ok && g.company {
		r = account
	}
	if own.Type == segment.Alias {
		r.UserID = "user-2"
	}
	if half, ok := r.Previous(); ok && g.opt.Aliases {
		r = half
	}
	ev, err := r.Event()
	if err != nil {
		g.t.Fatal(err)
	}
	call := Call{Event: ev, Pos: c.Pos, Replay: c.Replay, Heir: c.Heir}
	if ev.Type == segment.Group && ev.GroupID != "" {
		call.Group = "company-" + ev.GroupID // the worker's keyed hash
	}
	return call
}

func (g *golden) body(c goldenCall, at time.Time) []byte {
	g.t.Helper()
	if c.Sample != "" {
		b, err := os.ReadFile(filepath.Join("../ingest/testdata/segment", c.Sample))
		if err != nil {
			g.t.Fatal(err)
		}
		return b
	}
	if c.Event != nil {
		return c.Event
	}
	event := map[string]any{
		"type": "identify", "userId": "user-1", "messageId": fmt.Sprintf("m%d", c.Pos),
		"timestamp": at.Format(time.RFC3339Nano), "traits": c.Traits,
	}
	if c.Type != "" {
		event["type"] = c.Type
	}
	if c.Type == string(segment.Alias) {
		event["previousId"], event["userId"] = "user-1", "user-2"
	}
	if c.Group != nil {
		event["type"], event["groupId"] = "group", *c.Group
	}
	if c.ID != "" {
		event["messageId"] = c.ID
	}
	if c.User != nil {
		event["userId"] = *c.User
	}
	if c.Integrations != nil {
		event["integrations"] = c.Integrations
	}
	if c.Context != nil {
		event["context"] = c.Context
	}
	if c.Partial {
		event["context"] = map[string]any{"personas": map[string]any{"computation_class": "audience"}}
	}
	b, err := json.Marshal(event)
	if err != nil {
		g.t.Fatal(err)
	}
	return b
}

func goldenTime(t testing.TB, s, missing string) time.Time {
	t.Helper()
	if s == "" {
		s = missing
	}
	if !strings.Contains(s, "T") {
		s = "2026-03-02T" + s + "Z"
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

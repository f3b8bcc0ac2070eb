package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/queue"
)

// TestReplayTwice: once delivers, twice does nothing, and says so.
func TestReplayTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.list = []queue.Letter{aLetter(1, "invalid"), aLetter(2, "exhausted")}
	got := r.run(t, "dlq", "replay", "user.1")
	wantCode(t, got, exitOK)
	wantParts(t, "once", got.out, "1 dead letter taken up = 1 delivered + 0 discarded + 0 dead again + 0 gone + 0 waiting")
	if got.errOut != "" || strings.Contains(got.out, "\x1b") {
		t.Errorf("bars or colours in a pipe: %q %q", got.out, got.errOut)
	}
	got = r.run(t, "dlq", "replay", "user.1")
	wantCode(t, got, exitOK)
	wantParts(t, "twice", got.out, "user.1 is no dead letter (any more)", "nothing to do")
	if want := []string{"user.1"}; !slices.Equal(r.replayed, want) {
		t.Errorf("replayed %v, want %v", r.replayed, want)
	}
	if len(r.audits) != 1 || r.audits[0].Action != "replay" || r.audits[0].Count != 1 {
		t.Errorf("audited: %+v", r.audits)
	}
}

func TestReplayOutcomes(t *testing.T) {
	t.Parallel()
	type counts struct{ Selected, Deliver, Dead, Waiting int }
	for name, tt := range map[string]struct {
		onReplay func(*store, string)
		args     []string
		code     int
		want     counts
		said     []string
	}{
		"all fail again": {failAgain, []string{"--all"}, exitFailed, counts{3, 0, 3, 0}, []string{"3 dead letters failed again", "dlq list"}},
		"one fails again": {
			func(s *store, id string) {
				if id == "user.2" {
					failAgain(s, id)
				} else {
					deliver(s, id)
				}
			},
			[]string{"--all"},
			exitPartial,
			counts{3, 2, 1, 0},
			[]string{"1 of 3 dead letters failed again"},
		},
		"by reason":          {nil, []string{"--reason", "exhausted", "--yes"}, exitOK, counts{1, 1, 0, 0}, nil},
		"by cause":           {nil, []string{"--cause", queue.Cause(aLetter(1, "invalid"))}, exitOK, counts{2, 2, 0, 0}, nil},
		"no outcome in time": {func(*store, string) {}, []string{"--all", "--timeout", "20ms"}, exitPartial, counts{3, 0, 0, 3}, []string{"not known yet", "dlq replays"}},
		"nobody waits":       {func(*store, string) {}, []string{"--all", "--no-wait"}, exitOK, counts{3, 0, 0, 3}, nil},
		"unknown reason":     {nil, []string{"--reason", "never"}, exitOK, counts{}, nil},
		"some are gone":      {nil, []string{"user.1", "user.8"}, exitOK, counts{1, 1, 0, 0}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.list = []queue.Letter{aLetter(1, "invalid"), aLetter(2, "exhausted"), aLetter(3, "invalid")}
			r.onReplay = tt.onReplay
			got := r.run(t, append([]string{"dlq", "replay", "-o", "json"}, tt.args...)...)
			wantCode(t, got, tt.code)
			report := decode[ReplayReport](t, got.out)
			if diff := cmp.Diff(tt.want, counts{report.Selected, report.Deliver, report.Dead, report.Waiting}); diff != "" {
				t.Error(diff)
			}
			wantParts(t, "stderr", got.errOut, tt.said...)
		})
	}
}

// TestWhichLetters: a command line that does not say clearly which letters it means does nothing.
func TestWhichLetters(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.list = []queue.Letter{aLetter(1, "invalid")}
	for _, args := range [][]string{
		{"dlq", "replay"},
		{"dlq", "replay", "--all", "--reason", "invalid"},
		{"dlq", "replay", "user.1", "--all"},
		{"dlq", "replay", "-"},
		{"dlq", "replay", "--all", "--set", "plan"},
		{"dlq", "replay", "--all", "--set", "userId=x"},
		{"dlq", "replay", "--all", "--set", "traits.n:=x"},
		{"dlq", "replay", "--all", "--resume", "rs"},
		{"dlq", "discard", "--all"},
		{"dlq", "discard", "--note", "x"},
		{"dlq", "discard", "--all", "--note", " "},
	} {
		if got := r.run(t, args...); got.code != exitUsage || got.errOut == "" {
			t.Errorf("%v: exit code %d, %s", args, got.code, got.errOut)
		}
	}
	if len(r.replayed) != 0 {
		t.Errorf("replayed %v", r.replayed)
	}
	r.p.stdin = strings.NewReader("user.1\nuser.2\n")
	wantCode(t, r.run(t, "dlq", "replay", "-"), exitOK)
	if !slices.Equal(r.replayed, []string{"user.1"}) {
		t.Errorf("replayed %v", r.replayed)
	}
}

// TestReplayInterrupted: Ctrl-C stops the replay, says how to go on, and that goes on.
func TestReplayInterrupted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.list = []queue.Letter{aLetter(1, "invalid"), aLetter(2, "invalid")}
	ctx, cancel := context.WithCancel(t.Context())
	r.onReplay = func(s *store, id string) {
		if id == "user.1" {
			deliver(s, id)
		}
		cancel()
	}
	got := r.runCtx(t, ctx, "dlq", "replay", "--all")
	wantCode(t, got, exitPartial)
	wantParts(t, "stopped", got.out, "2 dead letters taken up = 1 delivered", "1 waiting", "to go on: freshrelay dlq replay --resume rs")
	wantParts(t, "stopped", got.errOut, "stopped before the end")
	wantParts(t, "replays", r.run(t, "dlq", "replays").out, "rs", "stopped", "DELIVERED")
	r.mu.Lock()
	deliver(r.store, "user.2")
	r.mu.Unlock()
	got = r.run(t, "dlq", "replay", "--resume", "rs")
	wantCode(t, got, exitOK)
	wantParts(t, "resumed", got.out, "2 dead letters taken up = 2 delivered")
	if got := r.run(t, "dlq", "replay", "--resume", "never"); got.code != exitFailed {
		t.Errorf("a replay that never was: %+v", got)
	}
}

// TestReplayChangesValues: --set and --unset reach the service as JSON, and the audit log as paths.
func TestReplayChangesValues(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.list = []queue.Letter{aLetter(1, "invalid")}
	got := r.run(t, "dlq", "replay", "--all", "--set", "traits.plan=Gold, old", "--set", "traits.logins:=13", "--unset", "traits.cart")
	wantCode(t, got, exitOK)
	want := []queue.Edit{
		{Path: "traits.plan", Value: json.RawMessage(`"Gold, old"`)}, {Path: "traits.logins", Value: json.RawMessage(`13`)}, {Path: "traits.cart"},
	}
	if diff := cmp.Diff(want, r.jobs[0].Edits); diff != "" {
		t.Error(diff)
	}
	if len(r.audits) != 2 || r.audits[0].Action != "set" || !strings.Contains(r.audits[0].Detail, "traits.plan, traits.logins") || strings.Contains(r.audits[0].Detail, "Gold") {
		t.Errorf("audited: %+v", r.audits)
	}
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.list = []queue.Letter{aLetter(1, "invalid"), aLetter(2, "invalid")}
	got := r.run(t, "dlq", "replay", "--all", "--dry-run", "--limit", "1")
	wantCode(t, got, exitOK)
	wantParts(t, "dry run", got.out, `PUT /crm/sales/api/contacts/7 {"contact":{"email":"<string>"}}`, "set        Plan tier", "2 dead letters selected, 1 shown, nothing was sent")
	if len(r.replayed) != 0 || len(r.audits) != 0 {
		t.Errorf("replayed %v, audited %v", r.replayed, r.audits)
	}
	got = r.run(t, "dlq", "replay", "user.1", "--dry-run", "--reveal", "--set", "traits.plan=Gold")
	wantParts(t, "revealed", got.out, `{"contact":{"cf_plan":"Gold"}}`)
	if len(r.audits) != 1 || r.audits[0].Action != "reveal" {
		t.Errorf("audited %v", r.audits)
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.list = []queue.Letter{aLetter(1, "invalid"), aLetter(2, "exhausted")}
	got := r.run(t, "dlq", "discard", "--reason", "invalid", "--note", "test data of ada@example.com")
	wantCode(t, got, exitOK)
	wantParts(t, "discard", got.out, "discard rs: 1 dead letter taken up = 0 delivered + 1 discarded", "discarded:by_operator")
	got = r.run(t, "audit")
	wantParts(t, "audit", got.out, "discard", "reason invalid; note: test data of [email]")
	if strings.Contains(got.out, "ada@") {
		t.Error(got.out)
	}
}

// TestExportAndImport: what is exported can be imported, byte for byte, and only its owner can read the file.
func TestExportAndImport(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 250 { // several pages
		r.list = append(r.list, aLetter(i, "invalid"))
	}
	r.list[7].Event = []byte("broken \xff bytes")
	r.list[8].Edits = []queue.Edit{{Path: "traits.plan", Value: json.RawMessage(`"Gold"`)}}
	got := r.run(t, "dlq", "export", "letters.jsonl")
	wantCode(t, got, exitOK)
	wantParts(t, "export", got.errOut, "250 dead letters exported; the file holds personal data")
	file := filepath.Join(r.dir, "letters.jsonl")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if got := r.run(t, "dlq", "export", "letters.jsonl"); got.code != exitUsage {
		t.Errorf("an export over a file: %+v", got)
	}
	wantCode(t, r.run(t, "dlq", "import", "letters.jsonl"), exitOK)
	if diff := cmp.Diff(r.list, r.imported); diff != "" {
		t.Error(diff)
	}
	piped := r.run(t, "dlq", "export", "-", "--message-id", "m-3")
	if n := strings.Count(piped.out, "\n"); n != 1 || !strings.Contains(piped.out, `"message_id":"m-3"`) {
		t.Errorf("%d lines: %s", n, piped.out)
	}
	var actions []string
	for _, e := range r.audits {
		actions = append(actions, e.Action)
	}
	if want := []string{"export", "import", "import", "export"}; !slices.Equal(actions, want) {
		t.Errorf("audited %v, want %v", actions, want)
	}
	r.p.stdin = strings.NewReader("{}\n")
	if got := r.run(t, "dlq", "import", "-"); got.code != exitUsage {
		t.Errorf("a line without a letter: %+v", got)
	}
	r.p.stdin = strings.NewReader("ada@example.com\n")
	if got := r.run(t, "dlq", "import", "-"); got.code != exitUsage || strings.Contains(got.errOut, "ada") {
		t.Errorf("a line that is no JSON: %+v", got)
	}
}

func TestEventsShow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.list = []queue.Letter{aLetter(1, "invalid")}
	r.journal = []queue.JournalEntry{{
		At: r.list[0].LastTry, Received: r.list[0].FirstTry, User: "user", MessageID: "m-1", Type: "identify", Source: "website", Position: 1, Outcome: "dead", Reason: "invalid",
		Calls:   []queue.JournalCall{{At: r.list[0].FirstTry, Operation: "update_contact", Status: 400, Millis: 12, Error: "invalid: not a choice"}},
		LeftOut: []queue.JournalLeftOut{{Trait: "cart", Reason: "unmapped"}},
	}}
	got := r.run(t, "events", "show", "m-1")
	wantCode(t, got, exitOK)
	wantParts(t, "events show", got.out, "identify  message id m-1, source website", "1970-01-01T00:01:40.000Z  received", "update_contact: status 400, 12 ms, invalid: not a choice",
		"left out   cart: no field has this label", "1970-01-01T00:03:20.000Z  invalid", `"email": "<string>"`)
	if strings.Contains(got.out, "ada@") {
		t.Error(got.out)
	}
	wantParts(t, "reveal", r.run(t, "events", "show", "m-1", "--reveal").out, `"email": "ada@example.com"`)
	if len(r.audits) != 1 || r.audits[0].Action != "reveal" {
		t.Errorf("audited %v", r.audits)
	}
	r.p.stdin = strings.NewReader("m-1\nm-2\n")
	got = r.run(t, "events", "show", "-")
	wantCode(t, got, exitFailed)
	wantParts(t, "from standard input", got.out, "message id m-1", "m-2  nothing in the journal, and nothing waits")
	if list := decode[admin.EventList](t, r.run(t, "events", "show", "m-1", "-o", "json").out); len(list.Events) != 1 {
		t.Errorf("%+v", list)
	}
}

// TestEventsShowWhatWaits: a call that is not settled is shown with its place and the reasons, and a line far back in the journal
// is found step by step.
func TestEventsShowWhatWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.waiting = []admin.WaitingCall{{
		MessageID: "m-9\x1b[2J", Type: "identify", Source: "website", Received: time.Unix(100, 0), Ahead: 12, OfUser: 3, Tries: 2, NextTry: time.Unix(300, 0),
		Why: []admin.WaitWhy{admin.WhyWaits("outage"), admin.WhyWaits("retry")},
	}}
	got := r.run(t, "events", "show", "--user", "ada")
	wantCode(t, got, exitOK)
	wantParts(t, "waiting", got.out, "1970-01-01T00:01:40.000Z  received", "waiting: 12 calls before it, 3 of them of its user", "outage     The Freshmarketer API fails",
		"retry      The last try for its user failed", "failed 2 times; next try 1970-01-01T00:05:00.000Z")
	if strings.Contains(got.out, "\x1b") {
		t.Errorf("%q", got.out)
	}
	if list := decode[admin.EventList](t, r.run(t, "events", "show", "m-9", "-o", "json").out); len(list.Waiting) != 1 || list.Waiting[0].Why[1].Reason != "retry" {
		t.Errorf("%+v", list)
	}
	r.waiting, r.deep = nil, true
	r.journal = []queue.JournalEntry{{MessageID: "m-1", Type: "identify", Outcome: "delivered"}}
	got = r.run(t, "events", "show", "m-1")
	wantCode(t, got, exitOK)
	wantParts(t, "far back", got.out, "message id m-1")
}

func TestEventsTail(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.journal = []queue.JournalEntry{
		{Type: "identify", MessageID: "m-1", Outcome: "delivered", Calls: []queue.JournalCall{{Status: 200}}},
		{Type: "identify", MessageID: "m-2", Outcome: "observed", Fields: []queue.JournalField{
			{Field: "city", Label: "City", Action: "set"}, {Field: "cf_a", Label: "Plan", Action: "emptied"}, {Field: "cf_b", Label: "Seats", Action: "emptied"},
		}},
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.tailed = cancel
	got := r.runCtx(t, ctx, "events", "tail")
	wantCode(t, got, exitOK)
	wantParts(t, "tail", got.out, "identify  delivered  200  m-1", "identify  observed   -    m-2  sets 1 empties Plan, Seats")

	r.audits = []queue.AuditEntry{{Actor: "ann", Action: "pause", Count: 1, Seq: 1}}
	ctx, cancel = context.WithCancel(t.Context())
	r.tailed = cancel
	wantParts(t, "audit", r.runCtx(t, ctx, "events", "tail", "--audit").out, "ann  pause  1")
}

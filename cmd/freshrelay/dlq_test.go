package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/queue"
)

func TestDLQList(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	got := r.run(t, "dlq", "list")
	wantCode(t, got, exitOK)
	wantParts(t, "none", got.out, "no dead letters here")
	if got := r.run(t, "dlq", "list", "-o", "json").out; got != "{\n  \"letters\": [],\n  \"total\": 0\n}\n" {
		t.Errorf("no letters as JSON: %s", got)
	}

	r.list = []queue.Letter{aLetter(1, "invalid"), aLetter(2, "exhausted"), aLetter(3, "invalid")}
	r.list[2].Status = 0
	got = r.run(t, "dlq", "list")
	wantCode(t, got, exitOK)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "ID ") {
		t.Fatalf("want a header and three lines:\n%s", got.out)
	}
	fields := strings.Fields(lines[1])
	if want := []string{"user.1", "identify", "website", "invalid", "cf_plan", "400", "3"}; !slices.Equal(fields[:7], want) {
		t.Errorf("%v, want %v", fields, want)
	}
	if strings.Contains(got.out, "\x1b") || strings.Contains(got.out, "ada") {
		t.Errorf("colours, escapes or people in a pipe: %q", got.out)
	}

	list := decode[admin.LetterList](t, r.run(t, "dlq", "list", "-o", "json", "--reason", "invalid", "--limit", "1", "--offset", "1").out)
	if list.Total != 2 || len(list.Letters) != 1 || list.Letters[0].ID != "user.3" {
		t.Errorf("%+v", list)
	}
	if list := decode[admin.LetterList](t, r.run(t, "dlq", "list", "-o", "json", "--user-id", "nobody").out); list.Total != 0 {
		t.Errorf("--user-id: %+v", list)
	}
	wantParts(t, "paged", r.run(t, "dlq", "list", "--limit", "2").out, "2 of 3; the next page: --after 2")
	wantParts(t, "the last page", r.run(t, "dlq", "list", "--limit", "2", "--after", "2").out, "user.3", "1 of 3; this is the last page")
	got = r.run(t, "dlq", "list", "--group")
	wantParts(t, "groups", got.out, "LETTERS", "invalid", "exhausted", "3 dead letters in all", queue.Cause(r.list[0]))
	groups := decode[admin.GroupList](t, r.run(t, "dlq", "list", "--group", "--text", "CHOICE", "--status", "400", "-o", "json").out)
	if groups.Total != 2 || len(groups.Groups) != 2 || groups.Groups[0].Count != 1 {
		t.Errorf("%+v", groups)
	}
	if list := decode[admin.LetterList](t, r.run(t, "dlq", "list", "--since", "24h", "-o", "json").out); list.Total != 0 {
		t.Errorf("--since: %+v", list)
	}
	wantCode(t, r.run(t, "dlq", "list", "--since", "yesterday"), exitUsage)
}

func TestDLQShow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.list = []queue.Letter{aLetter(1, "email_conflict")}
	got := r.run(t, "dlq", "show", "user.1")
	wantCode(t, got, exitOK)
	wantParts(t, "show", got.out, "message id m-1", "by tracking", "email_conflict: The email belongs to", "400 not a choice\uFFFD",
		"freshrelay dlq replay user.1", "--reveal shows them", `"email": "<string>"`, "came in", "sent and answered (tries: 3", "what to do", "docs/errors.md")
	if strings.Contains(got.out, "ada@example.com") || strings.Contains(got.out, "\x1b") {
		t.Errorf("%q", got.out)
	}
	got = r.run(t, "dlq", "show", "--reveal", "user.1")
	wantParts(t, "reveal", got.out, `"email": "ada@example.com"`)
	if len(r.audits) != 1 || r.audits[0].Action != "reveal" || r.audits[0].Actor == "" || strings.Contains(r.audits[0].Detail, "ada") {
		t.Errorf("audited: %+v", r.audits)
	}
	view := decode[admin.LetterView](t, r.run(t, "dlq", "show", "user.1", "-o", "json").out)
	if view.ID != "user.1" || !view.Masked || len(view.Event) == 0 {
		t.Errorf("%+v", view)
	}
	r.list[0].Event = []byte("broken")
	wantParts(t, "unreadable", r.run(t, "dlq", "show", "user.1").out, "cannot be read as one")
}

// TestAnswerText: what the list shows in its last column is what Freshmarketer said.
func TestAnswerText(t *testing.T) {
	t.Parallel()
	for stored, want := range map[string]string{
		(&freshmarketer.Error{Op: "upsert_contact", Kind: freshmarketer.KindInvalid, Status: 400, Text: "a (b): c"}).Error(): "a (b): c",
		(&freshmarketer.Error{Op: "get_contact", Kind: freshmarketer.KindTemporary, Text: "cut off"}).Error():                "get_contact: temporary: cut off",
		"not an event (at all): no": "not an event (at all): no",
		"":                          "",
	} {
		if got := answerText(stored); got != want {
			t.Errorf("%q: %q, want %q", stored, got, want)
		}
	}
}

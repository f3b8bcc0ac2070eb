package main

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	wantParts(t, "paged", r.run(t, "dlq", "list", "--limit", "2").out, "2 of 3")
}

func TestDLQShow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.list = []queue.Letter{aLetter(1, "email_conflict")}
	got := r.run(t, "dlq", "show", "user.1")
	wantCode(t, got, exitOK)
	wantParts(t, "show", got.out, "message id m-1", "by tracking", "email_conflict: The email belongs to", "400 not a choice\uFFFD",
		"freshrelay dlq replay user.1", "--reveal shows them", `"email": "<string>"`)
	if strings.Contains(got.out, "ada@example.com") || strings.Contains(got.out, "\x1b") {
		t.Errorf("%q", got.out)
	}
	got = r.run(t, "dlq", "show", "--reveal", "user.1")
	wantParts(t, "reveal", got.out, `"email": "ada@example.com"`)
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

// TestReplayTwice: once delivers, twice does nothing, and says so.
func TestReplayTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.list = []queue.Letter{aLetter(1, "invalid"), aLetter(2, "exhausted")}
	got := r.run(t, "dlq", "replay", "user.1")
	wantCode(t, got, exitOK)
	if want := "1 dead letter sent again: 1 settled\n  m-1  delivered\n"; got.out != want || got.errOut != "" {
		t.Errorf("%q %q, want %q", got.out, got.errOut, want)
	}
	got = r.run(t, "dlq", "replay", "user.1")
	wantCode(t, got, exitOK)
	wantParts(t, "twice", got.out, "user.1 is no dead letter (any more)", "nothing to replay")
	if want := []string{"user.1"}; !slices.Equal(r.replayed, want) {
		t.Errorf("replayed %v, want %v", r.replayed, want)
	}
	report := decode[ReplayReport](t, r.run(t, "dlq", "replay", "--all", "-o", "json").out)
	want := ReplayReport{Count: 1, Settled: 1, Missing: []string{}, Outcomes: map[string]string{"m-2": "delivered"}}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Error(diff)
	}
}

func TestReplayOutcomes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		onReplay func(*store, string)
		args     []string
		code     int
		want     ReplayReport
		said     []string
	}{
		"all fail again": {
			failAgain,
			[]string{"--all"},
			exitFailed,
			ReplayReport{Count: 3, Dead: 3, Missing: []string{}, Outcomes: map[string]string{}},
			[]string{"3 dead letters failed again", "dlq list"},
		},
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
			ReplayReport{Count: 3, Settled: 2, Dead: 1, Missing: []string{}, Outcomes: map[string]string{"m-1": "delivered", "m-3": "delivered"}},
			[]string{"1 of 3 dead letters failed again"},
		},
		"by reason": {
			nil,
			[]string{"--reason", "exhausted", "--yes"},
			exitOK,
			ReplayReport{Count: 1, Settled: 1, Missing: []string{}, Outcomes: map[string]string{"m-2": "delivered"}},
			nil,
		},
		"no outcome in time": {
			func(*store, string) {},
			[]string{"--all", "--timeout", "20ms"},
			exitPartial,
			ReplayReport{Count: 3, Waiting: 3, Missing: []string{}},
			[]string{"the outcome of 3 dead letters is not known yet", "freshrelay status"},
		},
		"nobody waits": {
			func(*store, string) {}, []string{"--all", "--no-wait"}, exitOK, ReplayReport{Count: 3, Waiting: 3, Missing: []string{}}, nil,
		},
		"unknown reason": {nil, []string{"--reason", "never"}, exitOK, ReplayReport{Missing: []string{}}, nil},
		"some are gone": {
			nil,
			[]string{"user.1", "user.8"},
			exitOK,
			ReplayReport{Count: 1, Settled: 1, Missing: []string{"user.8"}, Outcomes: map[string]string{"m-1": "delivered"}},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.list = []queue.Letter{aLetter(1, "invalid"), aLetter(2, "exhausted"), aLetter(3, "invalid")}
			r.onReplay = tt.onReplay
			got := r.run(t, append([]string{"dlq", "replay", "-o", "json"}, tt.args...)...)
			wantCode(t, got, tt.code)
			report := decode[ReplayReport](t, got.out)
			if len(report.Outcomes) == 0 && len(tt.want.Outcomes) == 0 {
				report.Outcomes, tt.want.Outcomes = nil, nil
			}
			if diff := cmp.Diff(tt.want, report); diff != "" {
				t.Error(diff)
			}
			wantParts(t, "stderr", got.errOut, tt.said...)
		})
	}
}

// TestReplayLater: the letters are settled only after a while, one after the other.
func TestReplayLater(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range chosenOutcomes + 5 {
		r.list = append(r.list, aLetter(i, "invalid"))
	}
	waiting := make(chan string, len(r.list))
	r.onReplay = func(_ *store, id string) { waiting <- id }
	go func() {
		for range chosenOutcomes + 5 {
			id := <-waiting
			r.mu.Lock()
			deliver(r.store, id)
			r.mu.Unlock()
		}
	}()
	got := r.run(t, "dlq", "replay", "--all")
	wantCode(t, got, exitOK)
	if want := "30 dead letters sent again: 30 settled\n"; got.out != want || got.errOut != "" {
		t.Errorf("%q %q, want %q", got.out, got.errOut, want)
	}
}

// TestReplayInterrupted: Ctrl-C ends the waiting and nothing else.
func TestReplayInterrupted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.list = []queue.Letter{aLetter(1, "invalid")}
	ctx, cancel := context.WithCancel(t.Context())
	r.onReplay = func(*store, string) { cancel() }
	got := r.runCtx(t, ctx, "dlq", "replay", "--all")
	if got.code != exitPartial && got.code != exitFailed {
		t.Errorf("exit code %d\n%s", got.code, got.errOut)
	}
	if got.errOut == "" || !slices.Equal(r.replayed, []string{"user.1"}) {
		t.Errorf("%q %v", got.errOut, r.replayed)
	}
}

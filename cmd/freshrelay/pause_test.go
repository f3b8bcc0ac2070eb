package main

import (
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/admin"
)

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	got := r.run(t, "pause")
	wantCode(t, got, exitOK)
	wantParts(t, "pause", got.out, "sending is paused; calls are taken in and wait. To go on: freshrelay resume\n", "held besides: key_refused", "Put a valid key")
	if !r.paused {
		t.Error("nothing was paused")
	}
	if got := r.run(t, "pause", "--note", "the import of Tuesday"); got.code != exitOK || r.note != "the import of Tuesday" {
		t.Errorf("the note %q: %+v", r.note, got)
	}
	sent := decode[admin.Sent](t, r.run(t, "resume", "-o", "json").out)
	if r.paused || len(sent.Paused) != 1 || sent.Paused[0].Reason != "key_refused" {
		t.Errorf("resume: %v, %+v", r.paused, sent)
	}
	if got := r.run(t, "resume", "now"); got.code != exitUsage {
		t.Errorf("a word too many: %+v", got)
	}
}

// status says who paused sending, why, and what to type to go on.
func TestStatusSaysWhoPaused(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := &program{stdout: &out}
	now := time.Unix(1e9, 0)
	p.printStatus(admin.Status{Sends: true, Paused: []admin.Pause{
		{Reason: "operator", Since: now.Add(-time.Second), By: "ada", Note: "the import\x1b of Tuesday", Mend: admin.Advise(admin.AboutPause, "operator").Mend},
	}}, now)
	wantParts(t, "status", out.String(), "PAUSED: operator for 1s  by ada: the import\uFFFD of Tuesday\n            When it is to go on: freshrelay resume\n")
}

// What is only observed is neither a failure nor delivered, and one sees what would be done.
func TestObservedCallsAreExplained(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := &program{stdout: &out}
	p.printEvent("  identify  observed  ", admin.Event{Outcome: "observed", Fields: []admin.EventField{{Label: "City", Trait: "city", Action: "set"}}})
	p.printEvent("  identify  observed  ", admin.Event{Outcome: "observed", Reason: "missing_email"})
	wantParts(t, "observed", out.String(), "not written: delivery.mode", "set        City (city)\n", "not deliver it: missing_email\n")
}

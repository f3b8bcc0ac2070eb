package main

import (
	"strings"
	"testing"

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
	sent := decode[admin.Sent](t, r.run(t, "resume", "-o", "json").out)
	if r.paused || len(sent.Paused) != 1 || sent.Paused[0].Reason != "key_refused" {
		t.Errorf("resume: %v, %+v", r.paused, sent)
	}
	if got := r.run(t, "resume", "now"); got.code != exitUsage {
		t.Errorf("a word too many: %+v", got)
	}
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

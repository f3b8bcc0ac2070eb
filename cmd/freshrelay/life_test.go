package main

import (
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/admin"
)

// A call that waits and was observed is shown once, with the newest of what would be done.
func TestAWaitingCallIsShownOnce(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := &program{stdout: &out}
	observed := admin.Event{User: "u", Position: 7, MessageID: "m1", Type: "alias", Outcome: outcomeObserved, Planned: []string{"get_contact", "update_contact"}}
	before := observed
	before.Planned, before.Reason = nil, "unknown_previous"
	p.printLife("m1", admin.EventList{Events: []admin.Event{before, observed}, Waiting: []admin.WaitingCall{{User: "u", Position: 7, MessageID: "m1", Type: "alias"}}})
	wantParts(t, "life", out.String(), "what would be done:\n", "get_contact, update_contact\n")
	if strings.Count(out.String(), "message id m1") != 1 || strings.Contains(out.String(), "unknown_previous") {
		t.Errorf("shown more than once, or what is not so any more:\n%s", out.String())
	}
	out.Reset()
	p.printLife("m2", admin.EventList{Events: []admin.Event{{MessageID: "m2", Type: "delete", Outcome: outcomeDelivered}}})
	wantParts(t, "life", out.String(), " delivered\n")
	out.Reset()
	p.printPlanned(admin.Event{Note: "the contact has it all"})
	wantParts(t, "plan", out.String(), "no call\n", "the contact has it all\n")
}

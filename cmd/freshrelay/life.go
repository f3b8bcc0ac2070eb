package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/admin"
)

// printLife shows the calls of one id.
func (p *program) printLife(id string, list admin.EventList) {
	if len(list.Events) == 0 && len(list.Waiting) == 0 {
		fmt.Fprintf(p.stdout, "%s  nothing in the journal, and nothing waits\n", clean(id, 60))
		if list.Off {
			fmt.Fprintln(p.stdout, "  the journal is switched off (journal.enabled)")
		}
	}
	planned := plansOf(list)
	for _, e := range list.Events {
		if _, waits := planned[letterID(e)]; waits && e.Outcome == outcomeObserved {
			continue // told below, where it waits
		}
		fmt.Fprintf(p.stdout, "%s  message id %s, source %s\n", clean(e.Type, 20), clean(e.MessageID, 80), clean(e.Source, 40))
		if !e.Received.IsZero() {
			fmt.Fprintf(p.stdout, "  %s  received\n", clock(e.Received))
		}
		if e.Replayed {
			note := "taken up again: it was a dead letter"
			if len(e.Edited) > 0 {
				note += "; changed by operators: " + clean(strings.Join(e.Edited, ", "), 0)
			}
			fmt.Fprintf(p.stdout, "  %-24s  %s\n", "", note)
		}
		if e.Attempts > 0 {
			fmt.Fprintf(p.stdout, "  %-24s  failed before: %d times\n", "", e.Attempts)
		}
		for _, c := range e.Calls {
			p.printCall("  ", c)
		}
		e.Calls = nil // shown above, with their times
		head := "  " + clock(e.At) + " "
		if e.Outcome == outcomeDelivered && e.ContactID == "" {
			head += " delivered"
		}
		p.printEvent(head, e)
		if content, ok := list.Contents[letterID(e)]; ok {
			_ = p.printContent(content.Event, content.Masked) // it was JSON when it came
		}
	}
	for _, w := range list.Waiting {
		p.printWaiting(w)
		if e := planned[waitingID(w)]; e != nil {
			fmt.Fprintf(p.stdout, "  %s  what would be done:\n", clock(e.At))
			p.printPlanned(*e)
			p.printLeftOut(*e)
		}
	}
	if list.WaitingPart {
		fmt.Fprintln(p.stdout, "  so much waits that only the oldest part of it was looked at")
	}
}

// waitingID is letterID for a call that waits.
func waitingID(w admin.WaitingCall) string { return fmt.Sprintf("%s.%d", w.User, w.Position) }

// plansOf are the newest lines about calls that wait for another mode, by the id of the call; nil where there is none yet.
func plansOf(list admin.EventList) map[string]*admin.Event {
	planned := map[string]*admin.Event{}
	for _, w := range list.Waiting {
		planned[waitingID(w)] = nil
	}
	for i, e := range list.Events {
		if _, waits := planned[letterID(e)]; waits && e.Outcome == outcomeObserved {
			planned[letterID(e)] = &list.Events[i]
		}
	}
	return planned
}

// printWaiting shows a call that waits: where it stands, and why.
func (p *program) printWaiting(w admin.WaitingCall) {
	fmt.Fprintf(p.stdout, "%s  message id %s, source %s\n", clean(w.Type, 20), clean(w.MessageID, 80), clean(w.Source, 40))
	fmt.Fprintf(p.stdout, "  %s  received\n", clock(w.Received))
	fmt.Fprintf(p.stdout, "  %-24s  waiting: %s, %d of them of its user\n", "", before(w.Ahead), w.OfUser)
	for _, why := range w.Why {
		fmt.Fprintf(p.stdout, "      %-10s %s\n", clean(why.Reason, 20), clean(why.Meaning, 0))
		if why.Reason == "retry" {
			fmt.Fprintf(p.stdout, "      %-10s failed %d times; next try %s\n", "", w.Tries, clock(w.NextTry))
		}
		fmt.Fprintf(p.stdout, "      %-10s %s\n", "", clean(why.WhatToDo, 0))
	}
}

func before(n int) string {
	switch n {
	case 0:
		return "no call before it"
	case 1:
		return "1 call before it"
	}
	return fmt.Sprintf("%d calls before it", n)
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// printCall shows an API call and its answer.
func (p *program) printCall(indent string, c admin.EventCall) {
	at := ""
	if !c.At.IsZero() {
		at = clock(c.At) + "  "
	}
	line := fmt.Sprintf("%s%s%s: %s, %d ms", indent, at, clean(c.Operation, 40), answered(c.Status), c.Millis)
	if c.Error != "" {
		line += ", " + clean(c.Error, 120)
	}
	fmt.Fprintln(p.stdout, line)
}

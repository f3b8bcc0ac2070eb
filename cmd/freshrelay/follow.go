package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/admin"
)

// journalWindow is how far back the journal is searched. It only has to cover the difference between our clock and the
// service's.
const journalWindow = 10 * time.Minute

// journal returns the journal's lines about a message id since a time, oldest first; of a group call, those about its half.
func journal(ctx context.Context, service *client, messageID, half string, since time.Time) ([]admin.Event, error) {
	var list admin.EventList
	err := service.get(ctx, "/api/events", url.Values{
		"message_id": {messageID}, "since": {since.UTC().Format(time.RFC3339Nano)},
	}, &list)
	if half == "group" || half == "account" {
		list.Events = slices.DeleteFunc(list.Events, func(e admin.Event) bool { return e.Type != half })
	}
	return list.Events, err
}

// earlier counts the lines that are there before the post, for calls whose id came from the file: a sample that is
// sent a second time must not be shown the outcome of the first.
func (s *sender) earlier(ctx context.Context, ps *post) (map[string]int, error) {
	out := map[string]int{}
	if s.admin == nil {
		return out, nil
	}
	for _, c := range ps.calls {
		if !c.ownID || !c.stored(s.source.forward) {
			continue
		}
		events, err := journal(ctx, s.admin, c.id, c.half, time.Now().Add(-journalWindow))
		if err != nil {
			return nil, err
		}
		out[c.id] = len(events)
	}
	return out, nil
}

// follow waits for the outcome of each call. What has none when the time is up stays unknown; that is not an error.
func (s *sender) follow(ctx context.Context, calls []SentCall, earlier map[string]int) error {
	since := time.Now().Add(-journalWindow)
	limited, cancel := context.WithTimeout(ctx, s.cmd.Timeout)
	defer cancel()
	seen := maps.Clone(earlier) // two calls of one file may share an id; each has a line of its own
	for i := range calls {
		c := &calls[i]
		if c.Outcome != outcomeSent {
			continue
		}
		event, err := s.outcome(limited, c.MessageID, c.half, seen[c.MessageID], since)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, context.DeadlineExceeded):
			c.Outcome = outcomeUnknown
			continue
		case err != nil:
			return err
		}
		seen[c.MessageID]++
		c.Outcome, c.Event = event.Outcome, event
	}
	return nil
}

// outcome waits for the line after the first n about a message id.
func (s *sender) outcome(ctx context.Context, messageID, half string, n int, since time.Time) (*admin.Event, error) {
	for pause := s.poll; ; pause = longer(pause) {
		events, err := journal(ctx, s.admin, messageID, half, since)
		if err != nil {
			return nil, err
		}
		if len(events) > n {
			return &events[n], nil
		}
		if err := wait(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// printSent says what became of the calls of a file.
func (p *program) printSent(file string, calls []SentCall) {
	fmt.Fprintln(p.stdout, clean(file, 0))
	for _, c := range calls {
		head := fmt.Sprintf("  %-9s %-10s", clean(c.Type, 12), c.Outcome)
		switch {
		case c.Outcome == outcomeRefused:
			fmt.Fprintf(p.stdout, "%s %d %s\n", head, c.Status, clean(c.Error, 0))
		case c.Outcome == outcomeDropped:
			fmt.Fprintln(p.stdout, head+" taken and not stored: no source forwards it (docs/calls.md)")
		case c.Outcome == outcomeUnknown:
			fmt.Fprintln(p.stdout, head+" stored, but no outcome yet; see: freshrelay status")
		case c.Event == nil:
			fmt.Fprintln(p.stdout, head+" message id "+clean(c.MessageID, 0))
		default:
			p.printEvent(head, *c.Event)
		}
	}
}

// printEvent shows a line of the journal in full.
func (p *program) printEvent(head string, e admin.Event) {
	out := func(format string, args ...any) { fmt.Fprintf(p.stdout, format+"\n", args...) }
	switch e.Outcome {
	case outcomeObserved:
		out("%s not written: delivery.mode does not write this user. What would be done:", head)
		p.printPlanned(e)
	case outcomeDelivered:
		line := head
		if e.ContactID != "" {
			what := " contact "
			if e.Type == "account" {
				what = " account "
			}
			line += what + clean(e.ContactID, 0)
		}
		if e.MergedWith > 0 {
			line += fmt.Sprintf(" (together with %d other calls)", e.MergedWith)
		}
		out("%s", line)
		for _, action := range actions(e.Fields) {
			out("      %s %s", p.action(action), strings.Join(fieldsOf(e.Fields, action), ", "))
		}
	case outcomeDiscarded:
		explain(out, head, e.Reason, admin.Advise(admin.AboutDiscard, e.Reason))
	default:
		explain(out, head, e.Reason, admin.Advise(admin.AboutDead, e.Reason))
		out("      freshrelay dlq show %s", clean(letterID(e), 0))
	}
	p.printLeftOut(e)
	for _, c := range e.Calls {
		out("      %-10s %s %s, %d ms", "API", clean(c.Operation, 0), statusText(c.Status), c.Millis)
	}
}

func (p *program) printLeftOut(e admin.Event) {
	for _, l := range e.LeftOut {
		fmt.Fprintf(p.stdout, "      %-10s %s: %s\n", "left out", clean(l.Trait, 60), admin.Advise(admin.AboutLeftOut, l.Reason).Meaning)
	}
}

// printPlanned shows what would be done with a call that waits for another mode.
func (p *program) printPlanned(e admin.Event) {
	out := func(format string, args ...any) { fmt.Fprintf(p.stdout, format+"\n", args...) }
	if e.Reason != "" {
		out("      not deliver it: %s", clean(e.Reason, 60))
	}
	for _, action := range actions(e.Fields) {
		out("      %s %s", p.action(action), strings.Join(fieldsOf(e.Fields, action), ", "))
	}
	switch {
	case len(e.Planned) > 0:
		out("      %-10s %s", "API", clean(strings.Join(e.Planned, ", "), 0))
	case e.Reason == "":
		out("      %-10s no call", "API")
	}
	if e.Note != "" {
		out("      %-10s %s", "note", clean(e.Note, 0))
	}
}

// letterID is the id of the dead letter that a call has become.
func letterID(e admin.Event) string { return fmt.Sprintf("%s.%d", e.User, e.Position) }

// explain says why a call was not delivered. Its fields are not shown: nothing was done to them.
func explain(out func(string, ...any), head, reason string, advice admin.Advice) {
	out("%s %s", head, clean(reason, 0))
	out("      %s", advice.Meaning)
	out("      %s", advice.Mend)
}

// actions are the different things that were done to fields, in the order in which they matter.
func actions(fields []admin.EventField) []string {
	var out []string
	for _, a := range []string{"set", "emptied", "unchanged", "held"} {
		if slices.ContainsFunc(fields, func(f admin.EventField) bool { return f.Action == a }) {
			out = append(out, a)
		}
	}
	return out
}

// actionEmptied is the journal's word for a field that a call empties.
const actionEmptied = "emptied"

// action is a word for what is done to fields; emptying is what one must not overlook.
func (p *program) action(action string) string {
	word := fmt.Sprintf("%-10s", action)
	if action == actionEmptied {
		return p.loud(word)
	}
	return word
}

// fieldsOf names the fields of one action, each with the trait it comes from where that has another name.
func fieldsOf(fields []admin.EventField, action string) []string {
	var out []string
	for _, f := range fields {
		if f.Action != action {
			continue
		}
		name := clean(f.Label, 60)
		if name == "" {
			name = clean(f.Field, 60)
		}
		if f.Trait != "" && f.Trait != f.Label {
			name += " (" + clean(f.Trait, 60) + ")"
		}
		out = append(out, name)
	}
	return out
}

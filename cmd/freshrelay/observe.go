package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app/config"
)

type observeCmd struct {
	Report observeReportCmd `cmd:"" help:"Count it: contacts to create and to update, fields to set and to empty, API calls, time."`
	Show   observeShowCmd   `cmd:"" help:"Show the change of one user's contact, before and after."`
}

type observeReportCmd struct{}

// Help is the long help of the subcommand.
func (observeReportCmd) Help() string {
	return `Maps all calls that wait because of delivery.mode, with today's mapping, and counts what would be done. Writes nothing. When it looks right: set delivery.mode to live (or to canary with some userIds) and restart; what waited is then delivered, in order.`
}

// Run prints the report.
func (*observeReportCmd) Run(ctx context.Context, p *program, g *globals) error {
	c, err := p.connect(g)
	if err != nil {
		return err
	}
	var f admin.Forecast
	if err := c.get(ctx, "/api/observe/report", nil, &f); err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(f)
	}
	p.printForecast(f)
	return nil
}

func (p *program) printForecast(f admin.Forecast) {
	out := func(format string, args ...any) { fmt.Fprintf(p.stdout, format+"\n", args...) }
	if f.Delivery == config.ModeLive {
		out("delivery.mode is live: nothing waits for another mode, calls are delivered as they come")
		return
	}
	out("mode        %s: %d calls of %d users wait", clean(f.Delivery, 20), f.Calls, f.Users)
	if f.Partial {
		out("            %s", p.loud("and more that are not counted: so many wait that the log is not read any further"))
	}
	out("contacts    %d to create, or found by their address", f.Create)
	out("            %d to update", f.Update)
	out("            %d have it all already", f.Unchanged)
	if f.Renamed > 0 {
		out("            %d get the userId of an alias call", f.Renamed)
	}
	if f.Erased > 0 {
		out("            %s", p.loud(fmt.Sprintf("%d users are erased, by delete calls", f.Erased)))
	}
	if f.Companies > 0 {
		out("companies   %d accounts to make, find by their name, or change", f.Companies)
	}
	if f.Activities > 0 {
		out("activities  %d track and page calls become activities or events", f.Activities)
	}
	if f.Nothing > 0 {
		out("nothing     %d users of whom nothing would be delivered", f.Nothing)
	}
	took := ""
	if f.PerHour > 0 {
		took = fmt.Sprintf("; at %d an hour that takes %s", f.PerHour, rough(time.Duration(float64(f.Requests)/float64(f.PerHour)*float64(time.Hour))))
	}
	out("API calls   %d one by one%s; updates go up to 100 in a call when many wait", f.Requests, took)
	if len(f.Fields) > 0 {
		out("")
		rows := make([]table.Row, len(f.Fields))
		for i, c := range f.Fields {
			emptied := fmt.Sprint(c.Emptied)
			if c.Emptied > 0 {
				emptied = p.loud(emptied)
			}
			rows[i] = table.Row{clean(c.Label, 40), clean(c.Field, 40), c.Set, emptied}
		}
		printTable(p.stdout, table.Row{"FIELD", "API NAME", "SET", "EMPTIED"}, rows)
	}
	if len(f.LeftOut) > 0 {
		out("")
		rows := make([]table.Row, len(f.LeftOut))
		for i, l := range f.LeftOut {
			rows[i] = table.Row{clean(l.Trait, 40), l.Calls, admin.Advise(admin.AboutLeftOut, l.Reason).Meaning}
		}
		printTable(p.stdout, table.Row{"TRAIT LEFT OUT", "CALLS", "WHY"}, rows)
		out("lines for traits without a field: freshrelay mapping suggest")
	}
	p.printDiscards(f.Discarded, f.Dead)
}

// printDiscards says why calls would not be delivered.
func (p *program) printDiscards(discarded, dead map[string]int) {
	say := func(calls map[string]int, about admin.About, what string) {
		for _, reason := range slices.Sorted(maps.Keys(calls)) {
			advice := admin.Advise(about, reason)
			fmt.Fprintf(p.stdout, "\n%d calls would %s: %s\n  %s\n  %s\n", calls[reason], what, clean(reason, 40), advice.Meaning, advice.Mend)
		}
	}
	say(discarded, admin.AboutDiscard, "be discarded")
	say(dead, admin.AboutDead, "become dead letters")
}

type observeShowCmd struct {
	UserID string `arg:"" name:"userId" help:"Whose contact."`
	NoRead bool   `help:"Do not read the contact: no API call, and nothing to compare with."`
	Reveal bool   `help:"Show the values. It is noted in the audit log."`
}

// Run shows one user.
func (c *observeShowCmd) Run(ctx context.Context, p *program, g *globals) error {
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	q := url.Values{"user_id": {c.UserID}}
	if !c.NoRead {
		q.Set("read", "true")
	}
	if c.Reveal {
		q.Set("reveal", "true")
	}
	var f admin.UserForecast
	if err := service.get(ctx, "/api/observe/user", q, &f); err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(f)
	}
	if f.Calls == 0 {
		return &failure{exitFailed, "no call of this user waits for another mode", "what became of earlier ones: freshrelay events show --user " + clean(c.UserID, 60)}
	}
	p.printUserForecast(f)
	return nil
}

func (p *program) printUserForecast(f admin.UserForecast) {
	contact := "to be created, or found by its address"
	if f.ContactID != "" {
		contact = clean(f.ContactID, 40)
	}
	fmt.Fprintf(p.stdout, "contact     %s; %d calls wait\n", contact, f.Calls)
	if f.ContactID != "" && !f.Read && len(f.Fields) > 0 {
		fmt.Fprintln(p.stdout, "            not read, so what it has now is not shown")
	}
	if f.Masked && len(f.Fields) > 0 {
		fmt.Fprintln(p.stdout, "            values are masked; --reveal shows them")
	}
	for _, r := range f.Requests {
		fmt.Fprintf(p.stdout, "API call    %s  %s %s\n", clean(r.Operation, 40), clean(r.Method, 10), clean(r.Path, 60))
	}
	for _, note := range f.Notes {
		fmt.Fprintf(p.stdout, "            %s\n", clean(note, 0))
	}
	if len(f.Fields) == 0 {
		fmt.Fprintln(p.stdout, "            no field would change")
	} else {
		rows := make([]table.Row, len(f.Fields))
		for i, c := range f.Fields {
			before := "?"
			if f.Read {
				before = valueText(c.Before)
			}
			after := valueText(c.After)
			if len(c.After) == 0 {
				after = p.loud(actionEmptied)
			}
			rows[i] = table.Row{clean(c.Label, 40), clean(before, 40), after, clean(c.Trait, 40)}
		}
		printTable(p.stdout, table.Row{"FIELD", "BEFORE", "AFTER", "TRAIT"}, rows)
	}
	for _, l := range f.LeftOut {
		fmt.Fprintf(p.stdout, "left out    %s: %s\n", clean(l.Trait, 60), admin.Advise(admin.AboutLeftOut, l.Reason).Meaning)
	}
	p.printDiscards(f.Discarded, f.Dead)
}

// valueText is a JSON value for people.
func valueText(raw json.RawMessage) string {
	var text string
	switch {
	case len(raw) == 0 || string(raw) == "null" || string(raw) == `""`:
		return "(empty)"
	case json.Unmarshal(raw, &text) == nil:
		return clean(text, 40)
	}
	return clean(string(raw), 40)
}

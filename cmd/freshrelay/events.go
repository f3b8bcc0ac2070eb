package main

import (
	"context"
	"fmt"
	"net/url"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/freshrelay/freshrelay/admin"
)

type eventsCmd struct {
	Show eventsShowCmd `cmd:"" help:"Show what became of a call, or of all calls of a user: came in, mapped, sent, answered, done."`
	Tail eventsTailCmd `cmd:"" help:"Follow what becomes of calls, as it happens."`
}

type eventsShowCmd struct {
	IDs    []string `arg:"" name:"id" help:"Message ids, or with --user userIds; - reads them from standard input."`
	User   bool     `help:"The ids are userIds: show their calls, newest last."`
	Since  string   `placeholder:"TIME" help:"Only what was settled since: 2026-11-23T16:00:00Z, or 24h for a day ago."`
	Limit  int      `default:"20" help:"With --user: at most so many calls, the newest (1 to 1000)."`
	Reveal bool     `help:"Show values of events that are dead letters, too. It is noted in the audit log."`
}

// Run shows each id in turn. One that is not found makes the exit code 1, and the others are still shown.
func (c *eventsShowCmd) Run(ctx context.Context, p *program, g *globals) error {
	since, err := parseTime("--since", c.Since)
	if err != nil {
		return err
	}
	ids, err := p.idsOf(c.IDs)
	if err != nil {
		return err
	}
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	all := admin.EventList{Events: []admin.Event{}}
	missing := 0
	for _, id := range ids {
		list, err := c.look(ctx, service, id, since)
		if err != nil {
			return err
		}
		if len(list.Events) == 0 {
			missing++
		}
		if g.Output == "json" {
			all.Events = append(all.Events, list.Events...)
			continue
		}
		p.printLife(id, list)
	}
	if g.Output == "json" {
		if err := p.printJSON(all); err != nil {
			return err
		}
	}
	if missing > 0 {
		return &failure{
			exitFailed, fmt.Sprintf("nothing is known of %d of %d", missing, len(ids)),
			"it may wait still (freshrelay status), be older than journal.max_age, or never have come in; userIds go with --user",
		}
	}
	return nil
}

func (c *eventsShowCmd) look(ctx context.Context, service *client, id string, since time.Time) (admin.EventList, error) {
	q := url.Values{"content": {"true"}}
	if c.User {
		q.Set("user_id", id)
		q.Set("limit", strconv.Itoa(c.Limit))
	} else {
		q.Set("message_id", id)
	}
	if !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	if c.Reveal {
		q.Set("reveal", "true")
	}
	var list admin.EventList
	err := service.get(ctx, "/api/events", q, &list)
	return list, err
}

// printLife shows the calls of one id.
func (p *program) printLife(id string, list admin.EventList) {
	if len(list.Events) == 0 {
		fmt.Fprintf(p.stdout, "%s  nothing in the journal\n", clean(id, 60))
		if list.Off {
			fmt.Fprintln(p.stdout, "  the journal is switched off (journal.enabled)")
		}
		return
	}
	for _, e := range list.Events {
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
		p.printEvent("  "+clock(e.At)+" ", e)
		if content, ok := list.Contents[letterID(e)]; ok {
			_ = p.printContent(content.Event, content.Masked) // it was JSON when it came
		}
	}
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

type eventsTailCmd struct {
	Audit bool `help:"Follow what operators do instead."`
}

// Run follows until it is interrupted, which is how it ends: no failure.
func (c *eventsTailCmd) Run(ctx context.Context, p *program, g *globals) error {
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	follow := p.tailEvents
	if c.Audit {
		follow = p.tailAudit
	}
	if err := follow(ctx, service, g); ctx.Err() == nil {
		return err
	}
	return nil
}

func (p *program) tailEvents(ctx context.Context, service *client, g *globals) error {
	var tail admin.EventTail
	for {
		after := strconv.FormatUint(tail.Next, 10)
		tail = admin.EventTail{}
		if err := service.get(ctx, "/api/events/tail", url.Values{"after": {after}}, &tail); err != nil {
			return err
		}
		for _, e := range tail.Events {
			if g.Output == "json" {
				if err := p.printJSON(e); err != nil {
					return err
				}
				continue
			}
			status := "-"
			if n := len(e.Calls); n > 0 {
				status = statusText(e.Calls[n-1].Status)
			}
			fmt.Fprintf(p.stdout, "%s  %-9s %-10s %-4s %s %s\n", clock(e.At), clean(e.Type, 9), clean(e.Outcome, 10), status, clean(e.MessageID, 60), clean(e.Reason, 30))
		}
	}
}

// auditPoll is how often new lines of the audit log are looked for.
const auditPoll = time.Second

func (p *program) tailAudit(ctx context.Context, service *client, g *globals) error {
	after := uint64(0)
	for first := true; ; first = false {
		q := url.Values{"after": {strconv.FormatUint(after, 10)}}
		if first {
			q.Set("limit", "10")
		}
		var list admin.AuditList
		if err := service.get(ctx, "/api/audit", q, &list); err != nil {
			return err
		}
		if err := p.printAudit(list, g); err != nil {
			return err
		}
		for _, e := range list.Entries {
			after = e.Seq
		}
		if err := wait(ctx, auditPoll); err != nil {
			return err
		}
	}
}

type auditCmd struct {
	Limit int `default:"100" help:"At most so many lines, the newest (1 to 1000)."`
}

// Run lists what operators did.
func (c *auditCmd) Run(ctx context.Context, p *program, g *globals) error {
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	var list admin.AuditList
	if err := service.get(ctx, "/api/audit", url.Values{"limit": {strconv.Itoa(c.Limit)}}, &list); err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(list)
	}
	if len(list.Entries) == 0 {
		fmt.Fprintln(p.stdout, "nobody has done anything yet")
		return nil
	}
	rows := make([]table.Row, 0, len(list.Entries))
	for _, e := range list.Entries {
		rows = append(rows, table.Row{e.At.UTC().Format(time.DateTime), clean(e.Actor, 30), clean(e.Action, 12), e.Count, clean(e.Detail, 100)})
	}
	printTable(p.stdout, table.Row{"at (UTC)", "who", "what", "count", "about"}, rows)
	return nil
}

func (p *program) printAudit(list admin.AuditList, g *globals) error {
	for _, e := range list.Entries {
		if g.Output == "json" {
			if err := p.printJSON(e); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(p.stdout, "%s  %s  %s  %d  %s\n", clock(e.At), clean(e.Actor, 30), clean(e.Action, 12), e.Count, clean(e.Detail, 0))
	}
	return nil
}

// operator is who runs the command line, for the audit log.
func operator() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

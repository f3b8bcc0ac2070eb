package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/admin"
)

type eventsCmd struct {
	Show eventsShowCmd `cmd:"" help:"Show what became of a call, or of all calls of a user: came in, mapped, sent, answered, done; or why it waits."`
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
		if len(list.Events) == 0 && len(list.Waiting) == 0 {
			missing++
		}
		if g.Output == "json" {
			all.Events, all.Waiting = append(all.Events, list.Events...), append(all.Waiting, list.Waiting...)
			all.Off, all.WaitingPart = list.Off, all.WaitingPart || list.WaitingPart
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
			"it may have been dropped at the door (screen calls, and track and page calls that no source forwards), be older than journal.max_age, " +
				"wait in another process, or never have come in; userIds go with --user",
		}
	}
	return nil
}

func (c *eventsShowCmd) look(ctx context.Context, service *client, id string, since time.Time) (admin.EventList, error) {
	q := url.Values{"content": {"true"}, "waiting": {"true"}}
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
	for {
		var list admin.EventList
		err := service.get(ctx, "/api/events", q, &list)
		if err != nil || list.Older == 0 || len(list.Events)+len(list.Waiting) > 0 {
			return list, err
		}
		q.Set("before", strconv.FormatUint(list.Older, 10)) // further back
		q.Del("waiting")
	}
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
			fmt.Fprintf(p.stdout, "%s  %-9s %-10s %-4s %s %s%s\n", clock(e.At), clean(e.Type, 9), clean(e.Outcome, 10), status, clean(e.MessageID, 60),
				clean(e.Reason, 30), p.inShort(e.Fields))
		}
	}
}

// inShort says what a call does to its contact: how many fields it sets, and which it empties.
func (p *program) inShort(fields []admin.EventField) string {
	var said string
	if set := len(fieldsOf(fields, "set")); set > 0 {
		said = fmt.Sprintf(" sets %d", set)
	}
	if emptied := fieldsOf(fields, actionEmptied); len(emptied) > 0 {
		said += " " + p.loud("empties "+clean(strings.Join(emptied, ", "), 80))
	}
	return said
}

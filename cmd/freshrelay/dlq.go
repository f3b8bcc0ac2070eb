package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/freshrelay/freshrelay/admin"
)

type dlqCmd struct {
	List    dlqListCmd    `cmd:"" help:"List dead letters, or group them by cause."`
	Show    dlqShowCmd    `cmd:"" help:"Show one: what came in, what was sent, what was answered, what to do."`
	Replay  dlqReplayCmd  `cmd:"" help:"Send dead letters again. Doing it twice does nothing twice."`
	Replays dlqReplaysCmd `cmd:"" help:"List replays: what they did, and which can go on."`
	Discard dlqDiscardCmd `cmd:"" help:"Give dead letters up, with a note."`
	Export  dlqExportCmd  `cmd:"" help:"Write dead letters to a file, as JSON Lines with their events: personal data."`
	Import  dlqImportCmd  `cmd:"" help:"Put exported letters back."`
}

type dlqListCmd struct {
	filterFlags

	Group  bool   `help:"Group by cause, with counts: what one mend should help stands in one line."`
	Sort   string `help:"Sort by position, first_try, last_try, attempts, reason, type, source, user or message_id; -first_try is the reverse. Else in the order in which they were set aside last."`
	Limit  int    `default:"100" help:"At most so many (1 to 1000)."`
	Offset int    `help:"Leave out so many at the beginning."`
	After  string `help:"Go on behind an earlier page: what it printed as --after."`
}

// Run lists letters; with -o json exactly as the service gives them.
func (c *dlqListCmd) Run(ctx context.Context, p *program, g *globals) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	if c.Group {
		var list admin.GroupList
		if err := service.get(ctx, "/api/letters/groups", q, &list); err != nil {
			return err
		}
		if g.Output == "json" {
			return p.printJSON(list)
		}
		p.printGroups(list)
		return nil
	}
	q.Set("limit", strconv.Itoa(c.Limit))
	q.Set("offset", strconv.Itoa(c.Offset))
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("sort", c.Sort)
	set("after", c.After)
	var list admin.LetterList
	if err := service.get(ctx, "/api/letters", q, &list); err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(list)
	}
	p.printLetters(list)
	return nil
}

func (p *program) printLetters(list admin.LetterList) {
	if len(list.Letters) == 0 {
		fmt.Fprintf(p.stdout, "no dead letters here (%d in all)\n", list.Total)
		return
	}
	rows := make([]table.Row, 0, len(list.Letters))
	for _, l := range list.Letters {
		rows = append(rows, table.Row{
			clean(l.ID, 0), clean(l.Type, 10), clean(l.Source, 20), clean(l.Reason, 20), clean(l.Field, 24), statusText(l.Status), l.Attempts,
			l.LastTry.UTC().Format(time.DateTime), clean(answerText(l.Error), 60),
		})
	}
	printTable(p.stdout, table.Row{"id", "type", "source", "reason", "field", "status", "tries", "last try (UTC)", "error"}, rows)
	if list.Next != "" {
		fmt.Fprintf(p.stdout, "%d of %d; the next page: --after %s\n", len(list.Letters), list.Total, clean(list.Next, 0))
	} else if list.Total > len(list.Letters) {
		fmt.Fprintf(p.stdout, "%d of %d; this is the last page\n", len(list.Letters), list.Total)
	}
}

// answerText is what Freshmarketer said, without what stands before it in the stored error: operation and class are
// shown by themselves, and the end of a long line is what gets cut.
func answerText(stored string) string {
	if _, said, ok := strings.Cut(stored, "): "); ok && strings.HasPrefix(stored, "freshmarketer: ") {
		return said
	}
	return strings.TrimPrefix(stored, "freshmarketer: ")
}

func statusText(status int) string {
	if status == 0 {
		return "-"
	}
	return strconv.Itoa(status)
}

type dlqShowCmd struct {
	ID     string `arg:"" help:"Id of the letter, as dlq list shows it."`
	Reveal bool   `help:"Show the event's values too. It is noted in the audit log."`
}

// Run shows one letter.
func (c *dlqShowCmd) Run(ctx context.Context, p *program, g *globals) error {
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	q := url.Values{}
	if c.Reveal {
		q.Set("reveal", "true")
	}
	var view admin.LetterView
	if err := service.get(ctx, "/api/letters/"+url.PathEscape(c.ID), q, &view); err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(view)
	}
	return p.printLetter(view)
}

func (p *program) printLetter(v admin.LetterView) error {
	out := func(name, value string) { fmt.Fprintf(p.stdout, "%-12s%s\n", name, value) }
	out("letter", clean(v.ID, 0))
	out("reason", clean(v.Reason, 0)+": "+v.Meaning)
	if v.Field != "" {
		out("field", clean(v.Field, 0))
	}
	out("cause", clean(v.Cause, 0)+"   (all with it: freshrelay dlq list --cause "+clean(v.Cause, 0)+")")
	fmt.Fprintln(p.stdout, "\ncame in")
	out("  call", clean(fmt.Sprintf("%s, message id %s, source %s, by %s", v.Type, v.MessageID, v.Source, v.Surface), 0))
	if !v.ReceivedAt.IsZero() {
		out("  received", v.ReceivedAt.UTC().Format(time.RFC3339))
	}
	if len(v.Edited) > 0 {
		out("  changed", clean(strings.Join(v.Edited, ", "), 0)+" by operators; the event below is as it came in")
	}
	if err := p.printContent(v.Event, v.Masked); err != nil {
		return err
	}
	p.printTries(v)
	fmt.Fprintln(p.stdout, "\nwhat to do")
	out("  mend", v.WhatToDo)
	out("  more", v.Docs+", under "+clean(v.Reason, 0))
	return nil
}

// printTries shows what was sent and answered: of the tries that the journal still has, and of the last in any case.
func (p *program) printTries(v admin.LetterView) {
	fmt.Fprintf(p.stdout, "\nsent and answered (tries: %d, first %s, last %s)\n", v.Attempts, v.FirstTry.UTC().Format(time.RFC3339), v.LastTry.UTC().Format(time.RFC3339))
	for _, e := range v.History {
		fmt.Fprintf(p.stdout, "  %s  %s\n", e.At.UTC().Format(time.RFC3339), strings.TrimSpace(clean(e.Outcome+" "+e.Reason, 60)))
		for _, c := range e.Calls {
			p.printCall("      ", c)
		}
	}
	if v.Error != "" || v.Status != 0 {
		fmt.Fprintf(p.stdout, "  last answer: %s\n", strings.TrimSpace(statusText(v.Status)+" "+clean(answerText(v.Error), 0)))
	}
}

// printContent shows an event.
func (p *program) printContent(event json.RawMessage, masked bool) error {
	note := ""
	if masked {
		note = " (values masked; --reveal shows them)"
	}
	fmt.Fprintln(p.stdout, "  event"+note)
	if len(event) == 0 || string(event) == "null" {
		fmt.Fprintln(p.stdout, "    cannot be read as one")
		return nil
	}
	var b bytes.Buffer
	if err := json.Indent(&b, event, "    ", "  "); err != nil {
		return fmt.Errorf("read the event: %w", err)
	}
	for line := range strings.Lines("    " + b.String()) {
		fmt.Fprintln(p.stdout, clean(strings.TrimRight(line, "\n"), 0))
	}
	return nil
}

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
	List   dlqListCmd   `cmd:"" help:"List dead letters, oldest first."`
	Show   dlqShowCmd   `cmd:"" help:"Show one: what came in, what went wrong, what to do."`
	Replay dlqReplayCmd `cmd:"" help:"Send dead letters again. Doing it twice does nothing twice."`
}

type dlqListCmd struct {
	Reason string `help:"Only letters of this class, like invalid or exhausted."`
	Type   string `help:"Only calls of this type."`
	Source string `help:"Only calls of this source."`
	UserID string `name:"user-id" help:"Only calls of this userId."`
	User   string `help:"Only calls of this user, as the list shows it."`
	Limit  int    `default:"100" help:"At most so many (1 to 1000)."`
	Offset int    `help:"Leave out so many at the beginning."`
}

// Run lists letters; with -o json exactly as the service gives them.
func (c *dlqListCmd) Run(ctx context.Context, p *program, g *globals) error {
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	q := url.Values{"limit": {strconv.Itoa(c.Limit)}, "offset": {strconv.Itoa(c.Offset)}}
	for name, value := range map[string]string{
		"reason": c.Reason, "type": c.Type, "source": c.Source, "user_id": c.UserID, "user": c.User,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
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
	if more := list.Total - len(list.Letters); more > 0 {
		fmt.Fprintf(p.stdout, "%d of %d; see --limit and --offset\n", len(list.Letters), list.Total)
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
	Reveal bool   `help:"Show the event's values too. The service notes it in its log."`
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
	out("call", clean(fmt.Sprintf("%s, message id %s, source %s, by %s", v.Type, v.MessageID, v.Source, v.Surface), 0))
	if !v.ReceivedAt.IsZero() {
		out("received", v.ReceivedAt.UTC().Format(time.RFC3339))
	}
	out("reason", clean(v.Reason, 0)+": "+v.Meaning)
	if v.Field != "" {
		out("field", clean(v.Field, 0))
	}
	if v.Error != "" || v.Status != 0 {
		out("answer", strings.TrimSpace(statusText(v.Status)+" "+clean(answerText(v.Error), 0)))
	}
	out("tries", fmt.Sprintf("%d, first %s, last %s", v.Attempts, v.FirstTry.UTC().Format(time.RFC3339), v.LastTry.UTC().Format(time.RFC3339)))
	out("what to do", v.WhatToDo)
	note := ""
	if v.Masked {
		note = " (values masked; --reveal shows them)"
	}
	fmt.Fprintln(p.stdout, "\nevent"+note)
	if len(v.Event) == 0 || string(v.Event) == "null" {
		fmt.Fprintln(p.stdout, "cannot be read as one")
		return nil
	}
	var b bytes.Buffer
	if err := json.Indent(&b, v.Event, "", "  "); err != nil {
		return fmt.Errorf("read the event: %w", err)
	}
	for line := range strings.Lines(b.String()) {
		fmt.Fprintln(p.stdout, clean(strings.TrimRight(line, "\n"), 0))
	}
	return nil
}

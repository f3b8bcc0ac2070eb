package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/freshrelay/freshrelay/admin"
)

type dlqReplayCmd struct {
	selectionFlags

	Set     []string      `placeholder:"PATH=VALUE" sep:"none" help:"Change a value first: traits.plan=Gold. traits.logins:=13 takes JSON (a number, true, null). Repeatable. The stored event stays as it is."`
	Unset   []string      `placeholder:"PATH" sep:"none" help:"Leave a value out first: traits.plan. Repeatable."`
	DryRun  bool          `help:"Show the requests that would be made with today's mapping, and make none."`
	Reveal  bool          `help:"With --dry-run: show values too. It is noted in the audit log."`
	Limit   int           `default:"20" help:"With --dry-run: show so many letters (1 to 100)."`
	Yes     bool          `short:"y" help:"Do not ask."`
	NoWait  bool          `help:"Do not wait: the service goes on by itself."`
	Resume  string        `placeholder:"REPLAY" help:"Go on with a stopped replay, or follow a running one; see dlq replays."`
	Timeout time.Duration `default:"0" help:"Wait for outcomes no longer than this; 0 waits until the end."`
}

type dlqDiscardCmd struct {
	selectionFlags

	Note    string        `required:"" help:"Why they are given up. It goes into the audit log: name no people."`
	Yes     bool          `short:"y" help:"Do not ask."`
	NoWait  bool          `help:"Do not wait: the service goes on by itself."`
	Timeout time.Duration `default:"0" help:"Wait for outcomes no longer than this; 0 waits until the end."`
}

type dlqReplaysCmd struct{}

// ReplayReport is what `dlq replay -o json` prints: selected = delivered + discarded + dead + gone + waiting.
type ReplayReport struct {
	admin.Replay

	Missing []string `json:"missing"` // ids that were no dead letters (any more)
}

// Run counts, asks, replays and follows the letters to their outcomes.
func (c *dlqReplayCmd) Run(ctx context.Context, p *program, g *globals) error {
	if c.Resume != "" {
		return c.resume(ctx, p, g)
	}
	sel, err := c.selection(p)
	if err != nil {
		return err
	}
	req := admin.ReplayRequest{Selection: sel, Action: "replay"}
	for _, set := range c.Set {
		path, value, err := parseSet(set)
		if err != nil {
			return err
		}
		req.Edits = append(req.Edits, editOf(path, value))
	}
	for _, path := range c.Unset {
		req.Edits = append(req.Edits, editOf(path, nil))
	}
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	if c.DryRun {
		return c.dryRun(ctx, p, g, service, req)
	}
	r := replaying{p: p, g: g, service: service, yes: c.Yes, noWait: c.NoWait, timeout: c.Timeout, verb: "Send", doing: "replaying"}
	return r.run(ctx, req)
}

// Run counts, asks and gives letters up.
func (c *dlqDiscardCmd) Run(ctx context.Context, p *program, g *globals) error {
	sel, err := c.selection(p)
	if err != nil {
		return err
	}
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	r := replaying{p: p, g: g, service: service, yes: c.Yes, noWait: c.NoWait, timeout: c.Timeout, verb: "Give up", doing: "giving up"}
	return r.run(ctx, admin.ReplayRequest{Selection: sel, Action: "discard", Note: c.Note})
}

// parseSet reads path=text or path:=JSON.
func parseSet(set string) (path string, value json.RawMessage, err error) {
	path, text, found := strings.Cut(set, "=")
	if !found || path == "" {
		return "", nil, &failure{exitUsage, "--set is not PATH=VALUE: " + clean(path, 60), "write it like --set traits.plan=Gold, or --set traits.logins:=13"}
	}
	if path, isJSON := strings.CutSuffix(path, ":"); isJSON {
		if !json.Valid([]byte(text)) {
			return "", nil, &failure{exitUsage, "the value of --set " + clean(path, 60) + " is not JSON", "text goes with =, a number, true, false or null with :="}
		}
		return path, json.RawMessage(text), nil
	}
	value, err = json.Marshal(text)
	return path, value, err
}

// replaying is a replay, or a discard, from the question to the report.
type replaying struct {
	p           *program
	g           *globals
	service     *client
	yes, noWait bool
	timeout     time.Duration
	verb, doing string
}

func (r *replaying) run(ctx context.Context, req admin.ReplayRequest) error {
	var found admin.Counted
	if err := r.service.post(ctx, "/api/letters/count", req.Selection, &found); err != nil {
		return err
	}
	report := ReplayReport{Missing: found.Missing}
	if found.Count == 0 {
		return r.show(report)
	}
	if err := r.confirm(found); err != nil {
		return err
	}
	// An interrupt in the middle of this would leave a replay that nobody knows of; it is heard right after.
	startCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startPatience)
	defer cancel()
	if err := r.service.post(startCtx, "/api/replays", req, &report.Replay); err != nil {
		return err
	}
	if r.noWait {
		return r.show(report)
	}
	err := r.follow(ctx, &report.Replay, found.Count)
	return errors.Join(r.show(report), err)
}

// confirm says what is selected and asks, if there is somebody to ask.
func (r *replaying) confirm(found admin.Counted) error {
	if r.yes || !isTerminal(r.p.stdin) {
		return nil
	}
	for _, g := range found.Groups {
		fmt.Fprintf(r.p.stderr, "%8d  %s %s  %s\n", g.Count, clean(g.Reason, 20), clean(g.Field, 24), clean(answerText(g.Error), 60))
	}
	again := " again"
	if r.verb != "Send" {
		again = ""
	}
	return ask(r.p, fmt.Sprintf("%s %s%s?", r.verb, letters(found.Count), again))
}

// ask puts a question to which only a yes is a yes.
func ask(p *program, question string) error {
	fmt.Fprint(p.stderr, question+" [y/N] ")
	answer, err := bufio.NewReader(p.stdin).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	if err != nil {
		fmt.Fprintln(p.stderr)
	}
	return &failure{exitFailed, "nothing was done", "say yes, or use --yes"}
}

// startPatience and stopPatience bound what is asked of the service whatever interrupts.
const (
	startPatience = 40 * time.Second
	stopPatience  = 5 * time.Second
)

// follow shows how far the replay is until it ends. An interrupt stops it; the end of the patience leaves it alone.
func (r *replaying) follow(ctx context.Context, report *admin.Replay, total int) error {
	waitCtx := ctx
	if r.timeout > 0 {
		var cancel context.CancelFunc
		waitCtx, cancel = context.WithTimeout(ctx, r.timeout)
		defer cancel()
	}
	b := r.p.newBar(r.doing, max(total, report.Selected))
	defer b.stop()
	for pause := r.p.poll; ; pause = longer(pause) {
		before := report.Selected - report.Waiting
		err := r.service.get(waitCtx, "/api/replays/"+url.PathEscape(report.ID), nil, report)
		switch {
		case ctx.Err() != nil:
			return r.stop(ctx, report)
		case waitCtx.Err() != nil:
			return nil
		case err != nil && !unreachableNow(err):
			return err
		}
		b.set(report.Selected-report.Waiting, fmt.Sprintf("%s: %d delivered, %d discarded, %d dead", r.doing, report.Deliver, report.Discard, report.Dead))
		if err == nil && report.State != "running" {
			return nil
		}
		if report.Selected-report.Waiting != before {
			pause = r.p.poll
		}
		if wait(waitCtx, pause) != nil && ctx.Err() == nil {
			return nil
		}
	}
}

// unreachableNow says that the service does not answer, which it may again: a replay outlives a restart.
func unreachableNow(err error) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && f.code == exitUnreachable
}

// stop ends the replay behind an interrupt. What is in the log already still happens.
func (r *replaying) stop(ctx context.Context, report *admin.Replay) error {
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	path := "/api/replays/" + url.PathEscape(report.ID)
	if err := r.service.post(stopCtx, path+"/stop", struct{}{}, report); err != nil {
		return &failure{exitPartial, "interrupted, and the service could not be told to stop", "it goes on by itself; see: freshrelay dlq replays"}
	}
	for pause := r.p.poll; report.Waiting > 0; pause = longer(pause) { // the few that were under way
		if wait(stopCtx, pause) != nil || r.service.get(stopCtx, path, nil, report) != nil {
			break
		}
	}
	return nil
}

func (c *dlqReplayCmd) resume(ctx context.Context, p *program, g *globals) error {
	if len(c.IDs) > 0 || c.All || len(c.Set) > 0 || len(c.Unset) > 0 || c.filterFlags != (filterFlags{}) {
		return &failure{exitUsage, "--resume goes on with what was selected then", "leave out ids, filters and changes"}
	}
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	r := replaying{p: p, g: g, service: service, noWait: c.NoWait, timeout: c.Timeout, doing: "replaying"}
	report := ReplayReport{Missing: []string{}}
	path := "/api/replays/" + url.PathEscape(c.Resume)
	if err := service.get(ctx, path, nil, &report.Replay); err != nil {
		return err
	}
	if report.State == "stopped" {
		if err := service.post(ctx, path+"/resume", struct{}{}, &report.Replay); err != nil {
			return err
		}
	}
	if r.noWait {
		return r.show(report)
	}
	err = r.follow(ctx, &report.Replay, report.Selected)
	return errors.Join(r.show(report), err)
}

// show prints the report and turns it into an exit code.
func (r *replaying) show(report ReplayReport) error {
	if r.g.Output == "json" {
		if err := r.p.printJSON(report); err != nil {
			return err
		}
	} else {
		r.p.printReplay(report, r.noWait)
	}
	return report.failure(r.noWait)
}

func (p *program) printReplay(r ReplayReport, noWait bool) {
	for _, id := range r.Missing {
		fmt.Fprintf(p.stdout, "%s is no dead letter (any more): it was delivered, or never was one\n", clean(id, 60))
	}
	if r.ID == "" {
		fmt.Fprintln(p.stdout, "nothing to do: no dead letter is selected")
		return
	}
	if noWait {
		fmt.Fprintf(p.stdout, "replay %s has begun; follow it: freshrelay dlq replay --resume %s\n", clean(r.ID, 20), clean(r.ID, 20))
		return
	}
	fmt.Fprintf(p.stdout, "%s %s: %s taken up = %d delivered + %d discarded + %d dead again + %d gone + %d waiting\n",
		r.Action, clean(r.ID, 20), letters(r.Selected), r.Deliver, r.Discard, r.Dead, r.Gone, r.Waiting)
	for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
		fmt.Fprintf(p.stdout, "%8d  %s\n", r.Reasons[reason], clean(reason, 60))
	}
	if r.Gone > 0 {
		fmt.Fprintf(p.stdout, "%8d  had been settled by something else before their turn\n", r.Gone)
	}
	if len(r.Held) > 0 {
		fmt.Fprintln(p.stdout, "held back, because the contact has something newer:")
		for _, field := range slices.Sorted(maps.Keys(r.Held)) {
			fmt.Fprintf(p.stdout, "%8d  %s\n", r.Held[field], clean(field, 60))
		}
	}
	if r.State == "stopped" {
		fmt.Fprintf(p.stdout, "stopped; to go on: freshrelay dlq replay --resume %s\n", clean(r.ID, 20))
	}
}

// failure is the report as an exit code: all went well, some of it did, or none.
func (r ReplayReport) failure(noWait bool) error {
	next := "see why: freshrelay dlq list --group; then mend it and replay again"
	switch {
	case noWait || r.ID == "":
		return nil
	case r.State == "stopped":
		return &failure{exitPartial, "stopped before the end", "go on: freshrelay dlq replay --resume " + r.ID}
	case r.Dead > 0 && r.Dead == r.Selected:
		return &failure{exitFailed, letters(r.Dead) + " failed again", next}
	case r.Dead > 0:
		return &failure{exitPartial, fmt.Sprintf("%d of %s failed again", r.Dead, letters(r.Selected)), next}
	case r.Waiting > 0 || r.State == "running":
		return &failure{exitPartial, "the outcome of some letters is not known yet", "the service goes on with it; see: freshrelay dlq replays"}
	}
	return nil
}

// Run lists the replays that are remembered.
func (*dlqReplaysCmd) Run(ctx context.Context, p *program, g *globals) error {
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	var list admin.ReplayList
	if err := service.get(ctx, "/api/replays", nil, &list); err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(list)
	}
	if len(list.Replays) == 0 {
		fmt.Fprintln(p.stdout, "no replays yet")
		return nil
	}
	rows := make([]table.Row, 0, len(list.Replays))
	for _, r := range list.Replays {
		rows = append(rows, table.Row{
			clean(r.ID, 20), clean(r.Action, 10), clean(r.State, 10), r.Created.UTC().Format(time.DateTime), r.Selected, r.Deliver, r.Discard, r.Dead, r.Gone,
			r.Waiting, clean(r.Actor, 30),
		})
	}
	printTable(p.stdout, table.Row{"replay", "action", "state", "begun (UTC)", "letters", "delivered", "discarded", "dead", "gone", "waiting", "by"}, rows)
	return nil
}

func letters(n int) string {
	if n == 1 {
		return "1 dead letter"
	}
	return fmt.Sprintf("%d dead letters", n)
}

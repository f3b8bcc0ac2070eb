package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/admin"
)

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

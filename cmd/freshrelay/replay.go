package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

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

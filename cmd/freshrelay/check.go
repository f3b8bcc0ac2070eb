package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
)

type checkCmd struct {
	Public    bool   `help:"Also send a call to the running service by its public address, signed like Segment's, and follow it."`
	Offline   bool   `help:"Ask neither the account nor the running service."`
	Catalogue string `placeholder:"FILE" help:"Saved contact fields to check the mapping with, instead of asking the account."`
	Strict    bool   `help:"Warnings count as problems."`
	Record    string `placeholder:"FILE" help:"Write how the account answers to this file, - for standard output: forms of answers without values, to be sent to freshrelay's authors. A dozen more API calls, all of which only read."`
}

// Help is the long help of the subcommand.
func (checkCmd) Help() string {
	return `Looks at the configuration, the data directory and its disk or the NATS servers and their streams, the addresses, the running service, the quota and what comes, the account's key and fields and how the mapping fits them, says what is wrong and how to mend it, and what happens to each type of call and to new contacts. Changes nothing; costs two API calls, two more if track or page calls become activities. With --sandbox the account is a sandbox made for the check. With --public a call without a userId goes through the service, which discards it.

Exit codes: 0 all is well, 1 something does not work, 2 the configuration cannot be used.`
}

// Run checks; with -o json it prints the report.
func (c *checkCmd) Run(ctx context.Context, p *program, g *globals) error {
	if cfg, err := config.LoadAdmin(p.options(g)); err == nil { // what is wrong with it is the report's to say
		p.preferSandbox(cfg, g)
	}
	o := app.CheckOptions{Config: p.options(g), Version: version(), HTTP: p.http, Public: c.Public, Offline: c.Offline}
	if c.Catalogue != "" {
		var err error
		if o.Fields, err = (fieldSource{Catalogue: c.Catalogue}).read(p); err != nil {
			return err
		}
	}
	report := app.Check(ctx, o)
	if report.Reachable {
		if err := c.follow(ctx, p, g, &report); err != nil {
			return err
		}
	}
	if g.Output == "json" {
		if err := p.printJSON(report); err != nil {
			return err
		}
	} else {
		p.printCheck(report)
	}
	if c.Record != "" && report.Usable {
		if err := c.record(ctx, p, o); err != nil {
			return err
		}
	}
	problems := report.Problems
	if c.Strict {
		problems += report.Warnings
	}
	switch {
	case !report.Usable:
		return &failure{exitUsage, "the configuration cannot be used; problems: " + fmt.Sprint(report.Problems), "correct it and check again"}
	case problems > 0:
		return &failure{exitFailed, fmt.Sprintf("problems: %d, warnings: %d", report.Problems, report.Warnings), "mend them and check again"}
	}
	return nil
}

// record writes what the account's answers look like.
func (c *checkCmd) record(ctx context.Context, p *program, o app.CheckOptions) error {
	found, err := app.Record(ctx, o)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(found, "", "  ")
	if err != nil {
		return fmt.Errorf("write the record: %w", err)
	}
	text = append(text, '\n')
	if c.Record == "-" {
		_, err = p.stdout.Write(text)
		return err
	}
	if err := os.WriteFile(p.path(c.Record), text, 0o600); err != nil {
		return &failure{exitFailed, "the record cannot be written: " + err.Error(), "name another file with --record"}
	}
	fmt.Fprintf(p.stderr, "recorded how %d calls are answered in %s: no values, but look through it before you send it\n", len(found.Calls), c.Record)
	return nil
}

func (p *program) printCheck(r app.CheckReport) {
	for _, f := range r.Findings {
		level := f.Level
		if f.Level == app.LevelProblem {
			level = p.loud(f.Level)
		}
		fmt.Fprintf(p.stdout, "%-8s %-14s %s\n", level, f.Area, clean(f.What, 0))
		if f.Mend != "" {
			fmt.Fprintf(p.stdout, "%-8s %-14s → %s\n", "", "", clean(f.Mend, 0))
		}
	}
	if len(r.Calls) > 0 {
		fmt.Fprintln(p.stdout)
		var rows []table.Row
		for _, c := range r.Calls {
			rows = append(rows, table.Row{strings.TrimSpace(c.Type + " " + c.Which), clean(c.Fate, 0)})
			if c.Switch != "" {
				rows = append(rows, table.Row{"", "→ " + clean(c.Switch, 0)})
			}
		}
		printTable(p.stdout, table.Row{"CALL", "WHAT HAPPENS, → HOW TO HAVE IT OTHERWISE"}, rows)
	}
	if len(r.NewContacts) > 0 {
		fmt.Fprintln(p.stdout)
		rows := make([]table.Row, len(r.NewContacts))
		for i, v := range r.NewContacts {
			rows[i] = table.Row{clean(v.Field, 40), clean(v.Value, 60), v.By}
		}
		printTable(p.stdout, table.Row{"A NEW CONTACT GETS", "", "FROM"}, rows)
	}
}

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
)

type mappingCmd struct {
	Explain explainCmd `cmd:"" help:"Say what calls would do to their contacts, trait by trait, without doing it."`
	Suggest suggestCmd `cmd:"" help:"Propose lines for mapping.traits from the traits that find no field."`
	Fields  fieldsCmd  `cmd:"" help:"List the account's contact fields, or save them for use without the account."`
}

// fieldSource is where a subcommand takes the account's fields from.
type fieldSource struct {
	Catalogue string `placeholder:"FILE" help:"Saved contact fields: work offline, with this file and the configuration's mapping. See: freshrelay mapping fields --save FILE."`
	API       bool   `name:"api" help:"Ask the Freshmarketer API for the fields with the configuration's key, instead of the running service."`
}

// local reports whether no service is asked.
func (f fieldSource) local() bool { return f.Catalogue != "" || f.API }

// read returns the saved fields, nil if the API is to be asked.
func (f fieldSource) read(p *program) ([]byte, error) {
	if f.Catalogue == "" {
		return nil, nil
	}
	data, err := p.readFile(f.Catalogue)
	if err != nil {
		return nil, &failure{exitUsage, fmt.Sprintf("cannot read the contact fields: %v", err), "save them with: freshrelay mapping fields --save FILE"}
	}
	return data, nil
}

// config is the configuration for work without a service. Offline nothing of it is needed but the mapping, so a wrong
// account does not matter then.
func (f fieldSource) config(p *program, g *globals) (config.Config, error) {
	if f.Catalogue != "" {
		return config.LoadMapping(p.options(g))
	}
	return config.Load(p.options(g))
}

// fieldError says what is wrong with saved fields, or with asking for them.
func fieldError(err error) error {
	if _, ok := errors.AsType[*config.Error](err); ok {
		return err
	}
	return &failure{exitFailed, err.Error(), "check the file, or the account with: freshrelay check"}
}

type explainCmd struct {
	Files []string `arg:"" name:"file" help:"Files with a call, an array of calls or a batch, as JSON; - is standard input."`
	fieldSource

	Record string `placeholder:"FILE" help:"With --catalogue or --api: what is remembered of the user; -o json prints it under records."`
	Source string `placeholder:"NAME" help:"Source that would send the calls (else the first one of the configuration)."`
}

// Help is the long help of the subcommand.
func (explainCmd) Help() string {
	return `Shows, for each call, the exact API requests and what becomes of each trait: which field it finds by which rule, what value is sent, and why it is left out. Nothing is sent or remembered. Calls of one file are taken one after the other.

Without a flag the running service is asked: its fields, and what it remembers of the user. With --catalogue nothing is asked at all, with --api only the account's fields.`
}

// Run explains the files' calls.
func (c *explainCmd) Run(ctx context.Context, p *program, g *globals) error {
	calls, err := p.readCalls(c.Files)
	if err != nil {
		return err
	}
	report, err := c.explain(ctx, p, g, calls)
	if err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(report)
	}
	for _, e := range report.Explanations {
		p.printExplanation(e)
	}
	return nil
}

func (c *explainCmd) explain(ctx context.Context, p *program, g *globals, calls [][]byte) (app.ExplainReport, error) {
	if !c.local() {
		return c.ask(ctx, p, g, calls)
	}
	cfg, err := c.config(p, g)
	if err != nil {
		return app.ExplainReport{}, err
	}
	o := app.ExplainOptions{Config: cfg, Source: c.source(cfg), Now: time.Now(), Version: version()}
	if o.Fields, err = c.read(p); err != nil {
		return app.ExplainReport{}, err
	}
	if c.Record != "" {
		if o.Record, err = p.readFile(c.Record); err != nil {
			return app.ExplainReport{}, &failure{exitUsage, fmt.Sprintf("cannot read the record: %v", err), "name a file with one of the records that -o json prints"}
		}
	}
	report, err := app.Explain(ctx, o, calls)
	if err != nil {
		return report, fieldError(err)
	}
	return report, nil
}

// ask has the running service explain.
func (c *explainCmd) ask(ctx context.Context, p *program, g *globals, calls [][]byte) (app.ExplainReport, error) {
	if c.Record != "" {
		return app.ExplainReport{}, &failure{exitUsage, "--record is for work without the service, which has records of its own", "leave it out, or give --catalogue or --api"}
	}
	cfg, err := p.service(g)
	if err != nil {
		return app.ExplainReport{}, err
	}
	service, err := p.clientFor(cfg, g)
	if err != nil {
		return app.ExplainReport{}, err
	}
	req := admin.ExplainRequest{Source: c.source(cfg)}
	for _, call := range calls {
		req.Calls = append(req.Calls, call)
	}
	var got admin.ExplainAnswer
	if err := service.post(ctx, "/api/mapping/explain", req, &got); err != nil {
		return app.ExplainReport{}, err
	}
	return app.ExplainReport{Explanations: got.Explanations}, nil
}

func (c *explainCmd) source(cfg config.Config) string {
	first := "website"
	if len(cfg.Sources) > 0 {
		first = cfg.Sources[0].Name
	}
	return cmp.Or(c.Source, first)
}

// readCalls takes files with calls apart.
func (p *program) readCalls(files []string) ([][]byte, error) {
	var calls [][]byte
	for _, name := range files {
		data, err := p.readFile(name)
		if err != nil {
			return nil, &failure{exitUsage, fmt.Sprintf("cannot read the calls: %v", err), "name files with calls as JSON"}
		}
		list, err := splitCalls(data)
		if err != nil {
			return nil, &failure{exitUsage, fmt.Sprintf("%s: %v", name, err), "a file holds one call, an array of calls, or {\"batch\": […]}"}
		}
		calls = append(calls, list...)
	}
	return calls, nil
}

// splitCalls takes apart what one file holds.
func splitCalls(data []byte) ([][]byte, error) {
	data = bytes.TrimSpace(data)
	var batch struct {
		Batch []json.RawMessage `json:"batch"`
	}
	var err error
	if bytes.HasPrefix(data, []byte("[")) {
		err = json.Unmarshal(data, &batch.Batch)
	} else {
		err = json.Unmarshal(data, &batch)
	}
	if err != nil {
		return nil, fmt.Errorf("not JSON with calls: %w", err)
	}
	if batch.Batch == nil {
		return [][]byte{data}, nil
	}
	calls := make([][]byte, len(batch.Batch))
	for i, c := range batch.Batch {
		calls[i] = c
	}
	return calls, nil
}

type fieldsCmd struct {
	fieldSource

	Save string `placeholder:"FILE" help:"Write the fields to this file, in the shape of the account's API, for --catalogue."`
}

// Run lists or saves the fields.
func (c *fieldsCmd) Run(ctx context.Context, p *program, g *globals) error {
	data, err := c.fields(ctx, p, g)
	if err != nil {
		return err
	}
	if c.Save != "" {
		if err := os.WriteFile(p.path(c.Save), data, 0o600); err != nil {
			return &failure{exitFailed, fmt.Sprintf("cannot save the fields: %v", err), "name a file you may write"}
		}
		fmt.Fprintln(p.stdout, "saved; use it with: freshrelay mapping explain --catalogue "+c.Save+" FILE")
		return nil
	}
	if g.Output == "json" {
		_, err := p.stdout.Write(data)
		return err
	}
	list, err := app.DescribeFields(data)
	if err != nil {
		return fieldError(err)
	}
	rows := make([]table.Row, 0, len(list))
	for _, f := range list {
		rows = append(rows, table.Row{clean(f.Label, 40), clean(f.Name, 50), f.Type, f.Written, clean(strings.Join(f.Choices, " | "), 60)})
	}
	printTable(p.stdout, table.Row{"LABEL", "API NAME", "TYPE", "WRITTEN", "CHOICES"}, rows)
	return nil
}

func (c *fieldsCmd) fields(ctx context.Context, p *program, g *globals) ([]byte, error) {
	if !c.local() {
		service, err := p.connect(g)
		if err != nil {
			return nil, err
		}
		var list json.RawMessage
		if err := service.get(ctx, "/api/mapping/fields", nil, &list); err != nil {
			return nil, err
		}
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, list, "", " "); err != nil {
			return nil, fmt.Errorf("shape the fields: %w", err)
		}
		return append(pretty.Bytes(), '\n'), nil
	}
	cfg, err := c.config(p, g)
	if err != nil {
		return nil, err
	}
	saved, err := c.read(p)
	if err != nil {
		return nil, err
	}
	data, err := app.FieldFile(ctx, cfg, saved, version())
	if err != nil {
		return nil, fieldError(err)
	}
	return data, nil
}

package main

import (
	"context"
	"fmt"
	"net/url"
	"os/user"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/freshrelay/freshrelay/admin"
)

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

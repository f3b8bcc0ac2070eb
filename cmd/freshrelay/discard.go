package main

import (
	"context"
	"time"

	"github.com/freshrelay/freshrelay/admin"
)

type dlqDiscardCmd struct {
	selectionFlags

	Note    string        `required:"" help:"Why they are given up. It goes into the audit log: name no people."`
	Yes     bool          `short:"y" help:"Do not ask."`
	NoWait  bool          `help:"Do not wait: the service goes on by itself."`
	Timeout time.Duration `default:"0" help:"Wait for outcomes no longer than this; 0 waits until the end."`
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

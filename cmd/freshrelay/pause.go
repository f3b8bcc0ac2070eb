package main

import (
	"context"
	"fmt"

	"github.com/freshrelay/freshrelay/admin"
)

type (
	pauseCmd struct {
		Note string `placeholder:"TEXT" help:"Why, for whoever looks at status and audit."`
	}
	resumeCmd struct{}
)

// Run stops all calls of the API. The order is kept: it outlives a restart, and holds for all processes of the store.
func (c *pauseCmd) Run(ctx context.Context, p *program, g *globals) error {
	return p.order(ctx, g, "/api/pause", admin.PauseRequest{Note: c.Note}, "sending is paused; calls are taken in and wait. To go on: freshrelay resume")
}

// Run ends a pause.
func (*resumeCmd) Run(ctx context.Context, p *program, g *globals) error {
	return p.order(ctx, g, "/api/resume", struct{}{}, "sending goes on")
}

func (p *program) order(ctx context.Context, g *globals, path string, body any, done string) error {
	c, err := p.connect(g)
	if err != nil {
		return err
	}
	var sent admin.Sent
	if err := c.post(ctx, path, body, &sent); err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(sent)
	}
	fmt.Fprintln(p.stdout, done)
	for _, pause := range sent.Paused {
		if pause.Reason == "operator" {
			continue // what was just ordered
		}
		fmt.Fprintf(p.stdout, "held besides: %s  %s\n              %s\n", p.loud(clean(pause.Reason, 40)), clean(pause.Detail, 100), pause.Mend)
	}
	return nil
}

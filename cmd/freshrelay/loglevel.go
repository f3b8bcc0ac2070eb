package main

import (
	"context"
	"fmt"

	"github.com/freshrelay/freshrelay/admin"
)

type loggingCmd struct {
	Level string `arg:"" optional:"" enum:",debug,info,warn,error" default:"" help:"debug, info, warn or error; without it the level is shown."`
}

// Run shows or changes how much the service logs. A change holds until its next start.
func (c *loggingCmd) Run(ctx context.Context, p *program, g *globals) error {
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	var now admin.LogLevel
	if c.Level == "" {
		err = service.get(ctx, "/api/log-level", nil, &now)
	} else {
		err = service.post(ctx, "/api/log-level", admin.LogLevel{Level: c.Level}, &now)
	}
	if err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(now)
	}
	fmt.Fprintln(p.stdout, clean(now.Level, 20))
	return nil
}

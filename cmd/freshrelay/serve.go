package main

import (
	"context"
	"fmt"

	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
)

type serveCmd struct {
	Listen        string `placeholder:"ADDR" help:"Where Segment and the SDKs post (default 127.0.0.1:8080)."`
	AdminListen   string `placeholder:"ADDR" help:"Health, metrics and the API of the command line (default 127.0.0.1:8081)."`
	Role          string `enum:"all,ingest,worker" default:"all" help:"What this process does: all, only taking calls in, or only delivering (ingest and worker need nats.url)."`
	SandboxListen string `placeholder:"ADDR" default:"${sandbox_listen}" help:"With --sandbox: where the built-in Freshmarketer listens (default ${sandbox_listen})."`

	scriptFlags
}

// Run serves until a signal comes.
func (c *serveCmd) Run(ctx context.Context, p *program, g *globals) error {
	if c.scriptFlags != (scriptFlags{}) && !g.UseSandbox {
		return &failure{exitUsage, "--faults and --seed are about the sandbox, and this is a real account", "add --sandbox, or leave them out"}
	}
	script, err := c.options(p)
	if err != nil {
		return err
	}
	o := p.options(g)
	set(o.Flags, "listen", c.Listen)
	set(o.Flags, "admin.listen", c.AdminListen)
	cfg, err := config.Load(o)
	if err != nil {
		return err
	}
	if cfg.UnusedDataDir && g.DataDir == "" {
		fmt.Fprintf(p.stderr, "with --sandbox data are kept in %s; the data_dir of %s is not touched. Commands for this service need --sandbox, too\n", cfg.DataDir, cfg.File)
	}
	logger, level, err := app.NewLogger(cfg.Log, p.stderr)
	if err != nil {
		return fmt.Errorf("start logging: %w", err)
	}
	defer logger.Sync()
	return p.serve(ctx, cfg, app.Options{
		Sandbox: g.UseSandbox, SandboxListen: c.SandboxListen, SandboxOptions: script, Role: app.Role(c.Role), Stdout: p.stdout, Logger: logger, LogLevel: level, Version: version(),
	})
}

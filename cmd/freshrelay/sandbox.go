package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

type sandboxCmd struct {
	Listen    string   `default:"${sandbox_listen}" placeholder:"ADDR" help:"Where it listens (default ${sandbox_listen})."`
	APIKey    []string `name:"api-key" placeholder:"KEY" help:"Key it accepts; may be given several times (default ${sandbox_key})."`
	StateFile string   `placeholder:"FILE" help:"Keep the contacts in this file, so that they are there after a restart."`

	scriptFlags
}

// scriptFlags say what a sandbox is like and how it misbehaves.
type scriptFlags struct {
	Faults string `placeholder:"FILE" help:"What the sandbox account is like and how it misbehaves, in YAML or JSON: docs/sandbox.md."`
	Seed   uint64 `placeholder:"N" help:"Seed of the sandbox's dice, so that a run can be repeated; wins over the file's."`
}

// options reads the file, if there is one.
func (f scriptFlags) options(p *program) (opt sandbox.Options, err error) {
	if f.Faults != "" {
		if opt, err = sandbox.ReadScript(p.path(f.Faults)); err != nil {
			return opt, &failure{exitUsage, fmt.Sprintf("the file of --faults cannot be used: %v", err), "see docs/sandbox.md and examples/faults.yaml"}
		}
	}
	if f.Seed != 0 {
		opt.Seed = f.Seed
	}
	return opt, nil
}

// stopTimeout is how long requests under way may take to end.
const stopTimeout = 5 * time.Second

// Run answers as a Freshmarketer until a signal comes.
func (c *sandboxCmd) Run(ctx context.Context, p *program) (err error) {
	opt, err := c.options(p)
	if err != nil {
		return err
	}
	opt.APIKeys, opt.StateFile = c.APIKey, c.StateFile
	box, err := sandbox.New(opt)
	if err != nil {
		return &failure{exitFailed, fmt.Sprintf("the sandbox cannot start: %v", err), "check --state-file and --faults"}
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return &failure{exitFailed, fmt.Sprintf("cannot listen on %s: %v", c.Listen, err), "stop what uses the port, or choose another with --listen"}
	}
	server := &http.Server{Handler: box.Handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	fmt.Fprintf(p.stdout, "sandbox   http://%s\n", ln.Addr())
	fmt.Fprintln(p.stdout, "see /_sandbox/contacts and /_sandbox/calls; faults are set with POST /_sandbox/faults; Ctrl-C stops it")
	if len(c.APIKey) == 0 {
		fmt.Fprintln(p.stdout, "it takes the built-in key only; to point a service's freshmarketer.base_url here, start it with --api-key and a key of your own")
	}

	select {
	case err := <-served:
		return fmt.Errorf("serve the sandbox: %w", err)
	case <-ctx.Done():
	}
	// The signal has ended ctx, and what is under way should still get its answer.
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil {
		_ = server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the sandbox: %w", err)
	}
	return nil
}

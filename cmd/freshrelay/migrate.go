package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
)

type migrateCmd struct {
	To          string `required:"" placeholder:"URL" help:"NATS servers to move to: nats://host:4222, several with commas."`
	Credentials string `placeholder:"FILE" help:"Credentials file of a NATS user there."`
	CAFile      string `placeholder:"FILE" help:"PEM with the authority of the servers' certificates."`
	CertFile    string `placeholder:"FILE" help:"PEM with a client certificate, where the servers ask for one."`
	KeyFile     string `placeholder:"FILE" help:"PEM with its key."`
	Prefix      string `placeholder:"NAME" help:"Prefix of the new streams (else as now)."`
	Replicas    int    `default:"3" help:"Replicas of each stream, 1 or 3 (default 3)."`
	Partitions  int    `placeholder:"N" help:"How many logs the users are spread over (default 16)."`
	Durability  string `required:"" placeholder:"WORD" help:"What an acknowledgement of the servers is worth: fsync (sync_interval: always on each) or replicated."`
}

// Run copies the store of a service that is stopped and drained.
func (c *migrateCmd) Run(ctx context.Context, p *program, g *globals) error {
	o := p.options(g)
	cfg, err := config.Load(o)
	if err != nil {
		return err
	}
	logger, _, err := app.NewLogger(cfg.Log, p.stderr)
	if err != nil {
		return fmt.Errorf("start logging: %w", err)
	}
	defer logger.Sync()
	to := config.NATS{
		URL: c.To, CredentialsFile: c.Credentials, TLS: config.NATSTLS{CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile},
		Prefix: cmp.Or(c.Prefix, cfg.NATS.Prefix), MaxBytes: cfg.NATS.MaxBytes, Replicas: c.Replicas, Partitions: c.Partitions, Durability: c.Durability,
	}
	m, err := app.Migrate(ctx, cfg, to, g.UseSandbox, logger)
	if err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(m)
	}
	out := func(format string, args ...any) { fmt.Fprintf(p.stdout, format+"\n", args...) }
	out("moved: %d records and %d dead letters, in %d partitions; the books go on at %d events accepted", m.Records, m.Letters, m.Partitions, m.Accepted)
	out("The journal stayed behind. The old store is marked and will not start again.")
	out("")
	out("Write this into the configuration of every process:")
	out("  nats:")
	out("    url: %s", c.To)
	for _, line := range [][2]string{
		{"credentials_file", c.Credentials}, {"prefix", to.Prefix}, {"replicas", fmt.Sprint(c.Replicas)}, {"partitions", fmt.Sprint(m.Partitions)}, {"durability", c.Durability},
	} {
		if line[1] != "" {
			out("    %s: %s", line[0], line[1])
		}
	}
	if c.CAFile != "" || c.CertFile != "" {
		out("    tls: {ca_file: %q, cert_file: %q, key_file: %q}", c.CAFile, c.CertFile, c.KeyFile)
	}
	return nil
}

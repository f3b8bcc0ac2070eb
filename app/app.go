package app

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// How long each part may take to stop. Together they stay under 15 s, which is what supervisors grant by habit.
const (
	stopIngest = 3 * time.Second
	stopStore  = 2 * time.Second
	stopQuick  = time.Second
)

// SandboxAccount is the fingerprint of a store that was filled for the built-in sandbox.
const SandboxAccount = "sandbox"

// DefaultSandboxListen is where the built-in sandbox of a service listens.
const DefaultSandboxListen = "127.0.0.1:8090"

// Options are what a run is told besides its configuration.
type Options struct {
	Sandbox       bool   // deliver to a built-in sandbox instead of the configured account
	SandboxListen string // "": DefaultSandboxListen
	// SandboxOptions say what the sandbox is like. Its keys and its state file are the service's.
	SandboxOptions sandbox.Options
	Version        string
	Stdout         io.Writer // gets the addresses once they can be used; may be nil
	Logger         *zap.Logger
	Ready          chan<- Addresses // told once everything runs; may be nil
}

// Addresses are the base URLs of a running service.
type Addresses struct {
	Ingest  string
	Public  string // where senders reach Ingest, "" if nobody said
	Admin   string
	Sandbox string // "" without one
}

// service is a run under way.
type service struct {
	lifecycle

	cfg       config.Config
	opts      Options
	addresses Addresses
	sandbox   net.Listener
	metrics   *metrics.Metrics
	client    *freshmarketer.Client
	store     *queue.Store
	pool      *worker.Pool
	started   time.Time
	failed    chan error // capacity for every part that can end by itself
}

// Run runs the service until ctx ends and returns nil when it was told to stop. An error before that says what could
// not start, or which part gave up: the process should end then and be started again.
func Run(ctx context.Context, cfg config.Config, opts Options) error {
	if opts.Logger == nil {
		opts.Logger = zap.NewNop()
	}
	s := &service{lifecycle: lifecycle{log: opts.Logger}, cfg: cfg, opts: opts, metrics: metrics.New(), started: time.Now().UTC(), failed: make(chan error, 4)}
	if err := s.start(ctx); err != nil {
		return errors.Join(err, s.stop())
	}
	s.announce()
	var err error
	select {
	case <-ctx.Done():
		s.log.Info("stopping")
	case err = <-s.failed:
		s.log.Error("a part gave up, stopping", zap.Error(err))
	}
	err = errors.Join(err, s.stop())
	s.log.Info("stopped", zap.Bool("clean", err == nil))
	return err
}

// start follows the way of an event backwards, so that nobody hands on what nobody would take.
func (s *service) start(ctx context.Context) error {
	steps := []func(context.Context) error{s.listenSandbox, s.connect, s.openStore, s.startSandbox, s.startWorker, s.startAdmin, s.startIngest}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

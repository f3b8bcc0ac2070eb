package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/replay"
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
	Role           Role // "": RoleAll
	Version        string
	Stdout         io.Writer // gets the addresses once they can be used; may be nil
	Logger         *zap.Logger
	LogLevel       zap.AtomicLevel  // of Logger, if it can be changed
	Ready          chan<- Addresses // told once everything runs; may be nil
}

// Role says which part of the work a process does. Several processes can share the work only with NATS servers of their own.
type Role string

// Roles.
const (
	RoleAll    Role = "all"
	RoleIngest Role = "ingest" // takes calls in and delivers nothing
	RoleWorker Role = "worker" // delivers and takes nothing in
)

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
	replays   *replay.Runner
	started   time.Time
	adminDoor door
	failed    chan error // capacity for every part that can end by itself
}

// Run runs the service until ctx ends and returns nil when it was told to stop. An error before that says what could
// not start, or which part gave up: the process should end then and be started again.
func Run(ctx context.Context, cfg config.Config, opts Options) error {
	if opts.Logger == nil {
		opts.Logger = zap.NewNop()
	}
	s := &service{cfg: cfg, opts: opts, metrics: metrics.New(), started: time.Now().UTC(), failed: make(chan error, 4)}
	var tellFolds func()
	s.log, tellFolds = fold(opts.Logger, s.metrics.Logged)
	defer tellFolds()
	s.metrics.BuildInfo(opts.Version, runtime.Version())
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
		err = &gaveUp{err}
	}
	err = errors.Join(err, s.stop())
	s.log.Info("stopped", zap.Bool("clean", err == nil))
	return err
}

func (s *service) checkRole() error {
	switch s.opts.Role {
	case "", RoleAll:
		return nil
	case RoleIngest, RoleWorker:
		if s.cfg.NATS.URL != "" {
			return nil
		}
		return &startError{
			fmt.Errorf("--role %s needs NATS servers that the other processes can reach, and nats.url is not set", s.opts.Role),
			"set nats.url (see docs/cluster.md), or leave --role out: one process does all",
		}
	}
	return &startError{fmt.Errorf("there is no role %q", s.opts.Role), "use all, ingest or worker"}
}

// start follows the way of an event backwards, so that nobody hands on what nobody would take.
func (s *service) start(ctx context.Context) error {
	if err := s.checkRole(); err != nil {
		return err
	}
	steps := []func(context.Context) error{s.listenAdmin, s.listenSandbox, s.connect, s.openStore, s.startSandbox}
	if s.opts.Role != RoleIngest {
		steps = append(steps, s.startWorker)
	}
	steps = append(steps, s.startReplays)
	if s.opts.Role != RoleWorker {
		steps = append(steps, s.startIngest)
	}
	steps = append(steps, s.startAdmin) // last, and the first to stop: /readyz is green only while senders are answered
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/mapping"
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
	Version       string
	Stdout        io.Writer // gets the addresses once they can be used; may be nil
	Logger        *zap.Logger
	Ready         chan<- Addresses // told once everything runs; may be nil
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

// listenSandbox takes the sandbox's address, which the API client must know. The sandbox itself waits until the data
// directory is ours: it keeps its contacts there.
func (s *service) listenSandbox(ctx context.Context) error {
	if !s.opts.Sandbox {
		return nil
	}
	addr := s.opts.SandboxListen
	if addr == "" {
		addr = DefaultSandboxListen
	}
	var err error
	if s.sandbox, err = listen(ctx, "the sandbox's listener", addr, "--sandbox-listen"); err != nil {
		return err
	}
	s.onStop("the sandbox's address", stopQuick, func(context.Context) error { _ = s.sandbox.Close(); return nil }) // its server closes it too
	s.addresses.Sandbox = baseURL(s.sandbox)
	s.cfg.Freshmarketer.BaseURL = s.addresses.Sandbox
	return nil
}

func (s *service) startSandbox(context.Context) error {
	if !s.opts.Sandbox {
		return nil
	}
	box, err := sandbox.New(sandbox.Options{
		APIKeys: []string{string(s.cfg.Freshmarketer.APIKey)}, StateFile: filepath.Join(s.cfg.DataDir, "sandbox.jsonl"),
	})
	if err != nil {
		return fmt.Errorf("starting the sandbox: %w", err)
	}
	s.onStop("the sandbox", stopQuick, func(context.Context) error { return box.Close() })
	// The sandbox speaks the API and knows no slow senders; its limits are those of the test, not of the internet.
	s.serve("the sandbox's server", stopQuick, s.sandbox, &http.Server{Handler: box.Handler(), ReadHeaderTimeout: 10 * time.Second})
	return nil
}

func (s *service) connect(context.Context) error {
	fm := s.cfg.Freshmarketer
	var err error
	s.client, err = freshmarketer.New(freshmarketer.Config{
		Domain: fm.Domain, BaseURL: fm.BaseURL, APIKey: string(fm.APIKey), UserAgent: "freshrelay/" + s.opts.Version, OnCall: s.metrics.APICall,
	})
	if err != nil {
		return fmt.Errorf("freshmarketer: %w", err)
	}
	s.onStop("the API client", stopQuick, func(context.Context) error { s.client.CloseIdleConnections(); return nil })
	return nil
}

func (s *service) account() string {
	if s.opts.Sandbox {
		return SandboxAccount
	}
	return s.client.Host()
}

func (s *service) openStore(ctx context.Context) error {
	var err error
	s.store, err = queue.Open(ctx, queue.Config{
		Dir: s.cfg.DataDir, Prefix: s.cfg.NATS.Prefix, MaxBytes: int64(s.cfg.NATS.MaxBytes), Account: s.account(),
		Logger: s.log, OnPublish: s.metrics.Published,
	})
	if err != nil {
		return mendStore(fmt.Errorf("opening the store: %w", err))
	}
	s.onStop("the store", stopStore, func(context.Context) error { return s.store.Close() })
	s.metrics.SetLevels(s.levels)
	return nil
}

func (s *service) startWorker(context.Context) error {
	m, r := s.cfg.Mapping, s.cfg.Retry
	var err error
	s.pool, err = worker.New(worker.Config{
		Store: s.store, Client: s.client, Concurrency: s.cfg.Delivery.Concurrency, Metrics: s.metrics, Logger: s.log,
		Mapping: mapping.Options{MissingTraits: mapping.MissingTraits(m.MissingTraits), StrictLabels: m.StrictLabels, ResendAfter: m.ResendAfter, Traits: m.Traits},
		Retry:   worker.Retry{Initial: r.Initial, Max: r.Max, MaxAge: r.MaxAge},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.pool.Run(ctx); err != nil {
			s.failed <- fmt.Errorf("delivering: %w", err)
		}
	}()
	s.onStop("the workers", worker.StopTimeout+stopQuick, func(context.Context) error { cancel(); <-done; return nil })
	return nil
}

func (s *service) startAdmin(ctx context.Context) error {
	token, err := admin.EnsureToken(admin.TokenPath(s.cfg.DataDir, s.cfg.Admin.TokenFile))
	if err != nil {
		return err
	}
	mode := admin.ModeLive
	if s.opts.Sandbox {
		mode = admin.ModeSandbox
	}
	handler := admin.New(admin.Config{
		Token: token, Metrics: s.metrics.Handler(), Logger: s.log, Version: s.opts.Version, Started: s.started, Mode: mode,
		Account: s.account(), Ready: s.store.Ready, Sending: s.sending, User: s.store.User,
		Letters: s.store, Replayer: s.store, Journal: s.store, Books: s.store,
	})
	// Only operators and scrapers come here; a slow one must not hold a connection for ever.
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	listener, err := listen(ctx, "the admin listener", s.cfg.Admin.Listen, "admin.listen or --admin-listen")
	if err != nil {
		return err
	}
	s.serve("the admin listener", stopQuick, listener, server)
	s.addresses.Admin = baseURL(listener)
	return nil
}

func (s *service) startIngest(ctx context.Context) error {
	var sources []ingest.Source
	for _, src := range s.cfg.Sources {
		s.metrics.Sources(src.Name)
		sources = append(sources, ingest.Source{
			Name: src.Name, WriteKeys: config.Reveal(src.WriteKeys), WebhookSecrets: config.Reveal(src.WebhookSecrets),
			BatchToken: string(src.BatchToken), RequireBatchToken: src.RequireBatchToken, RatePerSecond: src.RatePerSecond,
		})
	}
	handler, err := ingest.New(ingest.Config{Sources: sources, PublicURL: s.cfg.Public()}, s.store, s.metrics, s.log)
	if err != nil {
		return err
	}
	server := ingest.NewServer(s.cfg.Listen, handler, s.log)
	serving, err := s.secure(server)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, "the ingest listener", s.cfg.Listen, "listen or --listen")
	if err != nil {
		return err
	}
	s.serve("the ingest listener", stopIngest, listener, server)
	serving()
	s.addresses.Ingest, s.addresses.Public = baseURL(listener), s.cfg.Public()
	if s.cfg.TLS.On() {
		s.addresses.Ingest = "https" + strings.TrimPrefix(s.addresses.Ingest, "http")
	}
	return nil
}

// listen takes an address; setting is how to choose another one.
func listen(ctx context.Context, name, addr, setting string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, &startError{
			fmt.Errorf("%s: %w: is another freshrelay running, or does the address not exist here?", name, err),
			"stop what uses the address, or choose another: " + setting,
		}
	}
	return listener, nil
}

// baseURL is where this machine reaches a listener; one that listens everywhere is reached on the loopback address.
func baseURL(l net.Listener) string {
	addr, ok := l.Addr().(*net.TCPAddr)
	if ok && addr.IP.IsUnspecified() {
		return fmt.Sprintf("http://127.0.0.1:%d", addr.Port)
	}
	return "http://" + l.Addr().String()
}

// serve serves and registers the stop: requests under way are answered first, as far as limit allows.
func (s *service) serve(name string, limit time.Duration, listener net.Listener, server *http.Server) {
	unused := new(unusedConns)
	unused.watch(server)
	go func() {
		serve := server.Serve
		if server.TLSConfig != nil {
			serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("%s: %w", name, err)
		}
	}()
	s.onStop(name, limit, func(ctx context.Context) error {
		unused.close()
		err := server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) { // whoever is still waiting gets no answer and asks again
			s.log.Warn("requests were cut off by the stop", zap.String("part", name))
			err = server.Close()
		}
		return err
	})
}

// announce says where the service is, for people and for scripts that wait for it.
func (s *service) announce() {
	a := s.addresses
	s.log.Info("running", zap.String("version", s.opts.Version), zap.String("ingest", a.Ingest), zap.String("admin", a.Admin), zap.String("account", s.account()))
	if s.opts.Stdout != nil {
		fmt.Fprintf(s.opts.Stdout, "ingest    %s\nadmin     %s\n", a.Ingest, a.Admin)
		if a.Public != "" {
			fmt.Fprintf(s.opts.Stdout, "public    %s\n", a.Public)
		}
		if a.Sandbox != "" {
			fmt.Fprintf(s.opts.Stdout, "sandbox   %s\n", a.Sandbox)
		}
	}
	if s.opts.Ready != nil {
		s.opts.Ready <- a
	}
}

package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
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
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

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
	opt := s.opts.SandboxOptions
	opt.APIKeys, opt.StateFile = []string{string(s.cfg.Freshmarketer.APIKey)}, filepath.Join(s.cfg.DataDir, "sandbox.jsonl")
	box, err := sandbox.New(opt)
	if err != nil {
		return fmt.Errorf("starting the sandbox: %w", err)
	}
	s.onStop("the sandbox", stopQuick, func(context.Context) error { return box.Close() })
	// The sandbox speaks the API and knows no slow senders; its limits are those of the test, not of the internet.
	s.serve("the sandbox's server", stopQuick, s.sandbox, &http.Server{Handler: box.Handler(), ReadHeaderTimeout: 10 * time.Second})
	return nil
}

func (s *service) connect(context.Context) error {
	var err error
	s.client, err = newClient(s.cfg.Freshmarketer, freshmarketer.Config{
		UserAgent: "freshrelay/" + s.opts.Version, OnCall: s.metrics.APICall,
		OnLimits: func(op string, l freshmarketer.Limits) { s.pool.Limits(op, l) }, // nobody but the pool makes calls
	})
	if err != nil {
		return err
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
	cfg := storeConfig(s.cfg, s.account(), s.log)
	cfg.OnPublish, cfg.OnCommit = s.metrics.Published, s.metrics.Committed
	cfg.OnRepeat = func(commit bool) {
		write := metrics.WritePack
		if commit {
			write = metrics.WriteCommit
		}
		s.metrics.Repeated(write)
	}
	cfg.Role, cfg.Says = string(cmp.Or(s.opts.Role, RoleAll)), s.says
	s.store, err = queue.Open(ctx, cfg)
	if err != nil {
		return mendStore(fmt.Errorf("opening the store: %w", err))
	}
	s.onStop("the store", stopStore, func(context.Context) error { return s.store.Close() })
	s.metrics.SetLevels(s.levels)
	return nil
}

// says is what came by this process's door, for the status of the others.
func (s *service) says() json.RawMessage {
	text, err := json.Marshal(s.metrics.Door())
	if err != nil {
		s.log.Warn("what came by the door cannot be told to the other processes", zap.Error(err))
		return nil
	}
	return text
}

// external is how to reach the configured servers; nil for the embedded one.
func external(n config.NATS) *queue.External {
	if n.URL == "" {
		return nil
	}
	return &queue.External{
		URL: n.URL, CredentialsFile: n.CredentialsFile, CAFile: n.TLS.CAFile, CertFile: n.TLS.CertFile, KeyFile: n.TLS.KeyFile,
		Replicas: n.Replicas, Durability: queue.Durability(n.Durability),
	}
}

func (s *service) startWorker(context.Context) error {
	r, d := s.cfg.Retry, s.cfg.Delivery
	var err error
	s.pool, err = worker.New(worker.Config{
		Store: s.store, Client: s.client, Concurrency: s.cfg.Delivery.Concurrency, Metrics: s.metrics, Logger: s.log,
		Mapping: mappingOptions(s.cfg), Activities: activities(s.cfg), Forwards: s.cfg.Forwards(), Forward: forwarded(s.cfg), UpdateOnly: !s.cfg.Contacts.Create, CustomFields: customFields(s.cfg),
		Retry:    worker.Retry{Initial: r.Initial, Max: r.Max, MaxAge: r.MaxAge},
		Quota:    worker.Quota(s.cfg.Freshmarketer.Quota),
		Mode:     worker.Mode{Name: d.Mode, Canary: d.Canary, ObserveFor: d.ObserveFor},
		Deletion: deletion(s.cfg),
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
	var operator admin.Operator
	var forecaster admin.Forecaster
	if s.pool != nil {
		operator, forecaster = s.pool, s.pool
	}
	var level admin.Leveler
	if s.opts.LogLevel != (zap.AtomicLevel{}) {
		level = s.opts.LogLevel
	}
	s.adminDoor.set(admin.New(admin.Config{
		Level: level,
		Token: token, Metrics: s.metrics.Handler(), Logger: s.log, Version: s.opts.Version, Started: s.started, Mode: mode,
		Durability: admin.Durability{Means: string(s.store.Durability()), Declared: !s.store.Alone()},
		Account:    s.account(), Calls: CallFates(s.cfg), Door: s.metrics.Door, Ready: s.store.Ready, Sending: s.sending, User: s.store.User,
		Operator: operator, Letters: s.store, Replays: s.replays, Journal: s.store, Books: s.store, Around: s.store, AuditLog: s.store, Exchange: s.store,
		Preview: s.preview, Ages: s.replays.Ages, Waiting: s.waiting,
		Mapping: s.mapping(), Forecaster: forecaster, Forget: s.forget, Erasing: s.store.Erasing, Erased: s.erased,
	}))
	s.onStop("the admin API", stopQuick, func(context.Context) error { s.between("stopping", 0); return nil })
	return nil
}

// listenAdmin comes first: whoever watches sees that the process lives and reads its store, which can take a while.
func (s *service) listenAdmin(ctx context.Context) error {
	s.between("recovering the store", queue.StoredBytes(s.cfg.DataDir))
	// Only operators and scrapers come here; a slow one must not hold a connection for ever.
	server := &http.Server{Handler: &s.adminDoor, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
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
			IntegrationNames: src.IntegrationNames, Forward: forward(src.Forward), Lane: mappingOptions(s.cfg).Lane, Accounts: mappingOptions(s.cfg).Accounts, Aliases: s.cfg.Alias,
			EraseActivities: s.cfg.Deletion.Webhooks,
		})
	}
	handler, err := ingest.New(ingest.Config{Sources: sources, PublicURL: s.cfg.Public(), TrustedProxies: s.cfg.TrustedProxies}, s.store, s.metrics, s.log)
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
	s.serve("the ingest listener", stopIngest, ingest.LimitListener(listener, ingest.DefaultMaxConnections), server)
	serving()
	s.addresses.Ingest, s.addresses.Public = baseURL(listener), s.cfg.Public()
	if s.cfg.TLS.On() {
		s.addresses.Ingest = "https" + strings.TrimPrefix(s.addresses.Ingest, "http")
	}
	return nil
}

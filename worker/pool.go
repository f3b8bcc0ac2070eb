package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

// StopTimeout is how long calls under way may take once the pool is told to stop.
const StopTimeout = 8 * time.Second

// errStopping is why waits end when the pool stops.
var errStopping = errors.New("the service is stopping")

// Config says what a Pool works with.
type Config struct {
	Store       *queue.Store
	Client      *freshmarketer.Client
	Mapping     mapping.Options
	Retry       Retry
	Concurrency int // changes sent at the same time
	Metrics     *metrics.Metrics
	Logger      *zap.Logger
}

// Pool delivers what the store holds.
type Pool struct {
	cfg       Config
	store     *queue.Store
	partition *queue.Partition
	log       *zap.Logger
	gate      *gate
	backlog   *backlog
	catalogue *catalogue
	again     *redelivery
}

// New prepares a pool; nothing runs before Run.
func New(cfg Config) (*Pool, error) {
	if cfg.Concurrency < 1 {
		return nil, fmt.Errorf("delivery.concurrency is %d: it must be at least 1", cfg.Concurrency)
	}
	if cfg.Retry.Initial <= 0 || cfg.Retry.Max < cfg.Retry.Initial || cfg.Retry.MaxAge <= 0 {
		return nil, fmt.Errorf("retry is %+v: initial and max_age must be positive and max at least initial", cfg.Retry)
	}
	log := cfg.Logger.Named("worker")
	g := newGate(cfg.Client.Probe, cfg.Retry.Initial, cfg.Metrics, log)
	return &Pool{
		cfg: cfg, store: cfg.Store, partition: cfg.Store.Partition(), log: log, gate: g, backlog: newBacklog(),
		catalogue: &catalogue{client: cfg.Client, gate: g, metrics: cfg.Metrics, log: log, options: cfg.Mapping, lock: make(chan struct{}, 1)},
		again:     newRedelivery(cfg.Store, log),
	}, nil
}

// Run reads and delivers until ctx ends, then lets calls under way finish. It returns nil when it was told to stop, and
// an error when the store can no longer be trusted: the process must then end and start anew.
func (p *Pool) Run(ctx context.Context) error {
	if err := p.reconcile(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // stopping is not failing
		}
		return err
	}
	waitCtx, stop := context.WithCancelCause(ctx)
	defer stop(errStopping)
	callCtx, cancelCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelCalls()

	var wg sync.WaitGroup
	wg.Go(func() { p.gate.run(waitCtx) })
	wg.Go(func() { p.again.run(waitCtx) })
	wg.Go(func() { _, _ = p.catalogue.get(waitCtx, callCtx) }) // ready for the first event; an error means that we stop
	wg.Go(func() {
		select {
		case <-p.partition.Recovered():
		case <-waitCtx.Done():
			return
		}
		for range p.cfg.Concurrency {
			wg.Go(func() { p.serve(waitCtx, callCtx) })
		}
	})
	err := p.partition.Run(waitCtx, func(ctx context.Context, items []queue.Item) error {
		select {
		case <-p.partition.Recovered():
			p.backlog.add(items, false)
			return p.backlog.hasRoom(ctx)
		default:
			p.backlog.add(items, true)
			return nil // the reader must first come as far as before the start, whatever it takes
		}
	})
	stop(errStopping)
	hard := time.AfterFunc(StopTimeout, cancelCalls)
	defer hard.Stop()
	wg.Wait()
	return err
}

// serve is one runner: it takes ready lanes and does one turn of each.
func (p *Pool) serve(waitCtx, callCtx context.Context) {
	for {
		l := p.backlog.next(waitCtx)
		if l == nil {
			return
		}
		t := &turn{p: p, lane: l, waitCtx: waitCtx, callCtx: callCtx}
		if err := t.run(); err != nil && waitCtx.Err() == nil {
			// Trouble with our own store. The lane keeps its items and comes again.
			p.log.Error("a user's events could not be worked on, trying again", zap.String("lane", l.user), zap.Error(err))
			p.retryLater(l, l.stall())
		}
	}
}

// retryLater gives the lane back after a wait. A stop does not wait for it: what is not settled is read again.
func (p *Pool) retryLater(l *lane, wait time.Duration) {
	time.AfterFunc(wait, func() { p.backlog.giveBack(l) })
}

// Status is what the pool knows of the API at this moment.
type Status struct {
	Pauses      []Pause
	LastSuccess time.Time
	LastFailure time.Time
	LastError   *freshmarketer.Error // the last failure, redacted; nil if there was none
	Catalogue   bool                 // the account's fields are known
}

// Status reports for people and metrics.
func (p *Pool) Status() Status {
	s := Status{Pauses: p.gate.pauses(), Catalogue: p.catalogue.known()}
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	s.LastSuccess, s.LastFailure, s.LastError = p.gate.lastSuccess, p.gate.lastFailure, p.gate.lastError
	return s
}

package worker

import (
	"context"
	"crypto/rand"
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
	Quota       Quota              // the zero value: no limit of ours
	Mode        Mode               // the zero value: live
	Concurrency int                // changes sent at the same time
	ReadAhead   int                // bytes of events that may wait in memory; 0: 64 MiB
	Activities  mapping.Activities // what track and page calls become
	// Forwards says that some source forwards track or page calls: the account's types and owners are looked at from the start.
	Forwards bool
	Forward  Forward // which they are, for telling; nil: none
	// UpdateOnly has no contact created: calls of users who have none are discarded.
	UpdateOnly   bool
	CustomFields CustomFields
	Deletion     Deletion
	Metrics      *metrics.Metrics
	Logger       *zap.Logger
}

// Pool delivers what the store holds, with what all partitions share: the account's gate, fields and concurrency.
type Pool struct {
	cfg       Config
	store     *queue.Store
	log       *zap.Logger
	attempts  *zap.Logger // one line per attempt
	gate      *gate
	catalogue *catalogue
	accounts  *accounts
	customs   *customs
	unmapped  *unmapped
	resyncs   *resyncs
	mode      *mode
	began     time.Time
	effort    effort
	identity  *identity
	backlogs  backlogs
	users     backlogs // those of them that are about contacts
	custom    *bulkCustom
	backfill  *backfill
	pace      pace
	trust     trust
	places    chan struct{} // one element per turn under way
	kinds     *kinds
	events    *events
	// performing has one element per activity under way. They have places of their own, beside those of contacts.
	performing chan struct{}
	behind     chan struct{} // one element per turn under way that is about dead letters alone: half of the places at most
}

// New prepares a pool; nothing runs before Run.
func New(cfg Config) (*Pool, error) {
	if cfg.Concurrency < 1 {
		return nil, fmt.Errorf("delivery.concurrency is %d: it must be at least 1", cfg.Concurrency)
	}
	if cfg.Retry.Initial <= 0 || cfg.Retry.Max < cfg.Retry.Initial || cfg.Retry.MaxAge <= 0 {
		return nil, fmt.Errorf("retry is %+v: initial and max_age must be positive and max at least initial", cfg.Retry)
	}
	if err := errors.Join(cfg.Quota.check(), cfg.Mode.check()); err != nil {
		return nil, err
	}
	if cfg.ReadAhead <= 0 {
		cfg.ReadAhead = maxReadAhead
	}
	log := cfg.Logger.Named("worker")
	g := newGate(cfg.Client.Probe, newQuota(cfg.Quota, cfg.Store, rand.Text()[:8], log), cfg.Retry.Initial, cfg.Metrics, log)
	p := &Pool{
		cfg: cfg, store: cfg.Store, log: log, attempts: log.Named(AttemptLogger), gate: g, identity: newIdentity(cfg.Store, log), mode: newMode(cfg.Mode, cfg.Store.User), began: time.Now(),
		places: make(chan struct{}, cfg.Concurrency), behind: make(chan struct{}, max(1, cfg.Concurrency/2)),
		catalogue: newCatalogue(cfg, g, log), accounts: newAccounts(cfg, g, log),
		customs: &customs{store: cfg.Store, log: log, configured: cfg.CustomFields},
		custom:  newBulkCustom(),
		kinds:   &kinds{client: cfg.Client, gate: g, metrics: cfg.Metrics, log: log, owner: cfg.Activities.Owner, lock: make(chan struct{}, 1)},
		events:  &events{store: cfg.Store, metrics: cfg.Metrics}, performing: make(chan struct{}, max(1, cfg.Concurrency/2)),
		unmapped: &unmapped{store: cfg.Store, log: log},
		resyncs:  &resyncs{store: cfg.Store, log: log, options: cfg.Mapping},
	}
	p.backfill = newBackfill(p, cfg.Store, rand.Text()[:8])
	return p, nil
}

// Run reads and delivers the partitions that this process owns until ctx ends, then lets calls under way finish. It returns
// nil when it was told to stop, and an error when the store can no longer be trusted: the process must then end and start anew.
func (p *Pool) Run(ctx context.Context) error {
	waitCtx, stop := context.WithCancelCause(ctx)
	defer stop(errStopping)
	callCtx, cancelCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelCalls()

	if why := p.mode.hold(); why != "" {
		p.cfg.Metrics.SetPaused(string(why), true)
	}
	o, rev, err := p.readOrder(ctx) // before any call
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopping is not failing
		}
		return err
	}
	p.gate.obey(o, rev)
	_ = p.gate.quota.look(waitCtx) // what was spent before this start, for status; whoever takes looks for itself
	p.identity.load(callCtx)
	var wg sync.WaitGroup
	wg.Go(func() { p.followOrders(waitCtx) })
	wg.Go(func() { p.gate.quota.run(waitCtx) })
	wg.Go(func() { p.gate.run(waitCtx) })
	wg.Go(func() { _, _ = p.catalogue.get(waitCtx, callCtx) })    // ready for the first event; an error means that we stop
	if p.cfg.Forwards && p.cfg.Activities.As != mapping.AsEvent { // what is missing is said at the start, not with the first call
		wg.Go(func() { _, _, _ = p.kinds.resolve(waitCtx, callCtx, p.cfg.Activities.Type) })
	}
	wg.Go(func() { p.unmapped.run(waitCtx) })
	wg.Go(func() { p.backfill.run(waitCtx, callCtx) })
	p.customs.load(waitCtx)
	if _, _, err := p.resyncs.read(waitCtx); err != nil && waitCtx.Err() == nil { // before anything is mapped
		p.log.Warn("what is to be sent again could not be read", zap.Error(err))
	}
	wg.Go(func() { p.resyncs.run(waitCtx) })
	err = p.store.Own(waitCtx, p.work)
	stop(errStopping)
	hard := time.AfterFunc(StopTimeout, cancelCalls)
	defer hard.Stop()
	wg.Wait()
	p.gate.quota.close()
	p.unmapped.close()
	return err
}

// begin takes one of the places for changes sent at the same time; end gives it back. It returns false when ctx ends first.
func (p *Pool) begin(ctx context.Context) bool {
	select {
	case p.places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *Pool) end() { <-p.places }

// Status is what the pool knows of the API at this moment.
type Status struct {
	Mode        string  // ModeLive, ModeCanary or ModeObserve
	Pauses      []Pause // why calls wait
	LastSuccess time.Time
	LastFailure time.Time
	LastError   *freshmarketer.Error // the last failure, redacted; nil if there was none
	Catalogue   bool                 // the account's fields are known
	Quota       []QuotaWindow        // how the windows that have a limit stand
	Backfill    *Backfill            // the reading of the account's contacts; nil: there is none
}

// Status reports for people and metrics.
func (p *Pool) Status() Status {
	s := Status{Mode: p.mode.Name, Pauses: p.gate.pauses(), Catalogue: p.catalogue.known(), Quota: p.gate.quota.windows(), Backfill: p.backfill.status()}
	if why := p.mode.hold(); why != "" {
		s.Pauses = append(s.Pauses, Pause{Reason: why, Since: p.began, Detail: p.mode.detail()})
	}
	for _, pause := range []*Pause{p.kinds.pause(), p.events.pause()} {
		if pause != nil {
			s.Pauses = append(s.Pauses, *pause)
		}
	}
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	s.LastSuccess, s.LastFailure, s.LastError = p.gate.lastSuccess, p.gate.lastFailure, p.gate.lastError
	return s
}

// Limits takes in what an answer of the API says about the account's quota: freshmarketer.Config.OnLimits.
func (p *Pool) Limits(_ string, l freshmarketer.Limits) {
	p.gate.quota.observe(l.Total, l.Remaining, l.Reset)
}

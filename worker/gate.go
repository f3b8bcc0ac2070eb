package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/metrics"
)

// Hold is why nothing is being sent. It is also the label of the metric paused.
type Hold string

// Reasons to hold everything.
const (
	HoldThrottled     Hold = metrics.PausedThrottled     // the account's quota is used up
	HoldKeyRefused    Hold = metrics.PausedKeyRefused    // the API does not accept the key
	HoldOutage        Hold = metrics.PausedOutage        // the API fails for everybody
	HoldMisconfigured Hold = metrics.PausedMisconfigured // what answers is not the API of an account we may use
)

const (
	// outageFailures in a row, over outageUsers different users, without a success in between, are an outage.
	outageFailures = 5
	outageUsers    = 3

	throttledDefault = time.Minute // when a 429 names no time; a common default of other clients
	throttledMax     = 10 * time.Minute
	probeMax         = 2 * time.Minute
)

// errHeld says that the gate closed between two calls of one change: what was read before may be old by the time it
// opens, so the change is made anew then.
var errHeld = errors.New("sending was put on hold")

// gate stands before every API call. It is open, or it holds everything for one reason, or it is ajar: after a hold one
// call goes first, and its answer opens the gate or closes it again.
type gate struct {
	probe   func(context.Context) error
	metrics *metrics.Metrics
	log     *zap.Logger
	wake    chan struct{} // capacity 1: a hold has begun

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever somebody may pass who could not before
	hold    Hold          // "" when open
	detail  string        // redacted text of the answer that closed the gate
	since   time.Time
	until   time.Time // no call before: an answer said so
	ajar    bool
	passing bool   // ajar, and somebody is through
	first   string // user whose call went first and failed after the last probes, and how often in a row
	firsts  int
	held    time.Duration
	waits   *backoff.ExponentialBackOff // between probes; reset by the first success

	failures int
	users    map[string]bool

	lastSuccess, lastFailure time.Time
	lastError                *freshmarketer.Error
}

func newGate(probe func(context.Context) error, initial time.Duration, m *metrics.Metrics, log *zap.Logger) *gate {
	return &gate{
		probe: probe, metrics: m, log: log, wake: make(chan struct{}, 1), changed: make(chan struct{}), users: map[string]bool{},
		waits: newBackOff(initial, probeMax),
	}
}

// await waits until somebody may pass.
func (g *gate) await(ctx context.Context) error {
	for {
		g.mu.Lock()
		ok, changed := g.hold == "" || g.ajar && !g.passing, g.changed
		g.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// enter waits until one call may be made. Every enter is followed by a report.
func (g *gate) enter(ctx context.Context) error {
	for {
		if err := g.await(ctx); err != nil {
			return err
		}
		if g.tryEnter() == nil {
			return nil
		}
	}
}

// tryEnter is enter without the wait: it says errHeld instead.
func (g *gate) tryEnter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.admit() {
		return errHeld
	}
	return nil
}

func (g *gate) admit() bool {
	if g.hold == "" {
		return true
	}
	if g.ajar && !g.passing {
		g.passing = true
		return true
	}
	return false
}

// report tells the gate what came of a call for a user. It returns whether the failure is the user's to count: what
// belongs to the account's trouble costs nobody an attempt.
func (g *gate) report(user string, err error) (counts bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	failure := new(freshmarketer.Error)
	if !errors.As(err, &failure) {
		failure = nil
	}
	if failure != nil {
		g.lastFailure, g.lastError = time.Now(), failure
	}
	switch {
	case failure != nil && failure.Kind == freshmarketer.KindThrottled:
		g.throttle(failure)
		return false
	case failure != nil && failure.Kind == freshmarketer.KindAuth:
		g.close(HoldKeyRefused, failure)
		return false
	case failure != nil && failure.Kind == freshmarketer.KindCanceled:
		g.passed()
		return false
	case failure != nil && troubled(failure.Kind):
		return g.fail(user, failure)
	}
	g.lastSuccess, g.failures = time.Now(), 0
	clear(g.users)
	if g.hold == "" || g.ajar {
		g.open()
	}
	return true
}

// troubled are the kinds that do not show that the API works.
func troubled(k freshmarketer.Kind) bool {
	switch k {
	case freshmarketer.KindTemporary, freshmarketer.KindUnknown, freshmarketer.KindPermission, freshmarketer.KindMisrouted:
		return true
	}
	return false
}

func (g *gate) fail(user string, failure *freshmarketer.Error) (counts bool) {
	if g.hold != "" {
		return g.ajar && g.failFirst(user, failure)
	}
	g.failures++
	g.users[user] = true
	if g.failures >= outageFailures && len(g.users) >= outageUsers {
		g.close(HoldOutage, failure)
		return false
	}
	return true
}

// failFirst is a failure of the call that went first after a hold. If it is always the same user's, while probes work,
// then the trouble is that user's.
func (g *gate) failFirst(user string, failure *freshmarketer.Error) (counts bool) {
	if g.first != user {
		g.first, g.firsts = user, 0
	}
	if g.firsts++; g.firsts >= outageUsers {
		g.open()
		return true
	}
	g.close(holdFor(failure.Kind), failure) // and not what it was before: a hold that only waits would try again at once
	return false
}

// throttle holds for as long as the answer says; a later answer can only lengthen it.
func (g *gate) throttle(failure *freshmarketer.Error) {
	wait := failure.RetryAfter
	if wait <= 0 {
		wait = min(throttledMax, max(throttledDefault, g.waits.NextBackOff()))
	}
	g.notBefore(wait)
	if g.hold == "" || g.ajar {
		g.close(HoldThrottled, failure)
	}
}

func (g *gate) notBefore(wait time.Duration) {
	if until := time.Now().Add(wait); until.After(g.until) {
		g.until = until
	}
}

func (g *gate) close(why Hold, failure *freshmarketer.Error) {
	if g.hold == "" {
		g.since = time.Now()
		g.log.Warn("holding everything", zap.String("reason", string(why)), zap.String("operation", failure.Op), zap.Int("status", failure.Status), zap.String("kind", string(failure.Kind)))
	} else if g.hold != why {
		g.metrics.SetPaused(string(g.hold), false)
	}
	g.notBefore(failure.RetryAfter) // a 503 may name a time as well
	g.hold, g.ajar, g.passing, g.detail = why, false, false, failure.Error()
	g.metrics.SetPaused(string(why), true)
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// passed ends a passage that told nothing.
func (g *gate) passed() {
	if g.passing {
		g.passing = false
		g.broadcast()
	}
}

func (g *gate) open() {
	if g.hold == "" {
		return
	}
	g.log.Info("sending again", zap.String("reason", string(g.hold)), zap.Duration("held", time.Since(g.since)))
	g.metrics.SetPaused(string(g.hold), false)
	g.held += time.Since(g.since)
	g.hold, g.ajar, g.passing, g.detail = "", false, false, ""
	g.first, g.firsts, g.failures = "", 0, 0
	clear(g.users)
	g.waits.Reset()
	g.broadcast()
}

func (g *gate) broadcast() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// heldFor is how long everything was held in all, so that ages can leave it out.
func (g *gate) heldFor() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hold == "" {
		return g.held
	}
	return g.held + time.Since(g.since)
}

// Pause describes a hold for status.
type Pause struct {
	Reason Hold
	Since  time.Time
	Detail string
}

func (g *gate) pauses() []Pause {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hold == "" {
		return nil
	}
	return []Pause{{Reason: g.hold, Since: g.since, Detail: g.detail}}
}

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
	HoldActivities    Hold = metrics.PausedActivities    // the account lacks something that activities need; contacts go on
	HoldOperator      Hold = metrics.PausedOperator      // somebody said so; it stands beside any of the others
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

// gate is the one door before every API call: who has no pass of it makes none. It is open, or it holds everything for one
// reason, or it is ajar: after a hold one call goes first, and its answer opens the gate or closes it again. An operator's
// pause holds everything besides. Behind it stands the quota, which says how many calls there may be.
type gate struct {
	check   func(context.Context) error // asks the API whether it works: one call
	quota   *quota
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
	through *pass  // ajar, and whoever is through
	first   string // user whose call was the first to go first and fail in this hold, and how often; several says that others did, too
	firsts  int
	several bool
	opened  int // how often a hold has ended
	idle    stoppage
	isDry   bool // calls are waited for because the quota has none

	order    order // the operator's
	orderRev uint64
	waits    *backoff.ExponentialBackOff // between probes; reset by the first success

	writes, reads streak

	lastSuccess, lastFailure time.Time
	lastError                *freshmarketer.Error
}

func newGate(check func(context.Context) error, q *quota, initial time.Duration, m *metrics.Metrics, log *zap.Logger) *gate {
	g := &gate{
		check: check, quota: q, metrics: m, log: log, wake: make(chan struct{}, 1), changed: make(chan struct{}),
		waits: newBackOff(initial, probeMax),
	}
	q.dry = g.dry
	return g
}

// await waits until somebody may pass.
func (g *gate) await(ctx context.Context) error {
	for {
		g.mu.Lock()
		ok, changed := g.passable(), g.changed
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

// passable says whether somebody may make a call now.
func (g *gate) passable() bool {
	return !g.order.Paused && (g.hold == "" || g.ajar && g.through == nil)
}

// admit lets one call through, or says that it may not be made. Who is through already may go on.
func (g *gate) admit(p *pass) bool {
	if !g.passable() && (g.order.Paused || g.through != p) {
		return false
	}
	if g.hold != "" { // ajar: nobody else until this call is answered
		g.through = p
	}
	return true
}

// report tells the gate what came of a call for a user that writes contacts or accounts. It returns whether the failure is the
// user's to count: what belongs to the account's trouble costs nobody an attempt.
func (g *gate) report(user string, err error) (counts bool) { return g.told(user, &g.writes, err) }

// reportRead is report for a call that writes none. Its success says nothing about those that do: an account that fails for all
// writes can often still be read.
func (g *gate) reportRead(user string, err error) (counts bool) { return g.told(user, &g.reads, err) }

func (g *gate) told(user string, s *streak, err error) (counts bool) {
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
		return g.fail(user, s, failure)
	}
	g.lastSuccess = time.Now()
	g.reads.end()
	switch {
	case s == &g.writes:
		g.writes.end()
	case g.writes.failures > 0 && (g.hold == HoldOutage || g.hold == HoldMisconfigured):
		return true // who is through stays so until it leaves: its next call may be the write that tells
	}
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

func (g *gate) fail(user string, s *streak, failure *freshmarketer.Error) (counts bool) {
	s.own.failed(user)
	switch {
	case g.hold != "":
		return g.ajar && g.failFirst(user, s, failure)
	case s.own.proven(user):
		return true
	}
	s.add(user)
	if g.writes.failures+g.reads.failures >= outageFailures && g.writes.with(g.reads) >= outageUsers {
		g.close(HoldOutage, failure)
		return false
	}
	return true
}

// failFirst is a failure of a call that went first after a hold. If nobody but one user ever did, while probes work, then the
// trouble is that user's. Of several nobody can tell: they may be all there is to send while all writes fail.
func (g *gate) failFirst(user string, s *streak, failure *freshmarketer.Error) (counts bool) {
	if g.firsts == 0 {
		g.first = user
	}
	g.several = g.several || g.first != user
	if g.firsts++; g.firsts >= outageUsers && !g.several {
		g.open()
		return true
	}
	s.add(user)
	g.close(holdFor(failure.Kind), failure) // and not what it was before: a hold that only waits would try again at once
	return false
}

// throttle holds for as long as the answer says; a later answer can only lengthen it.
func (g *gate) throttle(failure *freshmarketer.Error) {
	wait := failure.RetryAfter
	g.quota.throttled(wait)
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
		g.idle.begin()
		g.log.Warn("holding everything", zap.String("reason", string(why)), zap.String("operation", failure.Op), zap.Int("status", failure.Status), zap.String("kind", string(failure.Kind)))
	} else if g.hold != why {
		g.metrics.SetPaused(string(g.hold), false)
	}
	// A 503 may name a time as well. Unlike that of a 429 it is only believed within reason: a probe costs next to nothing.
	g.notBefore(min(failure.RetryAfter, askedMost))
	g.hold, g.ajar, g.through, g.detail = why, false, nil, failure.Error()
	g.metrics.SetPaused(string(why), true)
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// passed ends a passage that told nothing.
func (g *gate) passed() {
	if g.through != nil {
		g.through = nil
		g.broadcast()
	}
}

// left ends the passage of whoever went first and has no more calls to make.
func (g *gate) left(p *pass) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.through == p {
		g.passed()
	}
}

// openings is how many holds have ended.
func (g *gate) openings() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opened
}

func (g *gate) open() {
	if g.hold == "" {
		return
	}
	g.log.Info("sending again", zap.String("reason", string(g.hold)), zap.Duration("held", time.Since(g.since)))
	g.metrics.SetPaused(string(g.hold), false)
	g.idle.end()
	g.hold, g.ajar, g.through, g.detail = "", false, nil, ""
	g.first, g.firsts, g.several = "", 0, false
	g.opened++
	g.writes.end()
	g.reads.end()
	g.waits.Reset()
	g.broadcast()
}

func (g *gate) broadcast() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// dry says that calls are waited for because the quota has none, or no more.
func (g *gate) dry(now bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now == g.isDry {
		return
	}
	if g.isDry = now; now {
		g.idle.begin()
	} else {
		g.idle.end()
	}
}

// idleFor is how long nothing could be sent in all, so that ages can leave it out.
func (g *gate) idleFor() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.idle.sum()
}

// opensIn is how long a hold lasts whose end an answer named; 0 if nothing holds. known is false if nobody can tell.
func (g *gate) opensIn() (wait time.Duration, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.order.Paused:
		return 0, false
	case g.hold == "" || g.ajar:
		return 0, true
	case g.hold == HoldThrottled:
		return max(0, time.Until(g.until)), true
	}
	return 0, false
}

// Pause describes a hold for status.
type Pause struct {
	Reason Hold
	Since  time.Time
	Detail string
	By     string // of HoldOperator: who said so, "" if nobody knows
	Note   string // of HoldOperator: why, "" if nobody said
}

func (g *gate) pauses() []Pause {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []Pause
	if g.order.Paused {
		all = append(all, Pause{Reason: HoldOperator, Since: g.order.At, By: g.order.By, Note: g.order.Note})
	}
	if g.hold != "" {
		detail := g.detail
		if time.Until(g.until) > time.Second { // an answer said so; of a 429 it may be days
			detail += "; no call before " + g.until.UTC().Format(time.RFC3339)
		}
		all = append(all, Pause{Reason: g.hold, Since: g.since, Detail: detail})
	}
	return all
}

package worker

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
)

// run ends holds: it waits as long as the API said, or probes until the API answers, and then leaves the gate ajar.
func (g *gate) run(ctx context.Context) {
	for {
		select {
		case <-g.wake:
		case <-ctx.Done():
			return
		}
		for {
			wait, probe, over := g.next()
			if over {
				break
			}
			if !sleep(ctx, wait) {
				return
			}
			if g.early() { // an answer that came meanwhile asks for more time
				continue
			}
			if !probe || g.tryProbe(ctx) {
				g.setAjar()
			}
		}
	}
}

// next says how long the present hold waits and whether a probe follows. over means that there is nothing to wait for.
func (g *gate) next() (wait time.Duration, probe, over bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hold == "" || g.ajar {
		return 0, false, true
	}
	if left := time.Until(g.until); left > 0 {
		return left, g.hold != HoldThrottled, false
	}
	if g.hold == HoldThrottled {
		return 0, false, false
	}
	return g.waits.NextBackOff(), true, false
}

func (g *gate) early() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Until(g.until) > 0
}

// forbidden says that not even a probe may be made.
func (g *gate) forbidden() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.order.Paused || time.Until(g.until) > 0
}

func (g *gate) setAjar() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hold == "" || time.Until(g.until) > 0 { // a later 429 has lengthened the hold
		return
	}
	g.ajar = true
	g.broadcast()
}

func (g *gate) tryProbe(ctx context.Context) bool {
	err := g.probe(ctx, ctx)
	if err == nil {
		return true
	}
	failure := new(freshmarketer.Error)
	if !errors.As(err, &failure) || failure.Kind == freshmarketer.KindCanceled {
		return false
	}
	g.log.Info("the API is still not usable", zap.String("kind", string(failure.Kind)), zap.Int("status", failure.Status))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lastFailure, g.lastError = time.Now(), failure
	if failure.Kind == freshmarketer.KindThrottled {
		g.throttle(failure)
		return false
	}
	g.close(holdFor(failure.Kind), failure)
	return false
}

// probe asks the API whether it works, whether the gate is open or not. waitCtx ends the wait for the quota, callCtx the
// call. An error that is not the API's says that there was no call.
func (g *gate) probe(waitCtx, callCtx context.Context) error {
	grant, err := g.quota.acquire(waitCtx, classSystem, 1)
	if err != nil {
		return err
	}
	defer grant.giveBack()
	if g.forbidden() || !grant.spend() { // a 429 or an operator's word came while the quota was waited for
		return errHeld
	}
	defer grant.done()
	return g.check(callCtx)
}

// verify probes because of an answer that could be the account's trouble or one user's. If the probe fails, everything
// is held, and the answer was not the user's: it returns false. So it does without a probe when everything is held already.
func (g *gate) verify(waitCtx, callCtx context.Context) bool {
	if g.heldNow() {
		return false
	}
	err := g.probe(waitCtx, callCtx)
	if err == nil {
		return true
	}
	failure := new(freshmarketer.Error)
	if !errors.As(err, &failure) || failure.Kind == freshmarketer.KindCanceled {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lastFailure, g.lastError = time.Now(), failure
	if failure.Kind == freshmarketer.KindThrottled {
		g.throttle(failure)
	} else if g.hold == "" || g.ajar {
		g.close(holdFor(failure.Kind), failure)
	}
	return false
}

func (g *gate) heldNow() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.hold != "" || g.order.Paused
}

// holdFor is the hold that a failed probe means.
func holdFor(k freshmarketer.Kind) Hold {
	switch k {
	case freshmarketer.KindAuth:
		return HoldKeyRefused
	case freshmarketer.KindPermission, freshmarketer.KindMisrouted, freshmarketer.KindGone, freshmarketer.KindInvalid, freshmarketer.KindConflict:
		return HoldMisconfigured
	}
	return HoldOutage
}

// sleep waits, or returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

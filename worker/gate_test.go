package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	fm "github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/metrics"
)

// gateRig is a running gate in a bubble, with a probe that answers what the test wants.
type gateRig struct {
	*gate
	t *testing.T

	lock   sync.Mutex // the probe is called by the gate's own goroutine
	answer error
	probed []time.Time
}

func (g *gateRig) ask(context.Context) error {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.probed = append(g.probed, time.Now())
	return g.answer
}

func (g *gateRig) answers(err error) {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.answer = err
}

// probes are the times of all probes so far.
func (g *gateRig) probes() []time.Time {
	g.lock.Lock()
	defer g.lock.Unlock()
	return slices.Clone(g.probed)
}

func gateBubble(t *testing.T, body func(t *testing.T, g *gateRig)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateRig{t: t}
		g.gate = newGate(g.ask, newQuota(Quota{}, nil, "", zap.NewNop()), 2*time.Second, metrics.New(), zap.NewNop())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { g.run(ctx); close(ended) }()
		body(t, g)
		cancel()
		<-ended
	})
}

func failure(kind fm.Kind, after time.Duration) error {
	return &fm.Error{Op: fm.OpUpdateContact, Kind: kind, RetryAfter: after}
}

// enterWithin fails the test if nobody may pass in that time.
func (g *gateRig) enterWithin(limit time.Duration) { g.firstIn(limit) }

// firstIn is enterWithin, for whom the pass matters.
func (g *gateRig) firstIn(limit time.Duration) *pass {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), limit)
	defer cancel()
	for {
		p, _, err := g.enter(ctx, classContact, 1)
		if err != nil {
			g.t.Fatalf("nobody may pass for %v: %+v", limit, g.pauses())
		}
		if p.admit() == nil {
			return p
		}
	}
}

// tryPass is nil if somebody may pass now; he does then.
func (g *gateRig) tryPass() error {
	p, err := g.tryEnter(classContact, 1)
	if err != nil {
		return err
	}
	return p.admit()
}

func (g *gateRig) isOpen() bool { return len(g.pauses()) == 0 }

func (g *gateRig) outage() {
	for i := range outageFailures {
		g.report(fmt.Sprint(i), failure(fm.KindTemporary, 0))
	}
}

func TestAnOutageIsManyFailuresOfSeveralUsersInARow(t *testing.T) {
	type step struct {
		user string
		err  error
	}
	bad, refused := failure(fm.KindTemporary, 0), failure(fm.KindInvalid, 0)
	for name, c := range map[string]struct {
		steps []step
		holds bool
	}{
		"five of three users":     {[]step{{"a", bad}, {"b", bad}, {"c", bad}, {"a", bad}, {"b", bad}}, true},
		"four":                    {[]step{{"a", bad}, {"b", bad}, {"c", bad}, {"d", bad}}, false},
		"two users":               {[]step{{"a", bad}, {"b", bad}, {"a", bad}, {"b", bad}, {"a", bad}, {"b", bad}}, false},
		"a success between":       {[]step{{"a", bad}, {"b", bad}, {"c", bad}, {"d", nil}, {"a", bad}, {"b", bad}}, false},
		"a refused value between": {[]step{{"a", bad}, {"b", bad}, {"c", bad}, {"d", refused}, {"a", bad}, {"b", bad}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			gateBubble(t, func(t *testing.T, g *gateRig) {
				for i, s := range c.steps {
					if counts := g.report(s.user, s.err); counts == (c.holds && i == len(c.steps)-1) {
						t.Errorf("step %d counts: %v", i, counts)
					}
				}
				if g.isOpen() == c.holds {
					t.Errorf("paused: %+v", g.pauses())
				}
			})
		})
	}
}

// Whatever comes of the call that goes first, and whatever closed the gate: soon somebody may pass again, and a success
// opens it.
func TestNoPassageIsEverLost(t *testing.T) {
	kinds := []fm.Kind{fm.KindAuth, fm.KindPermission, fm.KindThrottled, fm.KindConflict, fm.KindInvalid, fm.KindGone, fm.KindMisrouted, fm.KindTemporary, fm.KindCanceled, fm.KindUnknown}
	closers := map[string]func(g *gateRig){
		"throttled": func(g *gateRig) { g.report("x", failure(fm.KindThrottled, 3*time.Second)) },
		"auth":      func(g *gateRig) { g.report("x", failure(fm.KindAuth, 0)) },
		"outage":    (*gateRig).outage,
		"verify": func(g *gateRig) {
			g.answers(failure(fm.KindMisrouted, 0))
			g.verify(g.t.Context(), g.t.Context())
			g.answers(nil)
		},
	}
	for name, hold := range closers {
		t.Run(name, func(t *testing.T) {
			gateBubble(t, func(t *testing.T, g *gateRig) {
				for _, first := range kinds {
					for _, late := range append(kinds, "") {
						hold(g)
						if g.isOpen() || g.tryPass() == nil {
							t.Fatal("nothing is held")
						}
						g.enterWithin(5 * time.Minute)
						if g.isOpen() || g.tryPass() == nil {
							t.Fatal("more than one may go first")
						}
						if late != "" { // an answer of a call that began before the hold
							g.report("late", failure(late, 0))
						}
						g.report("first", failure(first, 0))
						g.enterWithin(10 * time.Minute)
						g.report("second", nil)
						g.enterWithin(10 * time.Minute)
						g.report("third", nil)
						if !g.isOpen() {
							t.Fatalf("after %s and %s: %+v", first, late, g.pauses())
						}
					}
				}
			})
		})
	}
}

// Any answer may say how long to wait, also that of a probe or of a call that began before the hold.
func TestNothingIsCalledBeforeTheTimeAnAnswerNames(t *testing.T) {
	for name, hold := range map[string]func(g *gateRig, wait time.Duration){
		"429": func(g *gateRig, wait time.Duration) { g.report("x", failure(fm.KindThrottled, wait)) },
		"401": func(g *gateRig, wait time.Duration) { g.report("x", failure(fm.KindAuth, wait)) },
		"503 that makes an outage": func(g *gateRig, wait time.Duration) {
			g.outage()
			g.enterWithin(time.Minute)
			g.report("x", failure(fm.KindTemporary, wait))
		},
		"a late 429 in an outage": func(g *gateRig, wait time.Duration) {
			g.outage()
			time.Sleep(time.Second)
			g.report("x", failure(fm.KindThrottled, wait))
		},
		"a probe's 429": func(g *gateRig, wait time.Duration) {
			g.answers(failure(fm.KindThrottled, wait))
			g.outage()
			for n := len(g.probes()); len(g.probes()) == n; {
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
			}
		},
		"a probe's 503": func(g *gateRig, wait time.Duration) {
			g.answers(failure(fm.KindTemporary, wait))
			g.verify(g.t.Context(), g.t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			gateBubble(t, func(t *testing.T, g *gateRig) {
				const wait = 30 * time.Minute
				hold(g, wait)
				until := time.Now().Add(wait - 200*time.Millisecond)
				probes := len(g.probes())
				g.answers(nil)
				if g.verify(t.Context(), t.Context()) {
					t.Error("everything is held and a probe was made for one user")
				}
				g.enterWithin(2 * wait)
				if time.Now().Before(until) {
					t.Errorf("a call may be made %v too early", time.Until(until))
				}
				for _, at := range g.probes()[probes:] {
					if at.Before(until) {
						t.Errorf("a probe came %v too early", until.Sub(at))
					}
				}
			})
		})
	}
}

// A time that only a broken proxy would name does not stop everybody for days; that of a 429 is the account's own.
func TestATimeOfAnOutageIsBelievedWithinReason(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for kind, most := range map[fm.Kind]time.Duration{fm.KindTemporary: askedMost, fm.KindThrottled: week} {
		t.Run(string(kind), func(t *testing.T) {
			gateBubble(t, func(t *testing.T, g *gateRig) {
				began := time.Now()
				for i := range outageFailures {
					g.report(fmt.Sprint(i), failure(kind, week))
				}
				g.enterWithin(2 * week)
				if took := time.Since(began); took < most || took > most+5*time.Minute {
					t.Errorf("somebody may pass after %v, want %v", took, most)
				}
			})
		})
	}
}

// After a 429 the heads of many users fail with 500 while the probe works: that must not become a loop of calls.
func TestHeadsThatFailAreNotTriedInALoop(t *testing.T) {
	for _, closer := range []fm.Kind{fm.KindThrottled, fm.KindAuth} {
		t.Run(string(closer), func(t *testing.T) {
			gateBubble(t, func(t *testing.T, g *gateRig) {
				g.report("x", failure(closer, time.Second))
				calls := 0
				for end := time.Now().Add(time.Hour); time.Now().Before(end); calls++ {
					g.enterWithin(10 * time.Minute)
					time.Sleep(10 * time.Millisecond)
					if g.report(fmt.Sprint(calls%7), failure(fm.KindTemporary, 0)) {
						t.Fatal("it counts against a user though everybody's calls fail")
					}
				}
				if calls > 60 || len(g.probes()) > 60 {
					t.Errorf("%d calls and %d probes in an hour", calls, len(g.probes()))
				}
			})
		})
	}
}

// A user who always goes first and fails, while probes work, is the trouble.
func TestOneUserCannotKeepTheGateClosed(t *testing.T) {
	gateBubble(t, func(t *testing.T, g *gateRig) {
		g.outage()
		for i := range outageUsers {
			g.enterWithin(10 * time.Minute)
			if counts := g.report("poison", failure(fm.KindTemporary, 0)); counts != (i == outageUsers-1) {
				t.Errorf("try %d counts: %v", i, counts)
			}
		}
		if !g.isOpen() {
			t.Errorf("still held: %+v", g.pauses())
		}
	})
}

// A 429 can name days: whoever is on call sees until when nothing is sent, and not only since when.
func TestAPauseSaysUntilWhen(t *testing.T) {
	gateBubble(t, func(t *testing.T, g *gateRig) {
		until := time.Now().Add(72 * time.Hour).UTC().Format(time.RFC3339)
		g.report("x", failure(fm.KindThrottled, 72*time.Hour))
		if p := g.pauses(); len(p) != 1 || !strings.HasSuffix(p[0].Detail, "; no call before "+until) {
			t.Errorf("paused %+v", p)
		}
		g.enterWithin(73 * time.Hour)
		if p := g.pauses(); len(p) != 1 || strings.Contains(p[0].Detail, "no call before") {
			t.Errorf("paused %+v", p)
		}
	})
}

func TestHeldTimeIsCountedOnce(t *testing.T) {
	gateBubble(t, func(t *testing.T, g *gateRig) {
		began := time.Now()
		g.answers(failure(fm.KindTemporary, 0))
		g.outage()
		time.Sleep(time.Hour)
		g.report("x", failure(fm.KindAuth, 0)) // another reason for the same hold
		time.Sleep(time.Hour)
		g.answers(nil)
		g.enterWithin(10 * time.Minute)
		g.report("x", nil)
		want := time.Since(began)
		time.Sleep(time.Hour)
		if got := g.idleFor(); got != want {
			t.Errorf("held for %v, want %v", got, want)
		}
	})
}

func TestWaitingAtTheGateEndsWithTheContext(t *testing.T) {
	gateBubble(t, func(t *testing.T, g *gateRig) {
		g.report("x", failure(fm.KindThrottled, time.Hour))
		why := errors.New("stopping")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		if _, _, err := g.enter(ctx, classContact, 1); !errors.Is(err, why) {
			t.Errorf("the wait ended with %v", err)
		}
	})
}

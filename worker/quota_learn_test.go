package worker

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	fm "github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/metrics"
)

// spend makes n calls at once, and fails the test if there are not so many.
func spend(t *testing.T, q *quota, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for range n {
		g, err := q.acquire(ctx, classContact, 1)
		if err != nil {
			t.Fatal(err)
		}
		g.spend()
		g.done()
	}
}

func runQuota(t *testing.T, a account, cfg Quota, body func(q *quota, g *gate)) {
	t.Helper()
	q := newQuota(cfg, a, "p", zap.NewNop())
	g := newGate(nil, q, time.Second, metrics.New(), zap.NewNop())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { q.run(ctx); close(done) }()
	body(q, g)
	cancel()
	<-done
}

func window(t *testing.T, q *quota, name string) QuotaWindow {
	t.Helper()
	for _, w := range q.windows() {
		if w.Window == name {
			return w
		}
	}
	t.Fatalf("no window %s", name)
	return QuotaWindow{}
}

// After a 429 the window that was fuller gives less, for all processes and over restarts, and rises again bit by bit.
func TestA429LowersTheLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		calls      int // before
		pause      time.Duration
		retryAfter time.Duration
		window     string
		allowed    int // at once
		half, full time.Duration
	}{
		"of the hour, which is fuller":        {300, 5 * time.Minute, 0, WindowHour, 270, 3 * time.Hour, 6 * time.Hour},
		"of the minute, which is fuller":      {300, 0, 30 * time.Second, WindowMinute, 270, 30 * time.Minute, time.Hour},
		"of the hour, because it says so":     {300, 0, 2 * time.Minute, WindowHour, 270, 3 * time.Hour, 6 * time.Hour},
		"with next to nothing used: not less": {5, 5 * time.Minute, 0, WindowHour, 90, 3 * time.Hour, 6 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := &flakyAccount{offset: -3 * time.Hour}
				runQuota(t, a, DefaultQuota(), func(q *quota, _ *gate) {
					full := window(t, q, c.window).Allowed
					spend(t, q, c.calls)
					time.Sleep(c.pause)
					q.throttled(c.retryAfter)
					if w := window(t, q, c.window); w.Allowed != c.allowed {
						t.Fatalf("allowed are %d, want %d", w.Allowed, c.allowed)
					}
					q.throttled(c.retryAfter) // of a call that was under way
					time.Sleep(2 * time.Minute)
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					_, _ = q.acquire(ctx, classContact, 1) // whoever wants calls tells STATE, also if there are none
					q.close()
					other := newQuota(DefaultQuota(), a, "other", zap.NewNop())
					if err := other.look(t.Context()); err != nil {
						t.Fatal(err)
					}
					if w := window(t, other, c.window); w.Allowed >= full || w.Allowed < c.allowed {
						t.Errorf("another process is allowed %d", w.Allowed)
					}
					time.Sleep(c.half - 2*time.Minute)
					if w, want := window(t, other, c.window), (full+c.allowed)/2; math.Abs(float64(w.Allowed-want)) > 2 {
						t.Errorf("half way up %d are allowed, want about %d", w.Allowed, want)
					}
					time.Sleep(c.full - c.half)
					if w := window(t, other, c.window); w.Allowed != full {
						t.Errorf("in the end %d are allowed, want %d", w.Allowed, full)
					}
				})
			})
		})
	}
}

// What the headers say is left, less the reserve, is all that is used; when it is gone, one change asks anew.
func TestLimitHeadersAreBelieved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runQuota(t, &flakyAccount{}, DefaultQuota(), func(q *quota, _ *gate) {
			spend(t, q, 10)
			q.observe(1000, 103, 10*time.Minute)
			q.observe(-1, -1, 0) // says nothing
			if w := window(t, q, WindowHour); w.Left != 3 {
				t.Errorf("%d calls are left, want 3", w.Left)
			}
			spend(t, q, 3)
			ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
			if _, err := q.acquire(ctx, classContact, 2); err == nil {
				t.Error("a call of the reserve was given away")
			}
			cancel()
			began := time.Now()
			g, err := q.acquire(t.Context(), classContact, 2)
			if err != nil || time.Since(began) > 62*time.Second {
				t.Fatalf("%v after %v", err, time.Since(began))
			}
			for g.spend() {
				g.done()
			}
			if _, err := q.tryAcquire(classContact, 1); err == nil {
				t.Error("more than one change asks how things are")
			}
			q.observe(1000, 600, 0)
			spend(t, q, 50)
			time.Sleep(2 * time.Minute) // without a reset it is believed for a minute
			spend(t, q, 350)
		})
	})
}

// No window is longer than an hour: a later reset, like a Unix time in milliseconds, would stop everything for days.
func TestALimitHeaderHoldsForAnHourAtMost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runQuota(t, &flakyAccount{}, DefaultQuota(), func(q *quota, _ *gate) {
			q.observe(1000, 0, 7*24*time.Hour)
			began := time.Now()
			g, err := q.acquire(t.Context(), classContact, 1)
			if took := time.Since(began); err != nil || took < 59*time.Minute || took > 61*time.Minute {
				t.Errorf("%v after %v", err, took)
			}
			g.giveBack()
		})
	})
}

// Somebody who waits for many calls and gives up keeps nobody waiting who stood behind, nor does the time count as one in which
// nothing could be sent.
func TestWhoGivesUpWaitingLetsTheNextGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runQuota(t, &flakyAccount{}, Quota{PerHour: 100}, func(q *quota, g *gate) {
			spend(t, q, 80)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { _, _ = q.acquire(ctx, classContact, 90) }()
			synctest.Wait()
			taken := make(chan time.Time)
			go func() {
				if grant, err := q.acquire(t.Context(), classContact, 1); err == nil {
					grant.giveBack()
				}
				taken <- time.Now()
			}()
			time.Sleep(time.Minute)
			cancel()
			asked := time.Now()
			if waited := (<-taken).Sub(asked); waited > time.Second {
				t.Errorf("it went %v later", waited)
			}
			synctest.Wait()
			before := g.idleFor()
			if time.Sleep(time.Minute); g.idleFor() > before {
				t.Error("calls are still said to be short")
			}
		})
	})
}

// A process that is alone knows at any time what it has used.
func TestStatusOfTheQuota(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runQuota(t, &flakyAccount{}, DefaultQuota(), func(q *quota, _ *gate) {
			spend(t, q, 37)
			time.Sleep(2 * time.Minute)
			spend(t, q, 2)
			want := []QuotaWindow{{WindowHour, 1000, 100, 900, 39, 861}, {WindowMinute, 400, 40, 360, 2, 358}}
			if diff := cmp.Diff(want, q.windows()); diff != "" {
				t.Error(diff)
			}
		})
		off := newQuota(Quota{}, nil, "p", zap.NewNop())
		if len(off.windows()) != 0 || off.leftThisMinute() != 400 {
			t.Errorf("without limits %d calls are left of %v", off.leftThisMinute(), off.windows())
		}
	})
}

func TestWhenBulkPays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runQuota(t, &flakyAccount{}, DefaultQuota(), func(q *quota, g *gate) {
			for used, threshold := range []int{36, 30, 10} { // of 360, of 300, of 10 that are left
				spend(t, q, []int{0, 60, 290}[used])
				if g.bulkPays(threshold) || !g.bulkPays(threshold+1) {
					t.Errorf("after step %d the threshold is not %d", used, threshold)
				}
			}
		})
	})
	b := newBacklog(1000, nil)
	b.ready = make([]*lane, 7)
	if b.changes() != 7 {
		t.Errorf("%d changes are ready", b.changes())
	}
}

// Time without calls is counted once, however many reasons there were.
func TestStoppagesAreCountedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(nil, newQuota(Quota{}, nil, "", zap.NewNop()), time.Second, metrics.New(), zap.NewNop())
		g.dry(true)
		time.Sleep(time.Minute)
		g.obey(order{Paused: true}, 1)
		time.Sleep(time.Minute)
		g.dry(true)
		g.dry(false)
		g.report("x", &fm.Error{Kind: fm.KindAuth})
		time.Sleep(time.Minute)
		g.obey(order{}, 2)
		g.obey(order{Paused: true}, 1) // an older word
		time.Sleep(time.Minute)
		if got := g.idleFor(); got != 4*time.Minute {
			t.Errorf("%v", got)
		}
		g.mu.Lock()
		g.ajar = true
		g.mu.Unlock()
		g.report("x", nil)
		time.Sleep(time.Minute)
		if got := g.idleFor(); got != 4*time.Minute {
			t.Errorf("%v after it was open again", got)
		}
	})
}

func TestEffort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var e effort
		if e.perEvent() != 1 || e.perSecond() != 0 {
			t.Errorf("nothing observed: %v calls an event, %v events a second", e.perEvent(), e.perSecond())
		}
		for range 3600 {
			e.add(3, 2)
			time.Sleep(time.Second)
		}
		if calls, rate := e.perEvent(), e.perSecond(); math.Abs(calls-1.5) > 0.01 || math.Abs(rate-2) > 0.1 {
			t.Errorf("%v calls an event, %v events a second; want 1.5 and 2", calls, rate)
		}
	})
}

func TestWhenTheBacklogIsClear(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runQuota(t, &flakyAccount{}, DefaultQuota(), func(q *quota, g *gate) {
			p := &Pool{cfg: Config{Quota: q.cfg}, gate: g, mode: &mode{Mode: Mode{Name: ModeLive}}}
			p.effort.add(200, 100)
			spend(t, q, 100)
			for pending, want := range map[int64]time.Duration{
				0: 0, 100: 0, // 200 calls, and there are 260
				310:  time.Minute,   // 360 calls more than the minute has left: the next minute
				850:  time.Hour,     // 900 calls more than the hour has left
				4000: 8 * time.Hour, // 7,200 more
				-1:   0,
			} {
				if got := p.BacklogClear(pending); (got - want).Abs() > want/100+time.Second {
					t.Errorf("%d events are clear in %v, want %v", pending, got, want)
				}
			}
			p.gate.report("x", &fm.Error{Kind: fm.KindThrottled, RetryAfter: 2 * time.Hour})
			// Of then 90 calls an hour none is left, and 20 are needed.
			if got, want := p.BacklogClear(10), 2*time.Hour+800*time.Second; (got - want).Abs() > time.Second {
				t.Errorf("during a 429 they are clear in %v, want %v", got, want)
			}
			p.gate.report("x", &fm.Error{Kind: fm.KindAuth})
			if got := p.BacklogClear(10); got != Never {
				t.Errorf("without a key they are clear in %v", got)
			}
		})
	})
}

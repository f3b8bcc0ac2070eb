package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/queue"
)

// flakyAccount is a STATE in memory that can fail in all ways of a real one, and whose clock can be another one.
type flakyAccount struct {
	mu     sync.Mutex
	data   []byte
	rev    uint64
	offset time.Duration // of the broker's clock
	rng    *rand.Rand    // nil: never fails
	down   bool
}

func (a *flakyAccount) fails(percent int) bool {
	return a.down || a.rng != nil && a.rng.IntN(100) < percent
}

func (a *flakyAccount) State(context.Context, string) ([]byte, uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fails(10) {
		return nil, 0, queue.ErrUnavailable
	}
	return a.data, a.rev, nil
}

func (a *flakyAccount) PutState(_ context.Context, _ string, data []byte, rev uint64) (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.fails(10):
		return 0, queue.ErrUnavailable
	case rev != a.rev:
		return 0, queue.ErrConflict
	}
	a.data, a.rev = data, a.rev+1
	if a.fails(10) { // stored all the same
		return 0, queue.ErrUnavailable
	}
	return a.rev, nil
}

func (a *flakyAccount) Clock(context.Context) (time.Time, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fails(10) {
		return time.Time{}, queue.ErrUnavailable
	}
	return time.Now().Add(a.offset), nil
}

func (a *flakyAccount) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// spender is a process that spends as much as it gets, and notes when.
type spender struct {
	*quota
	cancel context.CancelFunc
	wg     sync.WaitGroup

	lock  sync.Mutex
	spent []time.Time
}

func newSpender(a account, owner string, cfg Quota) *spender {
	s := &spender{quota: newQuota(cfg, a, owner, zap.NewNop())}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.wg.Go(func() { s.run(ctx) })
	for range 4 {
		s.wg.Go(func() {
			for {
				g, err := s.acquire(ctx, classContact, 2)
				if err != nil {
					return
				}
				for g.spend() {
					s.lock.Lock()
					s.spent = append(s.spent, time.Now())
					s.lock.Unlock()
					time.Sleep(100 * time.Millisecond)
					g.done()
				}
				g.giveBack()
			}
		})
	}
	return s
}

func (s *spender) crash() []time.Time {
	s.cancel()
	s.wg.Wait()
	return s.spent
}

// most is the most times in any window of that length. The times must be in order.
func most(times []time.Time, window time.Duration) (n int) {
	first := 0
	for i, at := range times {
		for !times[first].Add(window).After(at) {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}

// Whatever STATE does to it, and however often processes die, a quota never gives out more than there is.
func TestAQuotaIsNeverExceededWhateverStateDoes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				a := &flakyAccount{rng: rand.New(rand.NewPCG(seed, 2)), offset: time.Duration(rng.IntN(100)-50) * time.Hour}
				cfg := Quota{PerHour: 200, PerMinute: 60, Reserve: 0.25}
				var spent []time.Time
				began := time.Now()
				for n := range 40 { // processes, two at a time
					one, two := newSpender(a, fmt.Sprint("a", n), cfg), newSpender(a, fmt.Sprint("b", n), cfg)
					time.Sleep(time.Duration(rng.IntN(1800)) * time.Second)
					both := append(one.crash(), two.crash()...)
					if n%3 == 0 { // one of them ends in good order
						two.close()
					}
					spent = append(spent, both...)
				}
				sortTimes(spent)
				hour, minute := most(spent, time.Hour), most(spent, time.Minute)
				if least := time.Since(began).Hours() * 150 * 0.8; hour > 150 || minute > 45 || len(spent) < int(least) {
					t.Errorf("%d calls, up to %d in an hour and %d in a minute; wanted at least %.0f in all", len(spent), hour, minute, least)
				}
			})
		})
	}
}

func sortTimes(times []time.Time) {
	for i := 1; i < len(times); i++ {
		for j := i; j > 0 && times[j].Before(times[j-1]); j-- {
			times[j], times[j-1] = times[j-1], times[j]
		}
	}
}

// A call that was granted may be made late, and the process die with it: it counts from the latest moment on.
func TestALateCallOfADeadProcessCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &flakyAccount{}
		cfg := Quota{PerMinute: 10}
		one := newQuota(cfg, a, "one", zap.NewNop())
		if _, err := one.take(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		g, err := one.tryAcquire(classContact, 4)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(55 * time.Second)
		for range 4 {
			if !g.spend() {
				t.Fatal("it may not be made any more")
			}
		}
		time.Sleep(10 * time.Second)
		if g.spend() || one.block.left() != 0 {
			t.Error("a call was made after the block's end")
		}
		two := newQuota(cfg, a, "two", zap.NewNop())
		if wait, err := two.take(t.Context(), 7); wait == 0 || err != nil {
			t.Errorf("seven calls, ten seconds after four others: %v, %v", wait, err)
		}
	})
}

// While STATE is down nothing is spent, and it is not asked in a loop.
func TestNothingIsSpentWhileStateIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &flakyAccount{}
		s := newSpender(a, "p", DefaultQuota())
		time.Sleep(time.Minute + 5*time.Second) // the first minute is used up, and comes free again
		a.set(func() { a.down = true })
		time.Sleep(2 * time.Minute) // what was granted is spent
		s.lock.Lock()
		before := len(s.spent)
		s.lock.Unlock()
		time.Sleep(3 * time.Hour)
		s.lock.Lock()
		after := len(s.spent)
		s.lock.Unlock()
		if after != before || before == 0 {
			t.Errorf("%d calls before, %d after", before, after)
		}
		a.set(func() { a.down = false })
		time.Sleep(time.Minute)
		if spent := s.crash(); len(spent) == after {
			t.Error("it does not go on")
		}
	})
}

func TestRoomInTheWindows(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	ago := func(d time.Duration, calls int) taken { return taken{End: now.Add(-d).UnixMilli(), Calls: calls} }
	allowed := budget{hour: 100, minute: 40}
	for name, c := range map[string]struct {
		taken          []taken
		needed, wanted int
		calls          int
		wait           time.Duration
	}{
		"empty":                         {nil, 2, 5, 5, 0},
		"more than the minute has":      {nil, 1, 60, 40, 0},
		"a part is left":                {[]taken{ago(30*time.Second, 37)}, 2, 5, 3, 0},
		"less than needed is left":      {[]taken{ago(30*time.Second, 39)}, 2, 5, 0, 31 * time.Second},
		"the minute is over but slack":  {[]taken{ago(time.Minute, 40)}, 1, 5, 0, time.Second},
		"the minute is over":            {[]taken{ago(61*time.Second, 40)}, 1, 5, 5, 0},
		"the hour is used up":           {[]taken{ago(50*time.Minute, 60), ago(10*time.Minute, 40)}, 1, 5, 0, 10*time.Minute + time.Second},
		"the first to leave suffices":   {[]taken{ago(50*time.Minute, 2), ago(10*time.Minute, 98)}, 2, 5, 0, 10*time.Minute + time.Second},
		"the first does not suffice":    {[]taken{ago(50*time.Minute, 1), ago(40*time.Minute, 1), ago(10*time.Minute, 98)}, 2, 5, 0, 20*time.Minute + time.Second},
		"the hour is over":              {[]taken{ago(time.Hour+time.Second, 100)}, 1, 5, 5, 0},
		"both windows, the later binds": {[]taken{ago(time.Hour-9*time.Second, 60), ago(10*time.Second, 40)}, 1, 5, 0, 51 * time.Second},
		"an open block in the future":   {[]taken{ago(-75*time.Second, 40)}, 1, 5, 0, 2*time.Minute + 16*time.Second},
	} {
		s := spending{Taken: c.taken}
		s.tidy(now)
		if calls, wait := s.room(now, allowed, c.needed, c.wanted); calls != c.calls || wait != c.wait {
			t.Errorf("%s: %d after %v, want %d after %v", name, calls, wait, c.calls, c.wait)
		}
	}
}

// What is remembered stays small, counts the same, and cannot be poisoned by a wrong clock.
func TestTidy(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	var s spending
	for i := range 5000 {
		s.Taken = append(s.Taken, taken{End: now.Add(-time.Duration(i) * time.Second).UnixMilli(), Calls: 1})
	}
	s.Taken = append(s.Taken, taken{ID: "a.1", End: now.Add(9 * time.Hour).UnixMilli(), Calls: 7}, taken{ID: "a.2", End: now.UnixMilli()})
	s.tidy(now)
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.used(now, time.Hour); n < 3601+7 || n > 3601+7+10 || len(s.Taken) > 450 || len(data) > 20_000 {
		t.Errorf("%d calls in %d entries and %d bytes", n, len(s.Taken), len(data))
	}
	if n := s.used(now, time.Minute); n != 61+7 {
		t.Errorf("%d calls in a minute", n)
	}
	if end := time.UnixMilli(s.Taken[len(s.Taken)-1].End); end.After(now.Add(blockLife + callMax)) {
		t.Errorf("a block ends %v from now", end.Sub(now))
	}
	if _, err := decodeSpending([]byte("{")); err == nil {
		t.Error("what is unreadable is taken for an empty quota")
	}
}

func TestQuotaChecks(t *testing.T) {
	t.Parallel()
	for _, bad := range []Quota{{PerHour: -1}, {PerMinute: -1}, {PerHour: 100, Reserve: 1}, {PerHour: 100, Reserve: -0.1}, {PerHour: 10, Reserve: 0.1}, {PerMinute: 9}} {
		if bad.check() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	for want, good := range map[budget]Quota{
		{900, 360}: DefaultQuota(), {4500, 1 << 30}: {PerHour: 5000, Reserve: 0.1}, {66, 1 << 30}: {PerHour: 100, Reserve: 0.333}, {1000, 400}: {PerHour: 1000, PerMinute: 400},
	} {
		got := good.allowed()
		got.minute = min(got.minute, 1<<30)
		if err := good.check(); err != nil || !cmp.Equal(got, want, cmp.AllowUnexported(budget{})) {
			t.Errorf("%+v allows %+v, %v; want %+v", good, got, err, want)
		}
	}
}

// Who waits is served in turn, a lower class first, and who gives up leaves no gap.
func TestWaitersAreServedInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuota(Quota{PerMinute: 10}, &flakyAccount{}, "p", zap.NewNop())
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { q.run(ctx) })
		spend := func(c class, calls int) {
			g, err := q.acquire(ctx, c, calls)
			if err != nil {
				return
			}
			for g.spend() {
				g.done()
			}
		}
		spend(classContact, 10)
		began := time.Now()
		var lock sync.Mutex
		served := map[string]time.Duration{}
		wait := func(name string, c class, calls int) {
			wg.Go(func() {
				spend(c, calls)
				lock.Lock()
				defer lock.Unlock()
				served[name] = time.Since(began).Truncate(time.Second)
			})
			time.Sleep(time.Millisecond)
		}
		wait("activity", classActivity, 1)
		wait("first", classContact, 9)
		gone, giveUp := context.WithCancelCause(ctx)
		wg.Go(func() {
			if _, err := q.acquire(gone, classContact, 1); !errors.Is(err, errStopping) {
				t.Errorf("gave up with %v", err)
			}
		})
		time.Sleep(time.Millisecond)
		wait("second", classContact, 1)
		wait("third", classContact, 1)
		wait("probe", classSystem, 1)
		giveUp(errStopping)
		time.Sleep(5 * time.Minute)
		cancel()
		wg.Wait()
		want := map[string]time.Duration{
			"probe": 61 * time.Second, "first": 61 * time.Second, "second": 122 * time.Second, "third": 122 * time.Second,
			"activity": 182 * time.Second, // a minute after nobody else was short of calls
		}
		if diff := cmp.Diff(want, served); diff != "" {
			t.Error(diff)
		}
	})
}

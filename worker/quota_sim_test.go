package worker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	fm "github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// door is a process with nothing but the door to the API: gate, quota, a real store, and a client of a sandbox.
type door struct {
	t      *testing.T
	store  *queue.Store
	box    *sandbox.Sandbox
	client *fm.Client
	*gate

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func doorBubble(t *testing.T, opt sandbox.Options, body func(t *testing.T, d *door)) {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		box, api := sandboxtest.Start(t, opt)
		d := &door{t: t, box: box, store: queuetest.Open(t, dir)}
		var err error
		if d.client, err = fm.New(api); err != nil {
			t.Fatal(err)
		}
		body(t, d)
	})
}

// open starts a process that spends the quota.
func (d *door) open(owner string, q Quota) *door {
	p := &door{t: d.t, store: d.store, box: d.box, client: d.client}
	p.gate = newGate(p.client.Probe, newQuota(q, p.store, owner, zap.NewNop()), 2*time.Second, metrics.New(), zap.NewNop())
	ctx, cancel := context.WithCancel(d.t.Context())
	p.cancel = cancel
	p.wg.Go(func() { p.run(ctx) })
	p.wg.Go(func() { p.quota.run(ctx) })
	return p
}

// crash ends the process without giving anything back.
func (d *door) crash() {
	d.cancel()
	d.wg.Wait()
}

// stop ends it in good order.
func (d *door) stop() {
	d.crash()
	d.quota.close()
}

// change makes the calls of one change of a class: probes, as far as the sandbox is concerned. It reports false when ctx ended.
func (d *door) change(ctx context.Context, c class, calls int) bool {
	for {
		p, _, err := d.enter(ctx, c, calls)
		if err != nil {
			return false
		}
		made := 0
		for ; made < calls; made++ {
			if p.admit() != nil {
				break
			}
			p.report("user", d.client.Probe(context.WithoutCancel(ctx)))
		}
		p.leave()
		if made == calls {
			return true
		}
	}
}

// want lets so many workers make changes of a class without end. They count what they have done.
func (d *door) want(ctx context.Context, c class, workers, calls int, done *atomic.Int64) {
	for range workers {
		d.wg.Go(func() {
			for d.change(ctx, c, calls) {
				done.Add(1)
			}
		})
	}
}

// within checks from outside that no window of that length has more calls than the limit, and returns the most of any.
func within(t *testing.T, calls []sandbox.Call, window time.Duration, limit int) (most int) {
	t.Helper()
	if most = sandboxtest.MostIn(calls, window); most > limit {
		t.Errorf("%d calls in %v, allowed are %d", most, window, limit)
	}
	return most
}

// A day on the smallest plan, with more calls wanted than there are at every moment: the reserve stays, nothing else is
// left over, and activities get nothing as long as contacts wait.
func TestADayOfTheSmallestPlan(t *testing.T) {
	for name, crash := range map[string]time.Duration{"without a crash": 0, "with a crash every hour": time.Hour, "with a restart every 50 s": 50 * time.Second} {
		t.Run(name, func(t *testing.T) {
			doorBubble(t, sandbox.Options{CallLog: 50_000}, func(t *testing.T, d *door) {
				var contacts, activities atomic.Int64
				hours := 24
				if crash == 50*time.Second {
					hours = 4 // of more than a thousand processes a day
				}
				end := time.Now().Add(time.Duration(hours) * time.Hour)
				for n := 0; time.Now().Before(end); n++ {
					p := d.open(fmt.Sprint("p", n), DefaultQuota())
					ctx, cancel := context.WithCancel(t.Context())
					p.want(ctx, classContact, 6, 1, &contacts)
					p.want(ctx, classContact, 6, 2, &contacts)
					time.Sleep(time.Millisecond)
					p.want(ctx, classActivity, 4, 1, &activities)
					run := time.Until(end)
					if crash > 0 {
						run = min(run, crash+time.Duration(n%7)*time.Second)
					}
					time.Sleep(run)
					cancel()
					if crash == time.Hour {
						p.crash()
						time.Sleep(time.Duration(n%3) * time.Second)
					} else {
						p.stop()
					}
				}
				calls := d.box.Calls()
				hour, minute := within(t, calls, time.Hour, 900), within(t, calls, time.Minute, 360)
				t.Logf("%d calls in %d h, at most %d in an hour and %d in a minute; %d contacts, %d activities", len(calls), hours, hour, minute, contacts.Load(), activities.Load())
				if n := sandboxtest.Throttled(calls); n != 0 {
					t.Errorf("%d calls were answered 429", n)
				}
				if len(calls) < 900*hours*98/100 || activities.Load() > 5 { // a few while nothing was short yet
					t.Errorf("%d of %d calls were made, %d of them for activities", len(calls), 900*hours, activities.Load())
				}
			})
		})
	}
}

// Replays stand behind contacts, but however many contacts there are, they go on: with one call of twenty.
func TestReplaysEndThoughContactsNeverDo(t *testing.T) {
	doorBubble(t, sandbox.Options{CallLog: 50_000}, func(t *testing.T, d *door) {
		var contacts, replays atomic.Int64
		p := d.open("p", DefaultQuota())
		ctx, cancel := context.WithCancel(t.Context())
		p.want(ctx, classContact, 12, 1, &contacts)
		time.Sleep(time.Millisecond)
		p.want(ctx, classReplay, 4, 1, &replays)
		time.Sleep(6 * time.Hour)
		cancel()
		p.stop()
		within(t, d.box.Calls(), time.Hour, 900)
		all := contacts.Load() + replays.Load()
		if n := replays.Load(); 100*n < 4*all || 100*n > 6*all {
			t.Errorf("%d of %d calls were for replays, want about 5 %%", n, all)
		}
	})
}

// Several processes spend one budget, and come and go.
func TestProcessesShareTheQuota(t *testing.T) {
	doorBubble(t, sandbox.Options{CallLog: 50_000}, func(t *testing.T, d *door) {
		var done atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		var all []*door
		for n := range 4 {
			p := d.open(fmt.Sprint("p", n), DefaultQuota())
			p.want(ctx, classContact, 8, 2, &done)
			all = append(all, p)
			time.Sleep(7 * time.Minute)
		}
		time.Sleep(6 * time.Hour)
		cancel()
		for _, p := range all {
			p.stop()
		}
		calls := d.box.Calls()
		within(t, calls, time.Hour, 900)
		within(t, calls, time.Minute, 360)
		if want := 900 * 6 * 98 / 100; len(calls) < want {
			t.Errorf("%d calls, want at least %d", len(calls), want)
		}
	})
}

// When contacts leave calls over, activities get them, and contacts do not wait for that.
func TestActivitiesGetWhatContactsLeave(t *testing.T) {
	doorBubble(t, sandbox.Options{CallLog: 50_000}, func(t *testing.T, d *door) {
		p := d.open("p", Quota{PerHour: 10_000, PerMinute: 60, Reserve: 0.1})
		var activities atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		p.want(ctx, classActivity, 8, 1, &activities)
		var worst time.Duration
		for range 100 { // 30 of the 54 calls of a minute
			began := time.Now()
			for range 30 {
				if !p.change(ctx, classContact, 1) {
					t.Fatal("no call")
				}
			}
			worst = max(worst, time.Since(began))
			time.Sleep(time.Until(began.Add(70 * time.Second)))
		}
		cancel()
		p.stop()
		within(t, d.box.Calls(), time.Minute, 54)
		if n := activities.Load(); n < 100*8 || worst > 10*time.Second {
			t.Errorf("%d activities, and contacts took up to %v", n, worst)
		}
	})
}

// Contacts that waited for long are the ones for whom the next calls are: activities wait for a minute more, as after any shortage.
func TestActivitiesWaitAfterALongShortage(t *testing.T) {
	doorBubble(t, sandbox.Options{CallLog: 1000}, func(t *testing.T, d *door) {
		p := d.open("p", Quota{PerHour: 100, PerMinute: 100})
		for range 20 {
			p.change(t.Context(), classContact, 5)
		}
		var contact, activity time.Time
		p.wg.Go(func() { p.change(t.Context(), classContact, 1); contact = time.Now() })
		time.Sleep(time.Second)
		p.wg.Go(func() { p.change(t.Context(), classActivity, 1); activity = time.Now() })
		began := time.Now()
		time.Sleep(2 * time.Hour)
		p.stop()
		if contact.Sub(began) < 50*time.Minute || activity.Sub(contact) < time.Minute {
			t.Errorf("the contact waited for %v, the activity for %v more", contact.Sub(began), activity.Sub(contact))
		}
	})
}

// A 429 that one process gets holds the others, too: they finish the block they have, and no more.
func TestA429HoldsOtherProcesses(t *testing.T) {
	doorBubble(t, sandbox.Options{CallLog: 50_000}, func(t *testing.T, d *door) {
		var done atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		one, two := d.open("one", DefaultQuota()), d.open("two", DefaultQuota())
		one.change(ctx, classContact, 1)
		one.report("user", failure(fm.KindThrottled, 8*time.Minute))
		time.Sleep(time.Millisecond)
		since := d.box.CallCount()
		two.want(ctx, classContact, 8, 2, &done)
		time.Sleep(7 * time.Minute)
		if n := d.box.CallCount() - since; n > 5 {
			t.Errorf("%d calls of another process", n)
		}
		time.Sleep(2 * time.Minute)
		if n := d.box.CallCount() - since; n < 50 {
			t.Errorf("%d calls after it was over", n)
		}
		cancel()
		one.stop()
		two.stop()
	})
}

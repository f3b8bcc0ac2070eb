package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/worker"
)

// One user's calls always fail, among 2,000 calls of 200 users of which many fail once: nobody waits for that user. A call that
// fails once comes again after seconds, so a minute after the last call everybody else is up to date, while the poison is still
// being tried; in the end it is the only one that is set aside. If it also makes every bulk fail that it is in, what comes meanwhile for
// those who are in it waits until that bulk's job cannot be at work any more: two minutes, or four if the last of its parts fails late,
// besides the minute for which calls are short.
func TestAPoisonUserAmongManyFailuresDelaysNobody(t *testing.T) {
	for name, c := range map[string]struct {
		percent   float64
		perMinute int // of the quota: with few calls the changes go in bulks
		wait      time.Duration
	}{"5 %": {5, 100_000, time.Minute}, "30 %": {30, 100_000, time.Minute}, "30 % and in bulks": {30, 400, 5 * time.Minute}} {
		bubbleNamed(t, name, sandbox.Options{History: true, BulkWait: time.Second, BulkDuration: 2 * time.Second, CallLog: 50_000}, func(t *testing.T, r *rig) {
			const users, rounds = 199, 10
			r.publish(r.identify("poison", map[string]any{"seq": -1}))
			r.load(users, 1)
			r.drain(time.Minute)
			r.quota.PerMinute = c.perMinute
			r.restart()
			id := fmtID(r.contact("poison").ID)
			r.fault(sandbox.Fault{Percent: 100, Status: 500, Match: "/" + id})
			r.fault(sandbox.Fault{Percent: 100, Status: 500, MatchBody: id}) // a bulk that it is in
			r.fault(sandbox.Fault{Percent: c.percent, Seed: 7, FirstAttempts: true, Status: 500})
			before := r.box.CallCount()
			for seq := range rounds {
				r.publish(r.identify("poison", map[string]any{"seq": seq, "plan": fmt.Sprint("p", seq)}))
				r.round(users, seq)
				time.Sleep(500 * time.Millisecond)
			}
			time.Sleep(c.wait)
			r.upToDate(users, rounds)
			if l, err := r.store.Ledger(t.Context()); err != nil || l.Dead != 0 || l.Pending == 0 {
				t.Errorf("the poison is not being tried any more: %+v, %v", l, err)
			}
			t.Logf("%d failures, calls %v", r.failures(), r.calls(before))
			if bulks := r.calls(before)["bulk_upsert"]; (bulks > 0) != (c.perMinute == 400) {
				t.Errorf("%d bulks", bulks)
			}
			if l := r.drain(time.Hour); l.Dead == 0 || l.Delivered+l.Dead != users+1+(users+1)*rounds {
				t.Errorf("ledger %+v", l)
			}
			for _, letter := range r.letters() {
				if letter.User != r.store.User("poison") || letter.Reason != worker.ReasonExhausted {
					t.Errorf("set aside: %+v", letter)
				}
			}
			r.neverBackwards("cf_seq")
		})
	}
}

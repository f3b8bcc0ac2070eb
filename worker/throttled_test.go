package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// asked is what the 429 of these tests asks for.
const asked = 8 * time.Second

// throttle gets a 429 for a call of user "first", which is known, and says when it came.
func (r *rig) throttle(after time.Duration) (came time.Time) {
	r.t.Helper()
	const city = "Throttled City"
	r.fault(sandbox.Fault{Next: 1, MatchBody: city, Delay: after, Status: 429, Headers: map[string]string{"Retry-After": fmt.Sprint(int(asked.Seconds()))}})
	r.publish(r.identify("first", map[string]any{"city": city}))
	if after > 0 {
		return time.Now().Add(after)
	}
	for range 100 {
		time.Sleep(10 * time.Millisecond)
		for _, c := range r.box.Calls() {
			if c.Status == 429 {
				return c.Time
			}
		}
	}
	r.t.Fatal("nothing was answered 429")
	return came
}

// A 429 holds calls of every kind, also those that nobody waits for or that are the account's own: each kind is due before the
// time is over, and is made soon after.
func TestA429HoldsCallsOfEveryKind(t *testing.T) {
	outage := sandbox.Fault{Percent: 100, Status: 503, Operation: "contact_filters|create_contact"}
	for name, c := range map[string]struct {
		opt     sandbox.Options
		arrange func(r *rig)               // before
		begin   func(r *rig)               // right before
		due     func(r *rig) []queue.Entry // right after
		slow    time.Duration              // how long the 429 takes to come
		most    time.Duration              // how long after its time the call may come; 0: a second
		op      string                     // what is due; "": nothing that has to come
	}{
		"a contact": {op: "create_contact", due: func(r *rig) []queue.Entry { return []queue.Entry{r.identify("new", nil)} }},
		"an activity": {
			op: "create_activity",
			arrange: func(r *rig) {
				r.activities = asActivities(r.t)
				r.restart()
				r.publish(r.track("first", "Order Completed", nil))
				r.drain(time.Minute)
			},
			due: func(r *rig) []queue.Entry { return []queue.Entry{r.track("first", "Order Completed", nil)} },
		},
		"the lists for activities": {
			op:      "selector",
			arrange: func(r *rig) { r.activities = asActivities(r.t); r.restart() },
			due:     func(r *rig) []queue.Entry { return []queue.Entry{r.track("first", "Order Completed", nil)} },
		},
		"an event": {
			op:      "send_event",
			arrange: func(r *rig) { r.activities = mapping.Activities{As: mapping.AsEvent}; r.restart() },
			due:     func(r *rig) []queue.Entry { return []queue.Entry{r.track("first", "Order Completed", nil)} },
		},
		"the fields of accounts": {
			op: "account_fields", arrange: func(r *rig) { r.mapping.Accounts = true; r.restart() },
			due: func(r *rig) []queue.Entry { return r.group("", "g1", map[string]any{"name": "Acme"}) },
		},
		"an account": {
			op: "upsert_account",
			arrange: func(r *rig) {
				r.mapping.Accounts = true
				r.restart()
				r.publish(r.group("", "g0", map[string]any{"name": "Zero"})...)
				r.drain(time.Minute)
			},
			due: func(r *rig) []queue.Entry { return r.group("", "g1", map[string]any{"name": "Acme"}) },
		},
		"the contact of a delete call": {
			op: "forget_contact", arrange: func(r *rig) { r.known("leaves") },
			due: func(r *rig) []queue.Entry { return []queue.Entry{r.forget("leaves", false)} },
		},
		"the account's fields, by a process that starts meanwhile": {
			op: "contact_fields", due: func(r *rig) []queue.Entry { r.restart(); return []queue.Entry{r.identify("new", nil)} },
		},
		"the account's fields again": { // for a label that they do not have; what is known serves meanwhile
			arrange: func(*rig) { time.Sleep(11 * time.Minute) },
			due:     func(r *rig) []queue.Entry { return []queue.Entry{r.identify("new", map[string]any{"Unheard of": "x"})} },
		},
		"a probe": {
			op: "contact_filters", slow: 3 * time.Second, most: 10 * time.Second,
			begin: func(r *rig) { r.fault(outage) },
			due: func(r *rig) []queue.Entry {
				var entries []queue.Entry
				for u := range 8 {
					entries = append(entries, r.identify(fmt.Sprint("new", u), nil))
				}
				return entries
			},
		},
		"the question for a bulk's job": {
			op: "job_status", opt: sandbox.Options{BulkWait: 2 * time.Second, BulkDuration: 6 * time.Second},
			arrange: func(r *rig) { r.many(200); r.round(200, 1); r.drain(time.Hour); r.restart() },
			begin: func(r *rig) {
				n := r.calls(0)["bulk_upsert"]
				r.round(200, 2)
				r.untilCalled("bulk_upsert", n+1)
				time.Sleep(2 * time.Second)
			},
		},
		"a page of a backfill": {
			op: "contact_view",
			arrange: func(r *rig) {
				// By the hour alone, and so much that a page is left when that is lowered to what was used, but no further than to a tenth.
				r.quota = worker.Quota{PerHour: 3000, Reserve: 0.1}
				r.restart()
				r.existing(1200)
				r.fault(sandbox.Fault{Percent: 100, Operation: "contact_view", Delay: time.Second})
			},
			begin: func(r *rig) { r.unknown(1200, 1); r.untilCalled("contact_view", 4) },
		},
	} {
		opt := c.opt
		opt.CallLog = 50_000
		bubbleNamed(t, name, opt, func(t *testing.T, r *rig) {
			r.known("first")
			if c.arrange != nil {
				c.arrange(r)
			}
			if c.begin != nil {
				c.begin(r)
			}
			came := r.throttle(c.slow)
			if c.due != nil {
				r.publish(c.due(r)...)
			}
			time.Sleep(time.Until(came.Add(asked)))
			r.box.ClearFaults()
			r.drain(time.Hour)
			first := time.Duration(-1)
			for _, call := range r.box.Calls() {
				since := call.Time.Sub(came)
				if since <= 0 {
					continue
				}
				if since < asked {
					t.Errorf("%s was called %v after a 429 that asked for %v", call.Operation, since, asked)
				}
				if call.Operation == c.op && first < 0 {
					first = since
				}
			}
			if most := asked + max(c.most, time.Second); c.op != "" && (first < asked || first > most) {
				t.Errorf("%s was to be due, and was called %v after the 429; want %v to %v", c.op, first, asked, most)
			}
		})
	}
}

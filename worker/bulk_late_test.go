package worker_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/queue"
)

// What comes for a user whose change waits for a bulk, and is no part of a change, has its turn: it is not settled along with it.
func TestWhatComesWhileAChangeWaitsForABulk(t *testing.T) {
	const n = 100
	for name, test := range map[string]struct {
		come  func(r *rig) []queue.Entry
		check func(t *testing.T, r *rig, l queue.Ledger)
	}{
		"a delete call": {
			func(r *rig) []queue.Entry { return []queue.Entry{r.forget("u1", false)} },
			func(t *testing.T, r *rig, l queue.Ledger) {
				t.Helper()
				if count(l, "delete", queue.Delivered, "") != 1 {
					t.Errorf("%v", l.Counts)
				}
				for _, c := range r.box.Contacts() {
					if c.ExternalID == "u1" {
						t.Errorf("still there: %+v", c)
					}
				}
			},
		},
		"an alias call": {
			func(r *rig) []queue.Entry { return r.alias("u1", "u2") },
			func(t *testing.T, r *rig, l queue.Ledger) {
				t.Helper() // both have a contact
				if letters := r.letters(); len(letters) != 1 || letters[0].Reason != "alias_conflict" {
					t.Errorf("%+v %v", letters, l.Counts)
				}
				r.at(n, 2)
			},
		},
		"a group call": {
			func(r *rig) []queue.Entry { return r.group("u1", "harbor", map[string]any{"name": "Harbor"}) },
			func(t *testing.T, r *rig, l queue.Ledger) {
				t.Helper()
				if linked := r.linked("u1"); len(linked) != 1 || count(l, "group", queue.Delivered, "") != 1 {
					t.Errorf("linked to %v: %v", linked, l.Counts)
				}
				r.at(n, 2)
			},
		},
	} {
		bubbleNamed(t, name, slowJobs, func(t *testing.T, r *rig) {
			r.mapping.Aliases, r.mapping.Accounts = true, true
			r.many(n)
			r.round(n, 1)
			r.drain(time.Hour) // it is known by now what a bulk does
			if err := r.pool.Pause(t.Context(), "", ""); err != nil {
				t.Fatal(err)
			}
			r.round(n, 2)
			time.Sleep(time.Minute) // all of them wait for leave to go together
			r.publish(test.come(r)...)
			time.Sleep(time.Second)
			since := r.box.CallCount()
			if err := r.pool.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			l := r.drain(time.Hour)
			if r.calls(since)["bulk_upsert"] == 0 {
				t.Errorf("this was to be about bulks: %v", r.calls(since))
			}
			test.check(t, r, l)
			r.neverBackwards("cf_seq")
		})
	}
}

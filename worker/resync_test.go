package worker_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/worker"
)

// edit changes a contact as a person would.
func (r *rig) edit(user string, contact map[string]any) {
	r.t.Helper()
	if _, err := r.box.Edit(r.contact(user).ID, contact); err != nil {
		r.t.Fatal(err)
	}
}

func TestResyncSendsEverythingAgain(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		same := map[string]any{"name": "Ann Lee", "plan": "growth"}
		for _, user := range []string{"ann", "bob"} {
			r.publish(r.identify(user, same))
		}
		r.drain(time.Minute)
		for _, user := range []string{"ann", "bob"} {
			r.edit(user, map[string]any{"last_name": "Changed", "custom_field": map[string]any{"cf_plan": "by hand"}})
		}
		again := func(want map[string]string) {
			t.Helper()
			time.Sleep(time.Second)
			for user, plan := range want {
				r.publish(r.identify(user, same))
				r.drain(time.Minute)
				if c := r.contact(user); c.Custom["cf_plan"] != plan || (c.Fields["last_name"] == "Lee") != (plan == "growth") {
					t.Errorf("%s has %v, want %s", user, c, plan)
				}
			}
		}
		again(map[string]string{"ann": "by hand", "bob": "by hand"}) // unchanged values are not sent
		if err := r.pool.Resync(t.Context(), r.store.User("ann")); err != nil {
			t.Fatal(err)
		}
		again(map[string]string{"ann": "growth", "bob": "by hand"})
		before := r.box.CallCount()
		again(map[string]string{"ann": "growth"}) // and then not a third time
		if n := r.box.CallCount() - before; n != 0 {
			t.Errorf("%d calls: %v", n, r.calls(before))
		}
		if err := r.pool.Resync(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		r.close() // a restart does not forget that it is to forget
		r.open()
		again(map[string]string{"bob": "growth"})
	})
}

// TestResyncIsBounded: one by one is for a few users.
func TestResyncIsBounded(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.close()
		r.mapping = mapping.Options{ResendAfter: time.Hour}
		r.open()
		for n := range 1000 {
			if err := r.pool.Resync(t.Context(), fmt.Sprint("user", n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.pool.Resync(t.Context(), "one too many"); !errors.Is(err, worker.ErrTooManyResyncs) {
			t.Error(err)
		}
		if err := r.pool.Resync(t.Context(), "user5"); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Hour) // by now everything is sent again anyway
		if err := r.pool.Resync(t.Context(), "one too many"); err != nil {
			t.Error(err)
		}
	})
}

func TestTheReportOfUnmappedTraitsSurvivesARestart(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		for n := range 3 {
			r.publish(r.identify("ann", map[string]any{"favourite": n, "plan": fmt.Sprint(n)}))
			r.drain(time.Minute)
		}
		r.close()
		r.open()
		r.publish(r.identify("bob", map[string]any{"favourite": 1, "ada@example.test": 1}))
		r.drain(time.Minute)
		time.Sleep(2 * time.Minute)
		got := r.pool.Unmapped()
		if len(got) != 2 || got[0].Trait != "favourite" || got[0].Count != 4 || got[0].Source != "website" || !got[0].Last.After(got[0].First) {
			t.Errorf("%+v", got)
		}
	})
}

package worker_test

import (
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// TestCallsOfAnErasedUserGo: what an erased user sends later is discarded, and the log's files lose it, too: also over a restart, and at
// a bounded cost however much is sent.
func TestCallsOfAnErasedUserGo(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		const user, late = "zq-somebody-zq", "zq-late-zq"
		r.publish(r.identify(user, nil))
		r.drain(time.Minute)
		r.publish(r.forget(user, false), worker.DeleteActivities(user, "x", time.Now()))
		r.drain(time.Minute)
		time.Sleep(3 * time.Minute)
		if files := r.found(user); len(files) > 0 {
			t.Fatal("still in", files)
		}
		later := map[string]queue.Entry{
			"an identify":       r.identify(user, map[string]any{"plan": late}),
			"a track":           r.track(user, "Order Completed", map[string]any{"order": late}),
			"unreadable":        {UserID: user, Data: []byte(late)},
			"a repeated delete": r.webhookDelete(user),
		}
		for name, e := range later {
			r.publish(e)
			r.drain(time.Hour)
			if len(r.found(user, late)) == 0 {
				t.Errorf("%s: the test looks at the wrong place", name)
			}
			r.restart()
			time.Sleep(65 * time.Minute)
			if files := r.found(user, late); len(files) > 0 {
				t.Errorf("%s is still in %v", name, files)
			}
		}
		const hours = 6
		began := time.Now()
		for range hours * 60 { // one a minute
			r.publish(r.identify(user, map[string]any{"plan": late}))
			time.Sleep(time.Minute)
		}
		lines, err := r.store.Journal(t.Context(), queue.JournalQuery{User: r.store.User(user), Since: began})
		if err != nil || len(lines) != hours*60 {
			t.Fatal(len(lines), err)
		}
		const pack = 1000 // positions
		if fills := int(lines[len(lines)-1].Position-lines[0].Position)/pack - len(lines) + 1; fills < (hours-1)*5 || fills > (hours+1)*8 {
			t.Errorf("%d packs to fill the log in %d hours", fills, hours)
		}
	})
}

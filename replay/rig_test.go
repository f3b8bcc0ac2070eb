package replay_test

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
	"github.com/freshrelay/freshrelay/replay"
	"github.com/freshrelay/freshrelay/segment"
	"github.com/freshrelay/freshrelay/worker"
)

// The long form of TestAReplayStaysBehindLiveTraffic: make test-replay.
var (
	letterCount = flag.Int("letters", 400, "dead letters in TestAReplayStaysBehindLiveTraffic")
	userCount   = flag.Int("users", 80, "users they are of")
)

func TestMain(m *testing.M) { os.Exit(queuetest.InMemory(m)) }

// rig is a store, a pool, a sandbox and a runner of jobs, on fake time.
type rig struct {
	t         *testing.T
	dir       string
	retention time.Duration
	maxBytes  int64
	box       *sandbox.Sandbox
	api       freshmarketer.Config
	store     *queue.Store
	runner    *replay.Runner
	stopPool  func()
	stopJobs  func()
	n         int
}

func bubble(t *testing.T, opt sandbox.Options, retention time.Duration, body func(t *testing.T, r *rig)) {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		box, api := sandboxtest.Start(t, opt)
		r := &rig{t: t, dir: dir, retention: retention, box: box, api: api}
		r.open()
		body(t, r)
		r.close()
	})
}

func (r *rig) open() {
	r.t.Helper()
	cfg := queuetest.Config(r.t, r.dir)
	cfg.MaxBytes = cmp.Or(r.maxBytes, 1<<30)
	var err error
	if r.store, err = queue.Open(r.t.Context(), cfg); err != nil {
		r.t.Fatal(err)
	}
	client, err := freshmarketer.New(r.api)
	if err != nil {
		r.t.Fatal(err)
	}
	pool, err := worker.New(worker.Config{
		Store: r.store, Client: client, Concurrency: 8, Metrics: metrics.New(), Logger: zap.NewNop(),
		Retry: worker.Retry{Initial: 2 * time.Second, Max: 2 * time.Minute, MaxAge: 15 * time.Minute},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.stopPool = r.begin(func(ctx context.Context) {
		if err := pool.Run(ctx); err != nil {
			r.t.Error(err)
		}
	})
	r.openJobs()
}

func (r *rig) openJobs() {
	r.runner = replay.New(replay.Config{Store: r.store, Logger: zap.NewNop(), Retention: r.retention})
	r.stopJobs = r.begin(r.runner.Run)
}

// begin runs something until the returned function is called.
func (r *rig) begin(run func(ctx context.Context)) func() {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	return func() { cancel(); <-done }
}

func (r *rig) close() {
	r.stopJobs()
	r.stopPool()
	queuetest.Close(r.t, r.store)
}

func (r *rig) restart() { r.close(); r.open() }

func (r *rig) call(user string, traits map[string]any) queue.Entry {
	r.t.Helper()
	r.n++
	all := map[string]any{"email": user + "@example.test"}
	maps.Copy(all, traits)
	id := fmt.Sprint("m", r.n)
	body, err := json.Marshal(map[string]any{
		"type": "identify", "userId": user, "messageId": id, "traits": all, "timestamp": time.Now().UTC().Format(time.RFC3339Nano),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	received := segment.Received{Source: "website", Surface: segment.SurfaceWebhook, At: time.Now().UTC(), Type: segment.Identify, MessageID: id, UserID: user, Body: body}
	return queue.Entry{UserID: user, Data: received.Encode()}
}

func (r *rig) publish(entries ...queue.Entry) {
	r.t.Helper()
	if err := r.store.Publish(r.t.Context(), entries); err != nil {
		r.t.Fatal(err)
	}
}

// drain waits until nothing is pending.
func (r *rig) drain(limit time.Duration) queue.Ledger {
	r.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(time.Second) {
		l, err := r.store.Ledger(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		if l.Pending == 0 {
			synctest.Wait()
			if l.Difference() != 0 {
				r.t.Errorf("the ledger does not add up: %+v", l)
			}
			return l
		}
		if time.Now().After(end) {
			r.t.Fatalf("pending after %v: %+v", limit, l)
		}
	}
}

// refuse lets the account refuse all contacts, or those whose requests have a text in them.
func (r *rig) refuse(match string) {
	r.t.Helper()
	for _, op := range []string{"create_contact", "upsert_contact", "update_contact"} {
		if err := r.box.AddFault(sandbox.Fault{Percent: 100, Operation: op, Status: 400, MatchBody: match}); err != nil {
			r.t.Fatal(err)
		}
	}
}

// letters makes n dead letters of u users, each with its own seq; the account refuses each while the fault stands.
func (r *rig) letters(n, u int) {
	r.t.Helper()
	r.refuse("")
	// One round after the other: a merged change would be taken apart call by call.
	for round := range (n + u - 1) / u {
		var entries []queue.Entry
		for i := range min(u, n-round*u) {
			entries = append(entries, r.call(fmt.Sprint("u", i), map[string]any{"seq": round + 1}))
		}
		r.publish(entries...)
		r.drain(time.Hour)
	}
	r.box.ClearFaults()
}

// wait waits until a job is no longer running.
func (r *rig) wait(report replay.Report, limit time.Duration) replay.Report {
	r.t.Helper()
	id, err := replay.ParseName(report.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	for end := time.Now().Add(limit); ; time.Sleep(time.Second) {
		report, err := r.runner.Report(r.t.Context(), id)
		if err != nil {
			r.t.Fatal(err)
		}
		if sum := report.Deliver + report.Discard + report.Dead + report.Gone + report.Waiting; sum != report.Selected {
			r.t.Errorf("the report does not add up: %+v", report)
		}
		if report.State != replay.StateRunning {
			return report
		}
		if time.Now().After(end) {
			r.t.Fatalf("still running after %v: %+v", limit, report)
		}
	}
}

func (r *rig) start(j replay.Job) replay.Report {
	r.t.Helper()
	if j.Action == "" {
		j.Action = replay.ActionReplay
	}
	report, err := r.runner.Start(r.t.Context(), j)
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

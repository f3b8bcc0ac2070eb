package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
	"github.com/freshrelay/freshrelay/segment"
	"github.com/freshrelay/freshrelay/worker"
)

func TestMain(m *testing.M) { os.Exit(queuetest.InMemory(m)) }

// rig is a real store, a real pool and a sandbox, over real HTTP on fake time.
type rig struct {
	t     *testing.T
	dir   string
	store *queue.Store
	box   *sandbox.Sandbox
	api   freshmarketer.Config
	pool  *worker.Pool
	logs  *observer.ObservedLogs
	core  zapcore.Core
	stop  func() error
	n     int
	// What follows is for the next open.
	mapping   mapping.Options
	mode      worker.Mode
	quota     worker.Quota
	maxBytes  int64 // of the store; 0: the usual for tests
	readAhead int

	updateOnly bool
	activities mapping.Activities
	deletion   worker.Deletion
	forward    worker.Forward
}

// bubble runs body with a rig on fake time.
func bubble(t *testing.T, opt sandbox.Options, body func(t *testing.T, r *rig)) {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		box, api := sandboxtest.Start(t, opt)
		r := &rig{t: t, dir: dir, box: box, api: api, quota: plenty()}
		r.open()
		body(t, r)
		r.close()
	})
}

// plenty is a quota that holds nobody up, so that every test spends one.
func plenty() worker.Quota { return worker.Quota{PerHour: 1_000_000, PerMinute: 100_000, Reserve: 0.1} }

// bubbleNamed is bubble as a subtest.
func bubbleNamed(t *testing.T, name string, opt sandbox.Options, body func(t *testing.T, r *rig)) {
	t.Run(name, func(t *testing.T) { bubble(t, opt, body) })
}

func fmtID(id int64) string { return strconv.FormatInt(id, 10) }

// client is a client of its own for the sandbox.
func (r *rig) client() *freshmarketer.Client {
	r.t.Helper()
	client, err := freshmarketer.New(r.api)
	if err != nil {
		r.t.Fatal(err)
	}
	return client
}

// open starts store and pool, as a process does.
func (r *rig) open() {
	r.t.Helper()
	var err error
	cfg := queuetest.Config(r.t, r.dir)
	if r.maxBytes > 0 {
		cfg.MaxBytes = r.maxBytes
	}
	if r.store, err = queue.Open(r.t.Context(), cfg); err != nil {
		r.t.Fatal(err)
	}
	r.core, r.logs = observer.New(zap.DebugLevel)
	if r.pool, err = worker.New(r.config()); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.pool.Run(ctx) }()
	r.stop = func() error { cancel(); return <-done }
}

// config is that of the pool of the open store.
func (r *rig) config() worker.Config {
	r.t.Helper()
	api := r.api
	api.OnLimits = func(op string, l freshmarketer.Limits) { r.pool.Limits(op, l) }
	client, err := freshmarketer.New(api)
	if err != nil {
		r.t.Fatal(err)
	}
	return worker.Config{
		Store: r.store, Client: client, Concurrency: 8, Mapping: r.mapping, UpdateOnly: r.updateOnly, Activities: r.activities, Deletion: r.deletion, Forward: r.forward, Forwards: r.forward != nil, Mode: r.mode, Quota: r.quota, ReadAhead: r.readAhead, Metrics: metrics.New(), Logger: zap.New(r.core),
		Retry: worker.Retry{Initial: 2 * time.Second, Max: 2 * time.Minute, MaxAge: 15 * time.Minute},
	}
}

// close stops the pool and the store and looks for personal data in what was logged.
func (r *rig) close() {
	r.t.Helper()
	if err := r.stop(); err != nil {
		r.t.Errorf("the pool ended with %v", err)
	}
	queuetest.Close(r.t, r.store)
	for _, entry := range r.logs.All() {
		line := fmt.Sprintf("%s %[2]v %[2]s", entry.Message, entry.ContextMap()) // bytes as text, too
		if strings.Contains(line, "@") || strings.Contains(line, r.api.APIKey) {
			r.t.Errorf("a log line tells an address or the key: %s", line)
		}
	}
}

// identify makes the stored form of a call that happens now. A missing email trait is filled in.
func (r *rig) identify(user string, traits map[string]any) queue.Entry {
	r.t.Helper()
	return r.identifyAt(user, time.Now(), traits)
}

// identifyAt is identify for a call with a clock of its own.
func (r *rig) identifyAt(user string, at time.Time, traits map[string]any) queue.Entry {
	r.t.Helper()
	r.n++
	all := map[string]any{"email": user + "@example.test"}
	maps.Copy(all, traits)
	body, err := json.Marshal(map[string]any{
		"type": "identify", "userId": user, "messageId": fmt.Sprint("m", r.n), "traits": all,
		"timestamp": at.UTC().Format(time.RFC3339Nano),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	received := segment.Received{
		Source: "website", Surface: segment.SurfaceWebhook, At: time.Now().UTC(), Type: segment.Identify,
		MessageID: fmt.Sprint("m", r.n), UserID: user, Body: body,
	}
	return queue.Entry{UserID: user, Data: received.Encode()}
}

func (r *rig) publish(entries ...queue.Entry) {
	r.t.Helper()
	if err := r.store.Publish(r.t.Context(), entries); err != nil {
		r.t.Fatal(err)
	}
}

// drain waits until nothing is pending, and fails after limit. It asks every second, and what takes longer every ten: asking was
// half of what a long drain cost.
func (r *rig) drain(limit time.Duration) queue.Ledger {
	r.t.Helper()
	began, every := time.Now(), time.Second
	for end := began.Add(limit); ; time.Sleep(every) {
		if time.Since(began) > 10*time.Minute {
			every = 10 * time.Second
		}
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
			r.t.Fatalf("%d events are pending after %v: %+v", l.Pending, limit, r.pool.Status())
		}
	}
}

// contact is the user's contact in the sandbox.
func (r *rig) contact(user string) sandbox.Contact {
	r.t.Helper()
	var found []sandbox.Contact
	for _, c := range r.box.Contacts() {
		if c.ExternalID == user && !c.Deleted {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		r.t.Fatalf("user %s has %d contacts", user, len(found))
	}
	return found[0]
}

func (r *rig) fault(f sandbox.Fault) {
	r.t.Helper()
	if err := r.box.AddFault(f); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) letters() []queue.Letter {
	r.t.Helper()
	page, err := r.store.Letters(r.t.Context(), queue.LetterQuery{Limit: 1000})
	if err != nil || page.Total != len(page.Letters) {
		r.t.Fatal(page.Total, err)
	}
	return page.Letters
}

// noLetters waits until there are no dead letters, or for so long.
func (r *rig) noLetters(limit time.Duration) {
	r.t.Helper()
	for end := time.Now().Add(limit); len(r.letters()) > 0 && time.Now().Before(end); {
		time.Sleep(time.Minute)
	}
}

// calls counts the sandbox's calls by operation since call number n.
func (r *rig) calls(since int64) map[string]int {
	counts := map[string]int{}
	for _, c := range r.box.Calls() {
		if c.N > since {
			counts[c.Operation]++
		}
	}
	return counts
}

// never asserts that no contact's custom field was ever written with a smaller number than before.
func (r *rig) neverBackwards(field string) {
	r.t.Helper()
	for _, c := range r.box.Contacts() {
		last := int64(-1)
		for _, s := range r.box.History(c.ID) {
			n, ok := s.Contact.Custom[field].(json.Number)
			if !ok {
				continue
			}
			v, err := n.Int64()
			if err != nil {
				r.t.Fatal(err)
			}
			if v < last {
				r.t.Errorf("%s went from %d back to %d", c.ExternalID, last, v)
			}
			last = v
		}
	}
}

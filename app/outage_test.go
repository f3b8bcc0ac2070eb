package app_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue/queuetest"
	"github.com/freshrelay/freshrelay/worker"
)

// For an hour of fake time the API hangs, or fails, or is cut off. The door answers every call, and as quickly as before:
// in a bubble, time passes only when somebody waits for it.
func TestADeadAPINeverSlowsTheDoor(t *testing.T) {
	for name, fault := range map[string]sandbox.Fault{
		"hangs": {Percent: 100, Delay: 24 * time.Hour},
		"fails": {Percent: 100, Status: 503},
		"cuts":  {Percent: 100, Cut: true},
		"429":   {Percent: 100, Status: 429, Headers: map[string]string{"Retry-After": "60"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) { hourOfTrouble(t, dir, fault) })
		})
	}
}

func hourOfTrouble(t *testing.T, dir string, fault sandbox.Fault) {
	box, api := sandboxtest.Start(t, sandbox.Options{})
	client, err := freshmarketer.New(api)
	if err != nil {
		t.Fatal(err)
	}
	store := queuetest.Open(t, dir)
	m := metrics.New()
	pool, err := worker.New(worker.Config{
		Store: store, Client: client, Concurrency: 4, Metrics: m, Logger: zap.NewNop(),
		Retry: worker.Retry{Initial: 2 * time.Second, Max: 2 * time.Minute, MaxAge: 15 * time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- pool.Run(ctx) }()
	handler, err := ingest.New(ingest.Config{Sources: []ingest.Source{{Name: "website", WriteKeys: []string{"wk"}}}}, store, m, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	door := sandboxtest.Serve(t, handler)
	if err := box.AddFault(fault); err != nil {
		t.Fatal(err)
	}
	const calls = 360
	for n := range calls {
		body := fmt.Sprintf(`{"userId":"u%d","messageId":"m%d","traits":{"email":"u%d@example.test","seq":%d}}`, n%50, n, n%50, n)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://door.test/v1/identify", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("wk", "")
		began := time.Now()
		resp, err := door.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if took := time.Since(began); resp.StatusCode != http.StatusOK || took > 100*time.Millisecond {
			t.Fatalf("call %d: %d after %v", n, resp.StatusCode, took)
		}
		time.Sleep(10 * time.Second)
	}
	box.ClearFaults()
	for limit := time.Now().Add(25 * time.Hour); ; time.Sleep(time.Minute) {
		l, err := store.Ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if l.Pending == 0 {
			if l.Dead != 0 || l.Delivered != calls || l.Difference() != 0 {
				t.Errorf("ledger %+v", l)
			}
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("never drained: %+v", l)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Package queuetest opens real stores for tests, also inside a testing/synctest bubble.
package queuetest

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/freshrelay/freshrelay/queue"
)

// Main is the TestMain of a package whose tests open a store in a bubble. The broker's clock cache starts a ticker in
// an init function; registering here, outside every bubble, keeps it from stopping fake time.
//
// The same program is a nats-server process if Servers started it.
func Main(m *testing.M) int {
	if spec := os.Getenv(serverVariable); spec != "" {
		return serve(spec)
	}
	ats.Register()
	defer ats.Unregister()
	return m.Run()
}

// Open opens a store in dir and closes it when the test ends.
func Open(t testing.TB, dir string) *queue.Store {
	t.Helper()
	s, err := queue.Open(t.Context(), Config(t, dir))
	if err != nil {
		t.Fatalf("opening the store: %v", err)
	}
	t.Cleanup(func() { Close(t, s) })
	return s
}

// Close closes the store and gives the broker's last goroutines the time to end: a bubble that its test leaves stands
// still, and whatever sleeps in it then is reported as a deadlock.
func Close(t testing.TB, s *queue.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("closing the store: %v", err)
	}
	time.Sleep(100 * time.Millisecond)
}

// Config is a small store for the account "sandbox".
func Config(t testing.TB, dir string) queue.Config {
	return queue.Config{Dir: dir, MaxBytes: queue.MinMaxBytes, Account: "sandbox", Logger: zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))}
}

// Collect runs the partition until n items were delivered, and returns them. It settles nothing.
func Collect(t testing.TB, p *queue.Partition, n int) []queue.Item {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var items []queue.Item
	err := p.Run(ctx, func(_ context.Context, pack []queue.Item) error {
		items = append(items, pack...)
		if len(items) >= n {
			cancel()
		}
		return nil
	})
	if err != nil {
		t.Fatalf("reading the log: %v", err)
	}
	return items
}

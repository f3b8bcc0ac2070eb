package app_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

const benchConnections = 32

var benchCalls = flag.Int("bench.calls", 10_000, "BenchmarkDelivered: calls of each of its five rounds and two sides")

// instantAPI answers every write at once and keeps nothing, so that what is measured is the way to it.
func instantAPI(b testing.TB) (url string, writes *atomic.Int64) {
	b.Helper()
	box, err := sandbox.New(sandbox.Options{APIKeys: []string{childAPIKey}})
	if err != nil {
		b.Fatal(err)
	}
	writes = new(atomic.Int64)
	fields := box.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet { // the fields
			fields.ServeHTTP(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"contact":{"id":"%d"}}`, 17_000_000_000+writes.Add(1))
	}))
	b.Cleanup(server.Close)
	return server.URL, writes
}

// benchChild is the real program on a directory of its own, with or without fsync.
func benchChild(b testing.TB, program, api string, environ ...string) *child {
	b.Helper()
	c := newChild(b, program, b.TempDir(), api, "nats: {max_bytes: 4GiB}\n")
	// So many calls that none is saved: in bulk the API's own time would be measured.
	c.environ = append([]string{"FRESHRELAY_FRESHMARKETER_QUOTA_PER_HOUR=1000000000", "FRESHRELAY_FRESHMARKETER_QUOTA_PER_MINUTE=1000000000"}, environ...)
	c.start("")
	c.ready(b.Context())
	return c
}

// load posts calls from to to over 32 connections, each of one of 5,000 users, and returns when the last is acknowledged.
func (c *child) load(client *http.Client, from, to int) {
	c.t.Helper()
	var next atomic.Int64
	next.Store(int64(from))
	var wg sync.WaitGroup
	for range benchConnections {
		wg.Go(func() {
			for n := next.Add(1) - 1; n < int64(to); n = next.Add(1) - 1 {
				c.postOn(client, n)
			}
		})
	}
	wg.Wait()
}

func (c *child) postOn(client *http.Client, n int64) {
	body := fmt.Sprintf(`{"userId":"user-%d","messageId":"m-%d","traits":{"email":"user-%d@example.test","firstName":"Ann","lastName":"Lee %d"}}`, n%5000, n, n%5000, n)
	req, err := http.NewRequest(http.MethodPost, "http://"+c.listen+"/v1/identify", strings.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return
	}
	req.SetBasicAuth(childWriteKey, "")
	resp, err := client.Do(req)
	if err != nil {
		c.t.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body) // or the connection is not used again
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		c.t.Errorf("answer %d", resp.StatusCode)
	}
}

// delivered waits until nothing is pending and returns the ledger.
func (c *child) delivered(ctx context.Context) admin.Ledger {
	c.t.Helper()
	for {
		var st admin.Status
		if c.ask(ctx, http.MethodGet, "/api/status", "", &st) && st.Ledger.Pending == 0 && st.Ledger.SettledReading {
			return st.Ledger
		}
		if c.over() || ctx.Err() != nil {
			c.t.Fatalf("never delivered: %+v\n%s", st.Ledger, c.stderr)
		}
		pause(ctx, 10*time.Millisecond)
	}
}

// BenchmarkDelivered measures calls from the door to an API that answers at once, with the real program as a process of its
// own: delivered per second with fsync, the same without, and a plain append and fsync by one writer, by turns in one run.
// The aim is at least min(1.2 × raw fsync rate, 0.65 × the run without fsync).
func BenchmarkDelivered(b *testing.B) {
	api, _ := instantAPI(b)
	program := buildProgram(b, "-tags", "failpoints")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: benchConnections}}
	synced, unsynced := benchChild(b, program, api), benchChild(b, program, api, failpoint.NoSyncVariable+"=1")
	const rounds = 5
	calls := *benchCalls
	var raw, with, without []float64
	for n := range rounds {
		raw = append(raw, rawSyncs(b, b.TempDir()))
		for _, side := range []struct {
			c    *child
			into *[]float64
		}{{synced, &with}, {unsynced, &without}} {
			began := time.Now()
			side.c.load(client, n*calls, (n+1)*calls)
			if l := side.c.delivered(b.Context()); l.Delivered != int64((n+1)*calls) {
				b.Fatalf("ledger %+v", l)
			}
			*side.into = append(*side.into, float64(calls)/time.Since(began).Seconds())
		}
	}
	b.Logf("raw fsyncs/s %.0f; delivered/s with fsync %.0f, without %.0f", raw, with, without)
	r, w, wo := median(raw), median(with), median(without)
	b.ReportMetric(w, "delivered/s")
	b.ReportMetric(w/r, "×raw-fsync")
	b.ReportMetric(w/wo, "×unsynced")
	b.ReportMetric(w/min(1.2*r, 0.65*wo), "×aim")
	b.ReportMetric(0, "ns/op")
	synced.signal(syscall.SIGTERM)
	unsynced.signal(syscall.SIGTERM)
}

func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// rawSyncs is how many appends of 1 KB with fsync the disk does in a second for one writer.
func rawSyncs(b *testing.B, dir string) float64 {
	b.Helper()
	f, err := os.Create(dir + "/raw")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 1024)
	began, n := time.Now(), 0
	for ; time.Since(began) < time.Second; n++ {
		if _, err := f.Write(buf); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / time.Since(began).Seconds()
}

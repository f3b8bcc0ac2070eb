package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// BenchmarkDrain lets events pile up while the API is down (-bench.backlog), and delivers all of them once it is back and answers at
// once. It prints how the backlog goes down, with the memory, and reports the rate and the most memory.
func BenchmarkDrain(b *testing.B) {
	box, err := sandbox.New(sandbox.Options{APIKeys: []string{childAPIKey}})
	if err != nil {
		b.Fatal(err)
	}
	var up atomic.Bool
	var ids atomic.Int64
	fields := box.Handler()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !up.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.Method == http.MethodGet: // the fields
			fields.ServeHTTP(w, r)
		default:
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"contact":{"id":"%d"}}`, 17_000_000_000+ids.Add(1))
		}
	}))
	b.Cleanup(api.Close)
	c := benchChild(b, buildProgram(b), api.URL)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	began := time.Now()
	c.backlog(client, *benchBacklog)
	b.ReportMetric(float64(*benchBacklog)/time.Since(began).Seconds(), "stored/s")
	_, most := c.usage()
	up.Store(true)
	began = time.Now()
	b.Logf("%8s %12s %12s %8s", "s", "delivered", "pending", "RSS MB")
	for next := time.Duration(0); ; {
		var st admin.Status
		if !c.ask(b.Context(), http.MethodGet, "/api/status", "", &st) {
			b.Fatalf("no status\n%s", c.stderr)
		}
		_, rss := c.usage()
		most = max(most, rss)
		l, took := st.Ledger, time.Since(began)
		if took >= next || l.Pending == 0 {
			b.Logf("%8.0f %12d %12d %8.0f", took.Seconds(), l.Delivered, l.Pending, rss)
			next = took + max(5*time.Second, took/5)
		}
		if l.Pending == 0 && l.SettledReading {
			if l.Delivered != int64(*benchBacklog) || l.Difference != 0 {
				b.Errorf("%+v", l)
			}
			break
		}
		pause(b.Context(), 200*time.Millisecond)
	}
	b.ReportMetric(float64(*benchBacklog)/time.Since(began).Seconds(), "delivered/s")
	b.ReportMetric(most, "most-RSS-MB")
	b.ReportMetric(0, "ns/op")
	c.signal(syscall.SIGTERM)
}

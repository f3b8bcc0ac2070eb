package app_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
)

// BenchmarkDelivered posts identifies of different users over 32 connections to a whole service with the sandbox as its
// account and waits until all are delivered. Beside events/s it gives the rate of a plain append and fsync by one writer
// in the same run: compare the ratio, not the figures, which are the disk's.
func BenchmarkDelivered(b *testing.B) {
	dir := b.TempDir()
	raw := rawSyncs(b, dir)
	cfg := config.SandboxDefaults()
	cfg.DataDir, cfg.Listen, cfg.Admin.Listen = dir, "127.0.0.1:0", "127.0.0.1:0"
	ready := make(chan app.Addresses, 1)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- app.Run(ctx, cfg, app.Options{Sandbox: true, SandboxListen: "127.0.0.1:0", Version: "bench", Logger: zap.NewNop(), Ready: ready})
	}()
	p := &process{t: b, cfg: cfg, at: <-ready}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	began := time.Now()
	for range 32 {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				body := fmt.Sprintf(`{"userId":"user-%d","messageId":"m-%d","traits":{"email":"user-%d@example.test","firstName":"Ann","lastName":"Lee"}}`, n%5000, n, n%5000)
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.at.Ingest+"/v1/identify", strings.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				req.SetBasicAuth(config.SandboxWriteKey, "")
				resp, err := client.Do(req)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body) // or the connection is not used again
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					b.Errorf("answer %d", resp.StatusCode)
				}
			}
		})
	}
	wg.Wait()
	accepted := float64(b.N) / time.Since(began).Seconds()
	p.drained()
	delivered := float64(b.N) / time.Since(began).Seconds()
	b.StopTimer()
	b.ReportMetric(accepted, "accepted/s")
	b.ReportMetric(delivered, "delivered/s")
	b.ReportMetric(delivered/raw, "×raw-fsync")
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
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

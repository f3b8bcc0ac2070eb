package app_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"
)

// page is what /metrics answers.
func (c *child) page(ctx context.Context) []byte {
	c.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.adminAt+"/metrics", http.NoBody)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Error(err)
		return nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		c.t.Errorf("scrape: %d, %v", resp.StatusCode, err)
	}
	return body
}

// series counts the lines that hold a value.
func series(page []byte) (n int) {
	for line := range bytes.Lines(page) {
		if len(bytes.TrimSpace(line)) > 0 && line[0] != '#' {
			n++
		}
	}
	return n
}

// BenchmarkScrape is one scrape of the real program, depths and ages included.
func BenchmarkScrape(b *testing.B) {
	api, _ := instantAPI(b)
	c := benchChild(b, buildProgram(b), api)
	c.load(http.DefaultClient, 0, 5000) // so that there is something to tell
	c.delivered(b.Context())
	before, _ := c.usage()
	var page []byte
	b.ResetTimer()
	for range b.N {
		page = c.page(b.Context())
	}
	b.StopTimer()
	after, _ := c.usage()
	b.ReportMetric(float64((after-before).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(series(page)), "series")
	b.ReportMetric(float64(len(page)), "bytes")
	c.signal(syscall.SIGTERM)
}

// BenchmarkObserved is delivered throughput of a program that is looked at, against one that is not, by turns in one run:
// scraped each second, fifteen times as often as the shipped configuration does; and with a log line per attempt.
func BenchmarkObserved(b *testing.B) {
	api, _ := instantAPI(b)
	program := buildProgram(b)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: benchConnections}}
	left, scraped := benchChild(b, program, api), benchChild(b, program, api)
	logged := benchChild(b, program, api, "FRESHRELAY_LOG_LEVEL=info")
	const rounds = 5
	calls := *benchCalls
	rates := map[*child][]float64{}
	for n := range rounds {
		for _, c := range []*child{left, scraped, logged} {
			ctx, stop := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			if c == scraped {
				wg.Go(func() {
					for pause(ctx, time.Second); ctx.Err() == nil; pause(ctx, time.Second) {
						c.page(b.Context())
					}
				})
			}
			began := time.Now()
			c.load(client, n*calls, (n+1)*calls)
			c.delivered(b.Context())
			rates[c] = append(rates[c], float64(calls)/time.Since(began).Seconds())
			stop()
			wg.Wait()
		}
	}
	b.Logf("delivered/s left alone %.0f, scraped each second %.0f, with a line per attempt %.0f", rates[left], rates[scraped], rates[logged])
	b.ReportMetric(median(rates[left]), "delivered/s")
	b.ReportMetric(median(rates[scraped])/median(rates[left]), "×scraped")
	b.ReportMetric(median(rates[logged])/median(rates[left]), "×logged")
	b.ReportMetric(0, "ns/op")
	for c := range rates {
		c.signal(syscall.SIGTERM)
	}
}

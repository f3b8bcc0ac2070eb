package app_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

var benchBacklog = flag.Int("bench.backlog", 100_000, "BenchmarkBacklog: events that wait; docs/benchmarks.md has it for 1,000,000")

// usage is what a process has used: processor time since its start, and memory now.
func (c *child) usage() (cpu time.Duration, rss float64) {
	c.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		c.t.Skipf("SKIPPED: no /proc here: %v", err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from the third on
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	pages, _ := strconv.Atoi(fields[21])
	return time.Duration(user+system) * 10 * time.Millisecond, float64(pages) * float64(os.Getpagesize()) / (1 << 20)
}

// BenchmarkIdle is a process with nothing to do.
func BenchmarkIdle(b *testing.B) {
	api, _ := instantAPI(b)
	c := benchChild(b, buildProgram(b), api)
	pause(b.Context(), 2*time.Second)
	const seconds = 20
	before, _ := c.usage()
	pause(b.Context(), seconds*time.Second)
	after, rss := c.usage()
	b.ReportMetric(float64((after-before).Milliseconds())/seconds, "cpu-ms/s")
	b.ReportMetric(rss, "RSS-MB")
	b.ReportMetric(0, "ns/op")
	c.signal(syscall.SIGTERM)
}

// BenchmarkLatency sends 300 calls a second, each of a new user, and measures from when a call was due to when its write
// reached the API.
func BenchmarkLatency(b *testing.B) {
	const rate, seconds = 300, 15
	var mu sync.Mutex
	arrived := map[string]time.Time{}
	box, err := sandbox.New(sandbox.Options{APIKeys: []string{childAPIKey}})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			box.Handler().ServeHTTP(w, r)
			return
		}
		at := time.Now()
		var body struct {
			Contact struct {
				ExternalID string `json:"external_id"`
			} `json:"contact"`
		}
		text, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(text, &body)
		mu.Lock()
		if _, again := arrived[body.Contact.ExternalID]; !again {
			arrived[body.Contact.ExternalID] = at
		}
		n := len(arrived)
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"contact":{"id":"%d"}}`, 17_000_000_000+n)
	}))
	b.Cleanup(server.Close)
	c := benchChild(b, buildProgram(b), server.URL)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	raw := rawSyncs(b, b.TempDir())
	due := make([]time.Time, rate*seconds)
	began := time.Now()
	var wg sync.WaitGroup
	for n := range due {
		due[n] = began.Add(time.Duration(n) * time.Second / rate)
		pause(b.Context(), time.Until(due[n]))
		wg.Go(func() {
			req, err := http.NewRequest(http.MethodPost, "http://"+c.listen+"/v1/identify",
				strings.NewReader(fmt.Sprintf(`{"userId":"u%d","messageId":"m%d","traits":{"email":"u%d@example.test"}}`, n, n, n)))
			if err != nil {
				b.Error(err)
				return
			}
			req.SetBasicAuth(childWriteKey, "")
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		})
	}
	wg.Wait()
	c.delivered(b.Context())
	var took []time.Duration
	for n, at := range due {
		took = append(took, arrived[fmt.Sprint("u", n)].Sub(at))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "p99-ms")
	b.ReportMetric(raw, "raw-fsyncs/s")
	b.ReportMetric(0, "ns/op")
	c.signal(syscall.SIGTERM)
}

// BenchmarkBacklog lets events pile up while the API is down, kills the process, and starts it again.
func BenchmarkBacklog(b *testing.B) {
	_, down := childAPI(b, sandbox.Options{}, sandbox.Fault{Percent: 100, Status: http.StatusServiceUnavailable})
	c := benchChild(b, buildProgram(b), down)
	_, empty := c.usage()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	began := time.Now()
	c.backlog(client, *benchBacklog)
	b.ReportMetric(float64(*benchBacklog)/time.Since(began).Seconds(), "stored/s")
	pause(b.Context(), 5*time.Second)
	_, full := c.usage()
	c.signal(syscall.SIGKILL)
	began = time.Now()
	c.start("")
	c.ready(b.Context())
	b.ReportMetric(time.Since(began).Seconds(), "s-to-ready")
	pause(b.Context(), 5*time.Second)
	_, again := c.usage()
	b.ReportMetric(empty, "RSS-empty-MB")
	b.ReportMetric(full, "RSS-full-MB")
	b.ReportMetric(again, "RSS-restarted-MB")
	b.ReportMetric(0, "ns/op")
	c.signal(syscall.SIGKILL)
}

// backlog posts so many events in batches of 100 over 8 connections.
func (c *child) backlog(client *http.Client, events int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := next.Add(100); n <= int64(events); n = next.Add(100) {
				c.postBatch(client, int(n-100), int(n))
			}
		})
	}
	wg.Wait()
}

func (c *child) postBatch(client *http.Client, from, to int) {
	var body bytes.Buffer
	body.WriteString(`{"batch":[`)
	for n := from; n < to; n++ {
		if n > from {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"type":"identify","userId":"user-%d","messageId":"m-%d","traits":{"email":"user-%d@example.test","firstName":"Ann","lastName":"Lee"}}`, n%50_000, n, n%50_000)
	}
	body.WriteString(`]}`)
	req, err := http.NewRequest(http.MethodPost, "http://"+c.listen+"/v1/batch", &body)
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
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		c.t.Errorf("answer %d", resp.StatusCode)
	}
}

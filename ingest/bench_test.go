package ingest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

// nowhere takes everything at once: what is measured here is the door alone. The way through the queue, with its fsync,
// is measured in package app.
type nowhere struct{}

func (nowhere) Publish(context.Context, []queue.Entry) error { return nil }

// bare is the least a server can do: read the body and say so.
func bare(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"success":true}`)
}

// benchBody is an identify without a message id: it gets one at the door, which drops calls that it has just seen.
func benchBody(b *testing.B) string {
	b.Helper()
	return strings.Replace(sample(b, "01-identify-create.json"), `"messageId"`, `"noMessageId"`, 1)
}

// BenchmarkIngest sends single identifies over 1, 32 and 256 connections, to the door and to a bare handler by turns. of_bare is
// the door's rate as a part of the bare handler's.
func BenchmarkIngest(b *testing.B) {
	body := benchBody(b)
	for _, connections := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			compare(b, connections, "/v1/identify", body)
		})
	}
}

// BenchmarkIngestBatch is the same with batches of 100.
func BenchmarkIngestBatch(b *testing.B) {
	one := benchBody(b)
	body := `{"batch":[` + strings.TrimSuffix(strings.Repeat(one+",", 100), ",") + `]}`
	for _, connections := range []int{1, 32} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			compare(b, connections, "/v1/batch", body)
		})
	}
}

// compare takes turns, a stretch to each, so that whatever else the machine does falls on both. The benchmark's own
// numbers are the door's.
func compare(b *testing.B, connections int, path, body string) {
	door := newTarget(b, benchDoor(b), connections, path, body)
	least := newTarget(b, http.HandlerFunc(bare), connections, path, body)
	door.send(connections)
	least.send(connections)
	stretch := max(b.N/8, connections)
	var forDoor, forLeast time.Duration
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= stretch {
		n := min(stretch, left)
		start := time.Now()
		door.send(n)
		forDoor += time.Since(start)
		b.StopTimer()
		start = time.Now()
		least.send(n)
		forLeast += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(forLeast.Seconds()/forDoor.Seconds(), "of_bare")
	b.ReportMetric(float64(b.N)/forDoor.Seconds(), "requests/s")
}

// BenchmarkIngestLatency sends 300 requests a second and reports the door's latencies as multiples of the bare handler's.
func BenchmarkIngestLatency(b *testing.B) {
	body := benchBody(b)
	const perSecond = 300
	door := newTarget(b, benchDoor(b), 32, "/v1/identify", body)
	least := newTarget(b, http.HandlerFunc(bare), 32, "/v1/identify", body)
	door.send(32)
	least.send(32)
	b.ResetTimer()
	d := door.pace(b.N, perSecond)
	b.StopTimer()
	l := least.pace(b.N, perSecond)
	for name, part := range map[string]float64{"p50": 0.5, "p99": 0.99} {
		at := min(int(part*float64(b.N)), b.N-1)
		b.ReportMetric(float64(d[at])/float64(l[at]), name+"_of_bare")
		b.ReportMetric(float64(d[at].Microseconds()), name+"_us")
	}
}

func benchDoor(b *testing.B) http.Handler {
	b.Helper()
	h, err := ingest.New(ingest.Config{Sources: sources()}, nowhere{}, metrics.New(), zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	return h
}

// target is a server and the connections to it.
type target struct {
	b           *testing.B
	client      *http.Client
	url, body   string
	connections int
}

func newTarget(b *testing.B, h http.Handler, connections int, path, body string) *target {
	b.Helper()
	server := httptest.NewServer(h)
	b.Cleanup(server.Close)
	transport := &http.Transport{MaxIdleConns: connections, MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}
	b.Cleanup(transport.CloseIdleConnections)
	return &target{b, &http.Client{Transport: transport}, server.URL + path, body, connections}
}

// send sends n requests over all connections at once.
func (t *target) send(n int) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range t.connections {
		all.Go(func() {
			for next.Add(1) <= int64(n) {
				t.one()
			}
		})
	}
	all.Wait()
}

// pace sends n requests at a rate and returns how long each took, sorted.
func (t *target) pace(n, perSecond int) []time.Duration {
	took := make([]time.Duration, n)
	var all sync.WaitGroup
	start := time.Now()
	for i := range n {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		time.Sleep(time.Until(due))
		sent := time.Now()
		all.Go(func() {
			t.one()
			took[i] = time.Since(sent)
		})
	}
	all.Wait()
	slices.Sort(took)
	return took
}

func (t *target) one() {
	r, err := http.NewRequest(http.MethodPost, t.url, strings.NewReader(t.body))
	if err != nil {
		t.b.Error(err)
		return
	}
	r.SetBasicAuth(key, "")
	answer, err := t.client.Do(r)
	if err != nil {
		t.b.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.b.Errorf("answer = %d", answer.StatusCode)
	}
}

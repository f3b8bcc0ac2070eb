package app_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

const benchKey = "bench-key"

// benchIdentify is an ordinary identify of a server library, 0.6 KB.
const benchIdentify = `{"userId":"user-4711","messageId":"node-next-1763892611000-0a6c33a5-9d5e-4a6e-8b29-50a2d6f0a8a1","timestamp":"2026-11-23T10:10:11.000Z","traits":{"email":"ann.lee@example.test","firstName":"Ann","lastName":"Lee","phone":"+15550100","company":{"name":"Example","id":"c-17"},"address":{"city":"Leeds","country":"GB"},"plan":"pro","seats":12},"context":{"library":{"name":"@segment/analytics-node","version":"2.3.0"},"ip":"203.0.113.7","locale":"en-GB","userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"},"integrations":{},"type":"identify"}`

// benchID is the part of benchIdentify's message id that is another one in every event.
const benchID = "50a2d6f0a8a1"

// BenchmarkStored sends single identifies through the door into the real store, which fsyncs before the answer, and by
// turns to a handler that only reads the body. of_bare is the door's rate as a part of that handler's, and cpu_of_bare
// what it would be if only processor time counted. One connection cannot share its fsyncs: of_fsync is its rate as a part
// of what a bare request and a raw fsync, one after the other, would allow; and of_store as a part of what a bare request
// and the same event given to the store by itself would.
func BenchmarkStored(b *testing.B) {
	store, stored := benchStore(b)
	entries := entriesOf(b, "/v1/identify", benchIdentify)
	for _, connections := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			door := newDoor(b, store, connections, "/v1/identify", benchIdentify)
			bare := newSender(b, &http.Server{Handler: http.HandlerFunc(readOnly)}, connections, "/", benchIdentify)
			sides := []func(int){door.send, bare.send}
			if connections == 1 {
				sides = append(sides, publish(b, store, entries, 1))
			}
			before := stored.Load()
			took := takeTurns(b, connections, sides...)
			wantStored(b, stored.Load()-before, (b.N+connections)*(len(sides)-1))
			b.ReportMetric(took.of(1, 0), "of_bare")
			b.ReportMetric(took.cpu[1].Seconds()/took.cpu[0].Seconds(), "cpu_of_bare")
			if connections == 1 {
				each := func(side int) float64 { return took.time[side].Seconds() / float64(b.N) }
				b.ReportMetric((each(1)+1/took.fsyncs)/each(0), "of_fsync")
				b.ReportMetric((each(1)+each(2))/each(0), "of_store")
			}
			b.ReportMetric(float64(b.N)/took.time[0].Seconds(), "requests/s")
			b.ReportMetric(took.fsyncs, "raw-fsyncs/s")
		})
	}
}

// BenchmarkStoredBatch sends batches of 100 over HTTP and by turns gives the same entries to the store directly, from as
// many goroutines as there are connections. of_publish is the rate over HTTP as a part of the direct one, cpu_of_publish
// what it would be if only processor time counted.
func BenchmarkStoredBatch(b *testing.B) {
	const events = 100
	batch := `{"batch":[` + strings.TrimSuffix(strings.Repeat(benchIdentify+",", events), ",") + `]}`
	store, stored := benchStore(b)
	entries := entriesOf(b, "/v1/batch", batch)
	if len(entries) != events {
		b.Fatalf("the door made %d entries of the batch, want %d", len(entries), events)
	}
	for _, connections := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			door := newDoor(b, store, connections, "/v1/batch", batch)
			before := stored.Load()
			took := takeTurns(b, connections, door.send, publish(b, store, entries, connections))
			wantStored(b, stored.Load()-before, 2*(b.N+connections)*events)
			b.ReportMetric(took.of(1, 0), "of_publish")
			b.ReportMetric(took.cpu[1].Seconds()/took.cpu[0].Seconds(), "cpu_of_publish")
			b.ReportMetric(float64(b.N*events)/took.time[0].Seconds(), "events/s")
			b.ReportMetric(took.fsyncs, "raw-fsyncs/s")
		})
	}
}

// entriesOf is what the door gives the store for a request.
func entriesOf(b *testing.B, path, body string) []queue.Entry {
	b.Helper()
	var keep keeper
	newDoor(b, &keep, 1, path, body).send(1)
	for _, e := range keep.entries {
		if len(e.Data) == 0 {
			b.Fatal("the door made an empty entry")
		}
	}
	return keep.entries
}

// publish gives the same entries to the store n times, from so many goroutines.
func publish(b *testing.B, store *queue.Store, entries []queue.Entry, goroutines int) func(n int) {
	return func(n int) {
		spread(n, goroutines, func() {
			if err := store.Publish(context.Background(), entries); err != nil {
				b.Error(err)
			}
		})
	}
}

// BenchmarkStoredLatency sends 300 identifies a second whatever the answers do, by turns of a second to the door and to
// the handler that only reads, and reports the door's latencies as multiples of the other's. One iteration is ten
// seconds of each. A latency counts from when the request was due: a stall makes everything behind it late, too.
func BenchmarkStoredLatency(b *testing.B) {
	const perSecond, turns = 300, 10
	store, stored := benchStore(b)
	door := newDoor(b, store, 32, "/v1/identify", benchIdentify)
	bare := newSender(b, &http.Server{Handler: http.HandlerFunc(readOnly)}, 32, "/", benchIdentify)
	door.send(32)
	bare.send(32)
	var forDoor, forBare []time.Duration
	b.ResetTimer()
	for range b.N * turns {
		forDoor = append(forDoor, door.pace(perSecond)...)
		forBare = append(forBare, bare.pace(perSecond)...)
	}
	b.StopTimer()
	wantStored(b, stored.Load(), 32+len(forDoor))
	slices.Sort(forDoor)
	slices.Sort(forBare)
	for _, at := range []struct {
		name string
		part float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		i := int(at.part * float64(len(forDoor)))
		b.ReportMetric(float64(forDoor[i])/float64(forBare[i]), at.name+"_of_bare")
		b.ReportMetric(float64(forDoor[i].Microseconds()), at.name+"_µs")
		b.ReportMetric(float64(forBare[i].Microseconds()), at.name+"_bare_µs")
	}
}

// readOnly is the least a server can do: read the body and say so.
func readOnly(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"success":true}`)
}

// keeper takes nothing in; it remembers what the door would have stored.
type keeper struct{ entries []queue.Entry }

func (k *keeper) Publish(_ context.Context, entries []queue.Entry) error {
	k.entries = slices.Clone(entries)
	for i, e := range k.entries {
		k.entries[i].Data = bytes.Clone(e.Data) // the door uses its memory again
	}
	return nil
}

// benchStore is a store that counts the events it has stored.
func benchStore(b *testing.B) (*queue.Store, *atomic.Int64) {
	b.Helper()
	stored := new(atomic.Int64)
	store, err := queue.Open(context.Background(), queue.Config{
		Dir: b.TempDir(), Account: "bench",
		OnPublish: func(_ time.Duration, events int) { stored.Add(int64(events)) },
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	return store, stored
}

// wantStored makes sure that what was measured is storing: the door answers 200 to calls that it drops, too.
func wantStored(b *testing.B, got int64, want int) {
	b.Helper()
	if got != int64(want) {
		b.Errorf("%d events stored, want %d", got, want)
	}
}

// turns says how long all requests of each side took, how much processor time this process spent on them, clients
// included, and how many appends with fsync the disk did in a second meanwhile.
type turns struct {
	time, cpu []time.Duration
	fsyncs    float64
}

// of is the rate of one side as a part of another's.
func (t turns) of(other, own int) float64 { return t.time[other].Seconds() / t.time[own].Seconds() }

// takeTurns gives b.N requests to each side, a stretch at a time, so that whatever else the machine does falls on all.
// Between them one writer appends and fsyncs. The benchmark's own numbers are those of the first side.
func takeTurns(b *testing.B, least int, sides ...func(n int)) turns {
	b.Helper()
	raw, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close()
	for _, side := range sides {
		side(least) // connects
	}
	took := turns{time: make([]time.Duration, len(sides)), cpu: make([]time.Duration, len(sides))}
	var syncs int
	var syncing time.Duration
	// Many short stretches: the disk's speed changes within a second.
	stretch := max(b.N/40, least)
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= stretch {
		for i, side := range sides {
			if i == 1 {
				b.StopTimer()
			}
			began, spent := time.Now(), processorTime(b)
			side(min(stretch, left))
			took.time[i] += time.Since(began)
			took.cpu[i] += processorTime(b) - spent
		}
		done, spent := appendFor(b, raw, 20*time.Millisecond)
		syncs += done
		syncing += spent
		b.StartTimer()
	}
	b.StopTimer()
	took.fsyncs = float64(syncs) / syncing.Seconds()
	return took
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// appendFor appends 1 KB and fsyncs, over and over, for as long as told, at least once.
func appendFor(b *testing.B, f *os.File, long time.Duration) (n int, spent time.Duration) {
	b.Helper()
	buf := make([]byte, 1024)
	began := time.Now()
	for ; spent < long; spent = time.Since(began) {
		if _, err := f.Write(buf); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		n++
	}
	return n, spent
}

// spread calls do n times from so many goroutines.
func spread(n, goroutines int, do func()) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for next.Add(1) <= int64(n) {
				do()
			}
		})
	}
	all.Wait()
}

// sender is a server on loopback and the connections to it.
type sender struct {
	b           *testing.B
	client      *http.Client
	url         string
	connections int

	body   string
	places []int         // where the changing part of a message id stands in it
	ids    atomic.Uint64 // given so far
	bodies sync.Pool     // of *[]byte
}

// newDoor serves the door as the program does, with its limits, in front of a store that nothing is delivered from.
func newDoor(b *testing.B, store ingest.Store, connections int, path, body string) *sender {
	b.Helper()
	handler, err := ingest.New(ingest.Config{Sources: []ingest.Source{{Name: "bench", WriteKeys: []string{benchKey}}}}, store, metrics.New(), zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	return newSender(b, ingest.NewServer("", handler, zap.NewNop()), connections, path, body)
}

func newSender(b *testing.B, server *http.Server, connections int, path, body string) *sender {
	b.Helper()
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(ingest.LimitListener(listener, ingest.DefaultMaxConnections))
	}()
	transport := &http.Transport{MaxIdleConns: connections, MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}
	b.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		<-done
	})
	s := &sender{b: b, client: &http.Client{Transport: transport}, url: "http://" + listener.Addr().String() + path, body: body, connections: connections}
	for at := 0; ; at++ {
		next := strings.Index(body[at:], benchID)
		if next < 0 {
			return s
		}
		at += next
		s.places = append(s.places, at)
	}
}

// fresh is the body with message ids of its own: the door stores no call that it has stored a moment ago.
func (s *sender) fresh() *[]byte {
	body, _ := s.bodies.Get().(*[]byte)
	if body == nil {
		clone := []byte(s.body)
		body = &clone
	}
	for _, at := range s.places {
		const digits = "0123456789abcdef"
		id := s.ids.Add(1)
		for i := range len(benchID) {
			(*body)[at+i] = digits[id>>(4*i)&15]
		}
	}
	return body
}

// send sends n requests over all connections at once.
func (s *sender) send(n int) { spread(n, s.connections, s.one) }

// pace sends a second's requests, evenly, and returns how long after it was due each was answered.
func (s *sender) pace(perSecond int) []time.Duration {
	took := make([]time.Duration, perSecond)
	var all sync.WaitGroup
	start := time.Now()
	for i := range took {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		time.Sleep(time.Until(due))
		all.Go(func() {
			s.one()
			took[i] = time.Since(due)
		})
	}
	all.Wait()
	return took
}

func (s *sender) one() {
	body := s.fresh()
	req, err := http.NewRequestWithContext(s.b.Context(), http.MethodPost, s.url, bytes.NewReader(*body))
	if err != nil {
		s.b.Error(err)
		return
	}
	req.SetBasicAuth(benchKey, "")
	resp, err := s.client.Do(req)
	if err != nil {
		s.b.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body) // or the connection is not used again
	_ = resp.Body.Close()
	s.bodies.Put(body)
	if resp.StatusCode != http.StatusOK {
		s.b.Errorf("answer %d", resp.StatusCode)
	}
}

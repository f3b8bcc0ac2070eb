package app_test

import (
	"net/http"
	"syscall"
	"testing"
	"time"
)

// BenchmarkJournal measures what the journal costs: calls from the door to an API that answers at once, with the journal and
// without it, by turns in one run (-bench.calls in each of five rounds and two sides).
func BenchmarkJournal(b *testing.B) {
	api, _ := instantAPI(b)
	program := buildProgram(b)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: benchConnections}}
	on, off := benchChild(b, program, api), benchChild(b, program, api, "FRESHRELAY_JOURNAL_ENABLED=false")
	const rounds = 5
	calls := *benchCalls
	var with, without, ratios []float64
	for n := range rounds {
		for _, side := range []struct {
			c    *child
			into *[]float64
		}{{on, &with}, {off, &without}} {
			began := time.Now()
			side.c.load(client, n*calls, (n+1)*calls)
			if l := side.c.delivered(b.Context()); l.Delivered != int64((n+1)*calls) {
				b.Fatalf("ledger %+v", l)
			}
			*side.into = append(*side.into, float64(calls)/time.Since(began).Seconds())
		}
		ratios = append(ratios, with[n]/without[n])
	}
	b.Logf("delivered/s with the journal %.0f, without %.0f", with, without)
	b.ReportMetric(median(with), "delivered/s")
	b.ReportMetric(median(ratios), "×without")
	b.ReportMetric(0, "ns/op")
	on.signal(syscall.SIGTERM)
	off.signal(syscall.SIGTERM)
}

// Package metrics declares every metric of freshrelay, once.
//
// What is promised: names, types and labels are fixed (a golden test keeps them); label values come from closed
// lists, so that neither an event nor an account can make the number of series grow; every series whose labels are
// known beforehand exists at 0 from the start, so that rate() and alerts work before the first failure; depths and
// ages are computed when they are scraped, not when somebody remembers to; nothing here is personal data.
//
// It is the only package that imports the Prometheus client. Other packages call the methods of Metrics, which say
// what happened and not how it is counted.
package metrics

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapeTimeout bounds one scrape. Prometheus gives up after 10 s by default, and a scrape that outlives its
// reader would only pile up behind the next one.
const scrapeTimeout = 10 * time.Second

// Metrics holds the metrics of one running service. Create it with New. All methods may be called at the same time
// from any goroutine.
type Metrics struct {
	registry *prometheus.Registry
	lists    lists
	levels   *levels

	received  *prometheus.CounterVec
	settled   *prometheus.CounterVec
	rejected  *prometheus.CounterVec
	apiCalls  *prometheus.CounterVec
	apiTook   prometheus.Histogram
	lag       prometheus.Histogram
	age       prometheus.Histogram
	published prometheus.Histogram
	pack      prometheus.Histogram
	cleared   prometheus.Counter
	held      prometheus.Counter
	unmapped  prometheus.Counter
	paused    *prometheus.GaugeVec

	door      *prometheus.HistogramVec
	committed prometheus.Histogram
	batch     prometheus.Histogram
	repeats   *prometheus.CounterVec
	attempts  *prometheus.CounterVec
	bulks     *prometheus.CounterVec
	bulkSize  prometheus.Histogram
	holds     *prometheus.CounterVec
	logLines  *prometheus.CounterVec
	folded    prometheus.Counter

	pausing  sync.Mutex
	isPaused map[string]bool // by reason
}

// New returns metrics in a registry of their own, so that two services can live in one process, together with the
// collectors for the Go runtime and the process.
func New() *Metrics {
	l := closedLists()
	m := &Metrics{registry: prometheus.NewRegistry(), lists: l, levels: newLevels(l, time.Now), isPaused: map[string]bool{}}
	m.declare()
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.levels,
		m.received, m.settled, m.rejected, m.apiCalls, m.apiTook, m.lag, m.age,
		m.published, m.pack, m.cleared, m.held, m.unmapped, m.paused,
		m.door, m.committed, m.batch, m.repeats, m.attempts, m.bulks, m.bulkSize, m.holds, m.logLines, m.folded,
	)
	m.createSeries()
	return m
}

// Handler answers scrapes in the Prometheus text format (or what the scraper asks for).
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry: m.registry,
		// A failing collector must not hide the others: half a scrape during an incident is worth a lot.
		ErrorHandling: promhttp.ContinueOnError,
		Timeout:       scrapeTimeout,
	})
}

// Sources creates the series of the configured sources at 0. Call it once at start; sources are a closed list, made
// by the configuration.
func (m *Metrics) Sources(names ...string) {
	for _, name := range names {
		for _, typ := range m.lists.types {
			m.received.WithLabelValues(name, typ)
		}
	}
}

// EventReceived counts n events taken in at the door. source must be a configured source's name.
func (m *Metrics) EventReceived(source, typ string, n int) {
	if n > 0 {
		m.received.WithLabelValues(source, known(m.lists.types, typ)).Add(float64(n))
	}
}

// EventSettled counts n events that reached an outcome. reason is "" for OutcomeDelivered.
func (m *Metrics) EventSettled(typ, outcome, reason string, n int) {
	if n <= 0 {
		return
	}
	outcome = known(m.lists.outcomes, outcome)
	if reason != "" || outcome != OutcomeDelivered {
		reason = known(m.lists.reasons[outcome], reason)
	}
	m.settled.WithLabelValues(known(m.lists.types, typ), outcome, reason).Add(float64(n))
}

// RequestRejected counts one request that was answered with an error at the door; reason is one of the Rejected
// constants.
func (m *Metrics) RequestRejected(reason string) {
	m.rejected.WithLabelValues(known(m.lists.rejections, reason)).Inc()
}

// Delivered observes one delivered event: lag is the time from its arrival to its delivery, age the time from the
// event itself (as its sender dates it) to its delivery. A negative age says that the event's time is not known.
func (m *Metrics) Delivered(lag, age time.Duration) {
	m.lag.Observe(max(lag, 0).Seconds())
	if age >= 0 {
		m.age.Observe(age.Seconds())
	}
}

// APICall observes one request to the Freshmarketer API. status 0 says that no answer came.
func (m *Metrics) APICall(op string, status int, took time.Duration) {
	m.apiCalls.WithLabelValues(known(m.lists.operations, op), code(status)).Inc()
	m.apiTook.Observe(max(took, 0).Seconds())
}

// FieldsCleared counts contact fields that were emptied because a call left them out.
func (m *Metrics) FieldsCleared(n int) { add(m.cleared, n) }

// HeldStale counts field values that were held back because the contact already had a newer one.
func (m *Metrics) HeldStale(n int) { add(m.held, n) }

// UnmappedTraits counts traits for which the account has no field. Which ones they are is not a label: traits are
// the sender's invention and without bound.
func (m *Metrics) UnmappedTraits(n int) { add(m.unmapped, n) }

// Published observes one pack that was stored: how long the broker took to have it on disk, and how many events
// shared the write.
func (m *Metrics) Published(took time.Duration, events int) {
	m.published.Observe(max(took, 0).Seconds())
	m.pack.Observe(float64(events))
}

// SetLevels gives the function that tells the current depths and ages. It is called on every scrape, must be safe
// for use by several goroutines and should answer from memory.
func (m *Metrics) SetLevels(read func() Levels) { m.levels.set(read) }

// add ignores what is not positive: a counter that is asked to fall panics, and no metric is worth that.
func add(c prometheus.Counter, n int) {
	if n > 0 {
		c.Add(float64(n))
	}
}

// code is the label of an HTTP status. What is not a status at all shares one value, so that a strange proxy cannot
// make series.
func code(status int) string {
	switch {
	case status == 0:
		return codeNone
	case status >= 100 && status <= 599:
		return strconv.Itoa(status)
	default:
		return Other
	}
}

package metrics

import "github.com/prometheus/client_golang/prometheus"

const namespace = "freshrelay"

// waitBuckets span what a delivery can take, from at once to a day of outage (seconds).
func waitBuckets() []float64 {
	return []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400}
}

// apiBuckets go up to the client's timeout of 10 s and a little beyond (seconds).
func apiBuckets() []float64 {
	return []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15}
}

// publishBuckets look closely at the milliseconds, where one fsync belongs (seconds).
func publishBuckets() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
}

// packBuckets go up to the most events a pack can hold.
func packBuckets() []float64 {
	return []float64{1, 2, 5, 10, 25, 50, 100, 250, 500}
}

// doorBuckets go beyond the 5 s in which Segment wants its answer (seconds).
func doorBuckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
}

// bulkBuckets go up to the most contacts that a bulk can hold.
func bulkBuckets() []float64 { return []float64{1, 5, 10, 25, 50, 75, 100} }

// declare makes the metrics. Each name appears here or in levels.go, and nowhere else.
func (m *Metrics) declare() {
	m.received = counterVec("events_received_total",
		"Events taken in at the door.", "source", "type")
	m.settled = counterVec("events_total",
		"Entries that reached their outcome: a group, alias or delete call can be two. One that is set aside and replayed later counts once for each.",
		"type", "outcome", "reason")
	m.rejected = counterVec("requests_rejected_total",
		"Requests answered with an error at the door.", "reason")
	m.lag = histogram("delivery_lag_seconds",
		"Time from an event's arrival to its delivery.", waitBuckets())
	m.age = histogram("event_age_seconds",
		"Time from an event, as its sender dates it, to its delivery.", waitBuckets())
	m.apiCalls = counterVec("api_requests_total",
		"Requests to the Freshmarketer API. The code is none where no answer came.", "operation", "code")
	m.apiTook = histogram("api_request_duration_seconds",
		"Duration of requests to the Freshmarketer API.", apiBuckets())
	m.published = histogram("publish_duration_seconds",
		"Time until a pack of events was on disk.", publishBuckets())
	m.pack = histogram("pack_events",
		"Events that shared one write to disk.", packBuckets())
	m.committed = histogram("commit_duration_seconds",
		"Time until records and counters were on disk, repeats of an unclear commit included.", publishBuckets())
	m.batch = histogram("commit_records",
		"Records that shared one commit.", packBuckets())
	m.repeats = counterVec("store_repeats_total",
		"Writes that the broker gave no clear answer to and that were repeated: packs of events, or commits.", "write")
	m.door = histogramVec("request_duration_seconds",
		"Duration of a request at the door: stored (answered with success), refused (4xx) or failed (5xx).", doorBuckets(), "result")
	m.attempts = counterVec("attempts_total",
		"Attempts to bring one user's change to the account: alone or in a bulk, and how each ended.", "way", "outcome")
	m.bulks = counterVec("bulk_jobs_total",
		"Bulks that were handed to the API, by what became of them.", "outcome")
	m.bulkSize = histogram("bulk_contacts",
		"Contacts in a bulk.", bulkBuckets())
	m.holds = counterVec("holds_total",
		"How often sending began to be held for this reason.", "reason")
	m.logLines = counterVec("log_lines_total",
		"Lines of the log by level, those included that were folded.", "level")
	m.folded = counter("log_lines_folded_total",
		"Lines of the log that were not written, because they repeat others of the same minute.")
	m.cleared = counter("fields_cleared_total",
		"Contact fields emptied because a call left them out.")
	m.held = counter("held_stale_total",
		"Field values held back because the contact already had a newer one.")
	m.unmapped = counter("unmapped_traits_total",
		"Traits for which the account has no field.")
	m.paused = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: namespace, Name: "paused", Help: "Whether sending is held for this reason (1) or not (0).",
	}, []string{"reason"})
}

// createSeries brings the series of the closed lists into being at 0.
func (m *Metrics) createSeries() {
	for _, typ := range m.lists.types {
		m.settled.WithLabelValues(typ, OutcomeDelivered, "")
		for _, outcome := range []string{OutcomeDiscarded, OutcomeDead, OutcomeDropped} {
			for _, reason := range m.lists.reasons[outcome] {
				m.settled.WithLabelValues(typ, outcome, reason)
			}
		}
	}
	for _, reason := range m.lists.rejections {
		m.rejected.WithLabelValues(reason)
	}
	for _, op := range m.lists.operations {
		for _, c := range m.lists.codes {
			m.apiCalls.WithLabelValues(op, c)
		}
	}
	for _, reason := range m.lists.pauses {
		m.paused.WithLabelValues(reason)
		m.holds.WithLabelValues(reason)
	}
	for _, result := range m.lists.results {
		m.door.WithLabelValues(result)
	}
	for _, way := range m.lists.ways {
		for _, outcome := range m.lists.attempts {
			m.attempts.WithLabelValues(way, outcome)
		}
	}
	for _, outcome := range m.lists.bulks {
		m.bulks.WithLabelValues(outcome)
	}
	for _, write := range m.lists.writes {
		m.repeats.WithLabelValues(write)
	}
	for _, level := range m.lists.levels {
		m.logLines.WithLabelValues(level)
	}
}

// buildInfo is a gauge that is always 1; what it tells is in its labels.
func buildInfo(version, goVersion string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Which freshrelay this is; always 1.",
		ConstLabels: prometheus.Labels{"version": version, "go_version": goVersion},
	})
	g.Set(1)
	return g
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
}

func counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histogramVec(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
	})
}

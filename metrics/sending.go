package metrics

import "time"

// SetPaused says that sending is held for reason (one of the Paused constants), or no longer is. A hold that begins is
// counted, so that one which is over before the next scrape is seen as well.
func (m *Metrics) SetPaused(reason string, on bool) {
	reason = known(m.lists.pauses, reason)
	m.pausing.Lock()
	defer m.pausing.Unlock()
	if on && !m.isPaused[reason] {
		m.holds.WithLabelValues(reason).Inc()
	}
	m.isPaused[reason] = on
	value := 0.0
	if on {
		value = 1
	}
	m.paused.WithLabelValues(reason).Set(value)
}

// Attempted counts one attempt to bring a user's change to the account: way is one of the Way constants, outcome one of
// the Attempt constants.
func (m *Metrics) Attempted(way, outcome string) {
	m.attempts.WithLabelValues(known(m.lists.ways, way), known(m.lists.attempts, outcome)).Inc()
}

// BulkEnded counts one bulk and what became of it (one of the Bulk constants), with how many contacts it held.
func (m *Metrics) BulkEnded(outcome string, contacts int) {
	m.bulks.WithLabelValues(known(m.lists.bulks, outcome)).Inc()
	m.bulkSize.Observe(float64(contacts))
}

// Committed observes one commit: how long it took until it was on disk, and how many records it held.
func (m *Metrics) Committed(took time.Duration, records int) {
	m.committed.Observe(max(took, 0).Seconds())
	m.batch.Observe(float64(records))
}

// Repeated counts one write (WritePack or WriteCommit) that had no clear answer and is sent again.
func (m *Metrics) Repeated(write string) {
	m.repeats.WithLabelValues(known(m.lists.writes, write)).Inc()
}

// RequestServed observes one request at the door by the status of its answer. took is from its headers to its answer.
func (m *Metrics) RequestServed(status int, took time.Duration) {
	result := ResultStored
	switch {
	case status >= 500:
		result = ResultFailed
	case status >= 400:
		result = ResultRefused
	}
	m.door.WithLabelValues(result).Observe(max(took, 0).Seconds())
}

// Logged counts one line of the log; folded says that it was not written because it repeats others.
func (m *Metrics) Logged(level string, folded bool) {
	m.logLines.WithLabelValues(known(m.lists.levels, level)).Inc()
	if folded {
		m.folded.Inc()
	}
}

// BuildInfo says which program this is: a series of its own that is always 1. Call it once.
func (m *Metrics) BuildInfo(version, goVersion string) {
	m.registry.MustRegister(buildInfo(version, goVersion))
}

package metrics

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Levels are the depths and ages of one moment.
type Levels struct {
	// Partitions are those that this process owns. Each is told by its owner alone, so sums over processes are right.
	Partitions []PartitionLevels
	StoreBytes map[string]uint64 // bytes on disk by stream; empty where another process tells them
	StoreLimit map[string]uint64 // how many they may become
	Depth      Depth
	// OldestLetter is the first try of the oldest dead letter, zero without letters; Expiring are those given up within a week.
	OldestLetter time.Time
	Expiring     int
	// Quota holds the windows that have a limit, over all processes: each process that sends tells the same.
	Quota        []Quota
	Total        int     // partitions of the store, whoever owns them
	Waiting      int64   // bytes of events that came in and are not stored yet
	DiskFree     uint64  // bytes; 0 where nobody can tell
	Ready        bool    // events can be stored
	BacklogClear float64 // seconds until what is pending here is delivered; +Inf if nobody can tell
}

// Depth is how much this process has read and not settled.
type Depth struct {
	Lanes     int // users of whom something waits or is under way
	InFlight  int // changes that are being worked on
	Places    int // the most there can be of them
	ReadAhead int // bytes of events in memory

	Activities     int // track and page calls that are being worked on
	ActivityPlaces int // the most there can be of them
}

// Quota is how many API calls a window (hour or minute) of the account's quota has, over all processes.
type Quota struct {
	Window                   string
	Limit, Reserve           int // of the account; kept for people and other integrations
	Allowed, Used, Remaining int // for us: at present, made, and left
}

// PartitionLevels are one partition's, as its owner knows them.
type PartitionLevels struct {
	Number           int
	Pending          int            // events stored and not settled
	OldestPending    time.Time      // arrival of the oldest of them; zero when nothing waits
	Dead             map[string]int // dead letters that count, by reason
	Lease            time.Duration  // how long it is ours without another renewal; 0 where nobody else could have it
	Unread           bool           // its books could not be read: it is owned, and that is all that is known
	LedgerDifference int64          // accepted − (delivered + discarded + dead + pending); 0 is right
}

// levels is the collector that asks for the Levels at each scrape.
type levels struct {
	lists lists
	now   func() time.Time

	mu   sync.RWMutex
	read func() Levels

	pending, oldest, dead, difference, bytes, clear *prometheus.Desc
	limit, reserve, allowed, used, remaining        *prometheus.Desc
	room, lanes, inFlight, readAhead                *prometheus.Desc
	places, activities, activityPlaces              *prometheus.Desc
	oldestLetter, expiring                          *prometheus.Desc
	total, owned, lease, waiting, diskFree, ready   *prometheus.Desc
}

func newLevels(l lists, now func() time.Time) *levels {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	return &levels{
		lists:   l,
		now:     now,
		pending: desc("pending_events", "Events stored and not settled.", "partition"),
		oldest: desc("oldest_pending_timestamp_seconds",
			"When the oldest pending event arrived (Unix time); the time of the scrape while nothing waits.", "partition"),
		dead: desc("dead_letters", "Dead letters waiting for somebody to decide.", "partition", "reason"),
		difference: desc("ledger_difference",
			"Accepted events less delivered, discarded, dead and pending ones. Anything but 0 is a defect.", "partition"),
		bytes: desc("store_bytes", "Bytes a stream takes on disk.", "stream"),
		clear: desc("backlog_clear_seconds",
			"Estimated time until what is pending is delivered; +Inf while sending is held and nobody can tell for how long."),
		limit:     desc("quota_limit", "API calls the account gives in a window (hour or minute).", "window"),
		reserve:   desc("quota_reserve", "API calls of a window that are kept for people and other integrations.", "window"),
		allowed:   desc("quota_allowed", "API calls of a window that we may make at present: limit less reserve, or less after a 429.", "window"),
		used:      desc("quota_used", "API calls we made in the window that ends now, over all processes.", "window"),
		remaining: desc("quota_remaining", "API calls we may still make in the window that ends now.", "window"),
		room:      desc("store_limit_bytes", "Bytes a stream may take. Above 80 % of state, users without a record are refused.", "stream"),
		lanes:     desc("lanes", "Users of whom something is in memory, waiting or under way."),
		inFlight:  desc("changes_in_flight", "Changes that are being worked on; delivery.concurrency is the most there can be."),
		places:    desc("changes_in_flight_limit", "The most changes that can be worked on at once: delivery.concurrency."),
		activities: desc("activities_in_flight",
			"Track and page calls that are being worked on, in places of their own beside those of contacts."),
		activityPlaces: desc("activities_in_flight_limit", "The most track and page calls that can be worked on at once: half of delivery.concurrency."),
		readAhead:      desc("read_ahead_bytes", "Bytes of events that are in memory; beyond its bound the reader waits."),
		oldestLetter: desc("oldest_dead_letter_timestamp_seconds",
			"When the oldest dead letter was tried first (Unix time); the time of the scrape while there is none."),
		total: desc("partitions", "Partitions of the store. Each process tells the same number."),
		owned: desc("partition_owned", "1 for each partition that this process owns and delivers.", "partition"),
		lease: desc("lease_remaining_seconds",
			"How long a partition stays ours without another renewal. Absent with the embedded broker, which nobody else can have.", "partition"),
		waiting:  desc("publish_waiting_bytes", "Bytes of events that came in and wait to be stored; beyond a bound senders are told to repeat."),
		diskFree: desc("disk_free_bytes", "Free bytes on the disk of the embedded broker. Below 32 MiB events are refused."),
		ready:    desc("ready", "Whether events can be stored (1) or not (0): what /readyz answers."),
		expiring: desc("dead_letters_expiring", "Dead letters that are given up within a week, because of dead.retention."),
	}
}

func (l *levels) set(read func() Levels) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read = read
}

// Describe implements prometheus.Collector.
func (l *levels) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		l.pending, l.oldest, l.dead, l.difference, l.bytes, l.clear, l.limit, l.reserve, l.allowed, l.used, l.remaining,
		l.room, l.lanes, l.inFlight, l.places, l.activities, l.activityPlaces, l.readAhead, l.oldestLetter, l.expiring,
		l.total, l.owned, l.lease, l.waiting, l.diskFree, l.ready,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Before SetLevels there are no values: a 0 would claim an empty log that
// nobody has looked into yet.
func (l *levels) Collect(ch chan<- prometheus.Metric) {
	l.mu.RLock()
	read := l.read
	l.mu.RUnlock()
	if read == nil {
		return
	}
	v := read()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	ready := 0.0
	if v.Ready {
		ready = 1
	}
	gauge(l.ready, ready)
	gauge(l.total, float64(v.Total))
	gauge(l.waiting, float64(v.Waiting))
	if v.DiskFree > 0 {
		gauge(l.diskFree, float64(v.DiskFree))
	}
	for _, p := range v.Partitions {
		partition := strconv.Itoa(p.Number)
		gauge(l.owned, 1, partition)
		if p.Lease != 0 {
			gauge(l.lease, max(0, p.Lease.Seconds()), partition)
		}
		if p.Unread {
			continue
		}
		oldest := p.OldestPending
		if oldest.IsZero() {
			// Not 0: time() − 0 would look like an event waiting since 1970 to every rule that forgets the exception.
			oldest = l.now()
		}
		gauge(l.pending, float64(p.Pending), partition)
		gauge(l.oldest, float64(oldest.UnixMilli())/1e3, partition)
		gauge(l.difference, float64(p.LedgerDifference), partition)
		for reason, n := range closed(l.lists.reasons[OutcomeDead], p.Dead) {
			gauge(l.dead, float64(n), partition, reason)
		}
	}
	if len(v.Partitions) > 0 {
		gauge(l.clear, v.BacklogClear)
		gauge(l.lanes, float64(v.Depth.Lanes))
		gauge(l.inFlight, float64(v.Depth.InFlight))
		gauge(l.places, float64(v.Depth.Places))
		gauge(l.activities, float64(v.Depth.Activities))
		gauge(l.activityPlaces, float64(v.Depth.ActivityPlaces))
		gauge(l.readAhead, float64(v.Depth.ReadAhead))
	}
	for _, q := range v.Quota {
		window := known(l.lists.windows, q.Window)
		gauge(l.limit, float64(q.Limit), window)
		gauge(l.reserve, float64(q.Reserve), window)
		gauge(l.allowed, float64(q.Allowed), window)
		gauge(l.used, float64(q.Used), window)
		gauge(l.remaining, float64(q.Remaining), window)
	}
	if len(v.StoreBytes) == 0 {
		return
	}
	for stream, n := range closed(l.lists.streams, v.StoreBytes) {
		gauge(l.bytes, float64(n), stream)
	}
	for stream, n := range closed(l.lists.streams, v.StoreLimit) {
		gauge(l.room, float64(n), stream)
	}
	oldestLetter := v.OldestLetter
	if oldestLetter.IsZero() {
		oldestLetter = l.now()
	}
	gauge(l.oldestLetter, float64(oldestLetter.UnixMilli())/1e3)
	gauge(l.expiring, float64(v.Expiring))
}

// closed gives every key of the list a value, 0 if it has none, and adds what is not on the list to Other.
func closed[N int | uint64](list []string, values map[string]N) map[string]N {
	out := make(map[string]N, len(list))
	for _, key := range list {
		out[key] = 0
	}
	for key, n := range values {
		out[known(list, key)] += n
	}
	return out
}

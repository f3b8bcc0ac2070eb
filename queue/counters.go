package queue

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Outcomes of an event. Every stored event ends as exactly one of them, or is pending.
const (
	Delivered = "delivered" // its change is in the account, or there was nothing to change
	Discarded = "discarded" // knowingly not delivered, for a counted reason
	Dead      = "dead"      // set aside as a dead letter
)

// ReplayOutcome is the outcome under which what became of a replay's letters is counted; Count.Reason begins with the job's
// number and a slash. It is in the same batch as the record and the ledger's own counters, so a replay's report adds up with them.
const ReplayOutcome = "replayed"

// keptJobs is how many replays' counters are kept: those of older ones stand in their reports.
const keptJobs = 32

// JobCount is the counter of one kind of result of a replay.
func JobCount(job uint64, result string) Count {
	return Count{Outcome: ReplayOutcome, Reason: jobNumber(job) + "/" + result}
}

// JobResults picks a replay's counters, by result.
func JobResults(counts map[Count]int64, job uint64) map[string]int64 {
	found := map[string]int64{}
	for c, n := range counts {
		if number, result, ok := strings.Cut(c.Reason, "/"); ok && c.Outcome == ReplayOutcome && number == jobNumber(job) {
			found[result] += n
		}
	}
	return found
}

// jobNumber has a fixed length, so that it sorts like the number.
func jobNumber(job uint64) string { return fmt.Sprintf("%020d", job) }

// pruneJobs removes the counters of all but the newest replays.
func pruneJobs(sums map[Count]int64) {
	jobs := map[string]bool{}
	for c := range sums {
		if c.Outcome == ReplayOutcome {
			number, _, _ := strings.Cut(c.Reason, "/")
			jobs[number] = true
		}
	}
	if len(jobs) <= keptJobs {
		return
	}
	oldest := slices.Sorted(maps.Keys(jobs))[len(jobs)-keptJobs]
	maps.DeleteFunc(sums, func(c Count, _ int64) bool { return c.Outcome == ReplayOutcome && c.Reason < oldest })
}

// Count names a counter of the ledger.
type Count struct {
	Type    string `json:"type"`    // of the call: identify, track, …
	Outcome string `json:"outcome"` // Delivered, Discarded or Dead
	Reason  string `json:"reason,omitempty"`
}

// Tally is what a settlement adds to the counters. Dead counters go down when a letter is replayed.
type Tally map[Count]int

// counters are stored with every commit, in the same atomic batch as the records they count.
type counters struct {
	Commit uint64 `json:"commit"`       // number of the commit that stored them: tells whether an unclear one landed
	By     string `json:"by,omitempty"` // the tenure it belongs to, where there are leases
	// Settled is how many events of the log the commit left settled, counted by their positions and not by the rows: from it
	// others tell what is pending. nil in stores that were made before it was written.
	Settled *int64 `json:"settled,omitempty"`
	// Reading is set while the owner reads again what an earlier one may have settled: Settled is too low until then.
	Reading bool           `json:"reading,omitempty"`
	Rows    []counterValue `json:"rows"`
	// DeadFrom and Gone name the letters that may not count: see strays.
	DeadFrom uint64   `json:"dead_from,omitempty"`
	Gone     []string `json:"gone,omitempty"`
}

type counterValue struct {
	Count
	N int64 `json:"n"`
}

func decodeCounters(data []byte) (counters, error) {
	var c counters
	if err := json.Unmarshal(data, &c); err != nil {
		return counters{}, fmt.Errorf("%w: the counters are unreadable: %w", ErrMismatch, err)
	}
	return c, nil
}

// plus returns the counters after one more commit with the tallies of these settlements. c stays as it is.
func (c counters) plus(settlements []*Settlement) counters {
	sums := c.values()
	for _, s := range settlements {
		for count, n := range s.Tally {
			sums[count] += int64(n)
		}
	}
	pruneJobs(sums)
	next := countersOf(sums)
	next.Commit, next.By, next.DeadFrom, next.Gone = c.Commit+1, c.By, c.DeadFrom, c.Gone
	return next
}

func countersOf(sums map[Count]int64) counters {
	c := counters{Rows: make([]counterValue, 0, len(sums))}
	for count, n := range sums {
		c.Rows = append(c.Rows, counterValue{Count: count, N: n})
	}
	slices.SortFunc(c.Rows, func(a, b counterValue) int { return strings.Compare(a.key(), b.key()) })
	return c
}

func (v counterValue) key() string { return v.Type + " " + v.Outcome + " " + v.Reason }

// values are the counters as a map of its own.
func (c counters) values() map[Count]int64 {
	sums := make(map[Count]int64, len(c.Rows))
	for _, row := range c.Rows {
		sums[row.Count] = row.N
	}
	return sums
}

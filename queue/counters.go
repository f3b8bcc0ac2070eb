package queue

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Outcomes of an event. Every stored event ends as exactly one of them, or is pending.
const (
	Delivered = "delivered" // its change is in the account, or there was nothing to change
	Discarded = "discarded" // knowingly not delivered, for a counted reason
	Dead      = "dead"      // set aside as a dead letter
)

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
	Commit uint64         `json:"commit"`       // number of the commit that stored them: tells whether an unclear one landed
	By     string         `json:"by,omitempty"` // the tenure it belongs to, where there are leases
	Rows   []counterValue `json:"rows"`
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
	next := counters{Commit: c.Commit + 1, By: c.By, Rows: make([]counterValue, 0, len(sums))}
	for count, n := range sums {
		next.Rows = append(next.Rows, counterValue{Count: count, N: n})
	}
	slices.SortFunc(next.Rows, func(a, b counterValue) int { return strings.Compare(a.key(), b.key()) })
	return next
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

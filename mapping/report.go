package mapping

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxUnmapped bounds a report. A sender that makes up names all the time must not fill memory, nor push out those that
// come again and again.
const maxUnmapped = 500

// Unmapped is one trait that finds no field, as one source sends it.
type Unmapped struct {
	Trait  string    `json:"trait"`
	Source string    `json:"source"`
	Count  int64     `json:"count"` // calls
	First  time.Time `json:"first_seen"`
	Last   time.Time `json:"last_seen"`
}

// Report counts the traits that find no field. The zero value is empty. It is not safe for concurrent use.
type Report struct {
	items   map[[2]string]*Unmapped
	dropped int64
}

// Add notes what a delivered or discarded call of a source left out, at its arrival.
func (r *Report) Add(source string, o Outcome, at time.Time) {
	for _, l := range o.LeftOut {
		if l.Reason == ReasonUnmapped {
			r.merge(Unmapped{Trait: l.Trait, Source: source, Count: 1, First: at.UTC(), Last: at.UTC()})
		}
	}
	r.dropped += int64(o.Unmapped - countUnmapped(o.LeftOut))
}

func countUnmapped(list []LeftOut) int {
	n := 0
	for _, l := range list {
		if l.Reason == ReasonUnmapped {
			n++
		}
	}
	return n
}

// Merge adds what another report counted.
func (r *Report) Merge(o Report) {
	for _, u := range o.List() {
		r.merge(u)
	}
	r.dropped += o.dropped
}

// merge counts a trait. When there is no room, the one that came least often makes it: a name that comes again finds its
// place among those that do.
func (r *Report) merge(u Unmapped) {
	key := [2]string{u.Source, u.Trait}
	if had := r.items[key]; had != nil {
		had.Count += u.Count
		if u.First.Before(had.First) {
			had.First = u.First
		}
		if u.Last.After(had.Last) {
			had.Last = u.Last
		}
		return
	}
	if r.items == nil {
		r.items = make(map[[2]string]*Unmapped)
	}
	if len(r.items) >= maxUnmapped {
		var least *Unmapped
		for _, had := range r.items {
			if least == nil || had.Count < least.Count || had.Count == least.Count && had.Last.Before(least.Last) {
				least = had
			}
		}
		r.dropped += least.Count
		delete(r.items, [2]string{least.Source, least.Trait})
	}
	r.items[key] = &u
}

// List returns the traits, the most frequent first.
func (r *Report) List() []Unmapped {
	list := make([]Unmapped, 0, len(r.items))
	for _, u := range r.items {
		list = append(list, *u)
	}
	slices.SortFunc(list, func(a, b Unmapped) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Trait, b.Trait), cmp.Compare(a.Source, b.Source))
	})
	return list
}

// Dropped is how many traits were counted without their names being kept.
func (r *Report) Dropped() int64 { return r.dropped }

// Empty reports whether nothing was counted.
func (r *Report) Empty() bool { return len(r.items) == 0 && r.dropped == 0 }

type storedReport struct {
	Version int        `json:"v"`
	Traits  []Unmapped `json:"traits"`
	Dropped int64      `json:"dropped"`
}

// Encode gives the stored form.
func (r *Report) Encode() ([]byte, error) {
	b, err := json.Marshal(storedReport{Version: 1, Traits: r.List(), Dropped: r.dropped})
	if err != nil {
		return nil, fmt.Errorf("encode the report of unmapped traits: %w", err)
	}
	return b, nil
}

// DecodeReport reads the stored form; without bytes it is empty.
func DecodeReport(b []byte) (Report, error) {
	var r Report
	if len(b) == 0 {
		return r, nil
	}
	var s storedReport
	if err := json.Unmarshal(b, &s); err != nil {
		return r, fmt.Errorf("decode the report of unmapped traits: %w", err)
	}
	for _, u := range s.Traits {
		r.merge(u)
	}
	r.dropped += s.Dropped
	return r, nil
}

// publicName is a trait's name as it is reported when no field has it. Usually it is a word of a programmer's, but some
// senders make names of data: addresses, numbers. Those are taken out, and with them the endless supply of new names.
func publicName(s string) string {
	s = shortName(s)
	if strings.Contains(s, "@") {
		return "(a name with an address in it)"
	}
	const many = 6 // digits that are more than a count or a year
	for i := 0; i < len(s); {
		n := countDigits(s[i:])
		if n >= many {
			s = s[:i] + "#" + s[i+n:]
			n = 0
		}
		i += n + 1
	}
	return s
}

package mapping

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// How many message ids of one user are remembered, and for how long. Segment keeps 24 hours itself.
// Source: Segment docs, "Handling duplicate data".
const (
	ringSize    = 512
	ringMinutes = 24 * 60
)

// Ring remembers the message ids of a user's last calls: 8 bytes of hash and the minute of arrival each. Time is the
// calls' arrival, not the clock on the wall, so folding again after a crash remembers the same.
type Ring struct {
	seen []seen // in order of the log
}

type seen struct {
	hash   uint64
	minute uint32
}

func minuteOf(t time.Time) uint32 {
	return uint32(min(max(t.Unix()/60, 0), 1<<32-1))
}

// has reports whether the call was seen within a day of its arrival.
func (r *Ring) has(hash uint64, at time.Time) bool {
	minute := minuteOf(at)
	for _, s := range r.seen {
		if s.hash == hash && max(s.minute, minute)-min(s.minute, minute) <= ringMinutes {
			return true
		}
	}
	return false
}

// add remembers a call and forgets those that are a day older than the newest, then the first beyond ringSize.
func (r *Ring) add(hash uint64, at time.Time) {
	if r.has(hash, at) {
		return // a replay
	}
	minute := minuteOf(at)
	r.seen = append(r.seen, seen{hash: hash, minute: minute})
	newest := minute
	for _, s := range r.seen {
		newest = max(newest, s.minute)
	}
	r.seen = slices.DeleteFunc(r.seen, func(s seen) bool { return newest-s.minute > ringMinutes })
	if n := len(r.seen) - ringSize; n > 0 {
		r.seen = slices.Delete(r.seen, 0, n)
	}
}

// Len is how many calls are remembered.
func (r Ring) Len() int { return len(r.seen) }

// IsZero lets JSON omit an empty ring.
func (r Ring) IsZero() bool { return len(r.seen) == 0 }

func (r Ring) clone() Ring { return Ring{seen: slices.Clone(r.seen)} }

// Packed, a ring is its first minute in 4 bytes, then 8 bytes of hash and 2 bytes of minutes since then for each call.
const (
	ringHead = 4
	ringItem = 10
)

var errRing = errors.New("not a ring")

// MarshalText packs the ring.
func (r Ring) MarshalText() ([]byte, error) {
	if r.IsZero() {
		return nil, nil
	}
	oldest := r.seen[0].minute
	for _, s := range r.seen {
		oldest = min(oldest, s.minute)
	}
	b := make([]byte, 0, ringHead+ringItem*len(r.seen))
	b = binary.BigEndian.AppendUint32(b, oldest)
	for _, s := range r.seen {
		b = binary.BigEndian.AppendUint64(b, s.hash)
		b = binary.BigEndian.AppendUint16(b, uint16(s.minute-oldest)) // within a day, by add
	}
	return base64.RawURLEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText unpacks what MarshalText packs.
func (r *Ring) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		r.seen = nil
		return nil
	}
	b, err := base64.RawURLEncoding.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("%w: %w", errRing, err)
	}
	if len(b) < ringHead || (len(b)-ringHead)%ringItem != 0 {
		return errRing
	}
	oldest := binary.BigEndian.Uint32(b)
	r.seen = make([]seen, 0, (len(b)-ringHead)/ringItem)
	for b = b[ringHead:]; len(b) > 0; b = b[ringItem:] {
		r.seen = append(r.seen, seen{
			hash:   binary.BigEndian.Uint64(b),
			minute: oldest + uint32(binary.BigEndian.Uint16(b[8:])),
		})
	}
	return nil
}

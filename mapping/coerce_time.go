package mapping

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/segment"
)

// toDate gives YYYY-MM-DD: the calendar day as the sender wrote it, in the offset it is written with.
// Source: Freshworks CRM API reference, "Value formats and limits on write" (inferred).
func toDate(v any) (any, Reason) {
	t, ok := parseTime(v)
	if !ok {
		return nil, ReasonNotDate
	}
	return t.Format(time.DateOnly), ""
}

// toDatetime gives ISO 8601 with offset, in whole seconds as the API itself writes it.
func toDatetime(v any) (any, Reason) {
	t, ok := parseTime(v)
	if !ok {
		return nil, ReasonNotDatetime
	}
	return t.Format(time.RFC3339), ""
}

func parseTime(v any) (time.Time, bool) {
	var t time.Time
	ok := false
	switch v := v.(type) {
	case string:
		t, ok = parseTimeString(strings.TrimSpace(v))
	case json.Number:
		t, ok = epoch(v.String())
	}
	// Before the year 1000 stands what programs write for "no time", such as 0001-01-01; after 9999 no ISO 8601.
	return t, ok && t.Year() >= 1000 && t.Year() <= 9999
}

// parseTimeString reads the ISO forms for all years and keeps their offset. For the other forms it asks segment, which
// knows what Segment itself reads but only the years an event can have. Without a zone a time is UTC.
func parseTimeString(s string) (time.Time, bool) {
	for _, layout := range [...]string{
		time.RFC3339, // reads fractions of a second too
		time.DateOnly,
		"2006-01-02 15:04:05Z07:00",
		"2006-01-02T15:04:05Z0700",
		"2006-01-02 15:04:05Z0700",
		"2006-01-02 15:04:05 Z07:00",
		"2006-01-02 15:04:05 MST",
		"2006-01-02T15:04Z07:00",
		"2006-01-02T15:04:05",
		time.DateTime,
		"2006-01-02T15:04",
		"2006-01-02 15:04",
		"20060102",
		"2006-01",
		"2006",
	} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		// An abbreviated zone other than UTC is accepted by package time with an offset of zero: hours wrong.
		if name, offset := t.Zone(); offset == 0 && name != "UTC" && name != "GMT" && name != "" {
			return time.Time{}, false
		}
		return t, true
	}
	t, ok := segment.ParseTime(s)
	if zone := offsetOf(s); ok && zone != nil {
		t = t.In(zone)
	}
	return t, ok
}

// offsetOf finds the offset at the end of a time in whatever form: it decides the calendar day. nil if there is none.
func offsetOf(s string) *time.Location {
	s, _, _ = strings.Cut(s, " (") // JavaScript adds the zone's name
	i := strings.LastIndexAny(s, "+-")
	if i < 0 || !strings.ContainsAny(s[:i], ":Tt") { // a date's own hyphens
		return nil
	}
	for _, layout := range [...]string{"-0700", "-07:00", "-07"} {
		if t, err := time.Parse(layout, s[i:]); err == nil {
			return t.Location()
		}
	}
	return nil
}

// firstMilli is the number from which Segment's integrations read milliseconds; below it seconds.
// Source: seen in the code of new-date.
const firstMilli = 31_557_600_000

// leastEpoch keeps a bare year (2025) or day (20250131) from becoming a time in 1970.
const leastEpoch = 100_000_000

// epoch reads seconds or milliseconds since 1970, also negative ones: birthdays.
func epoch(s string) (time.Time, bool) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(n) < leastEpoch || math.Abs(n) > 1e15 {
		return time.Time{}, false
	}
	if math.Abs(n) < firstMilli {
		n *= 1000
	}
	return time.UnixMilli(int64(n)).UTC(), true
}

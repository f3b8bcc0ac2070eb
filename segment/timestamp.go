package segment

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// firstMilli is the number from which a timestamp counts milliseconds; below it counts seconds (a year of seconds,
// times a thousand). Source: seen in the code of new-date, which Segment's integrations read dates with.
const firstMilli = 31_557_600_000

// isoForm is ISO 8601 as Segment's integrations accept it: dashes, colons and the zone may be missing, a space may
// stand for the T. Source: seen in the code of @segment/isodate.
var isoForm = regexp.MustCompile(`^(\d{4})(?:-?(\d\d)(?:-?(\d\d))?)?` +
	`(?:[Tt ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?\s*([Zz]|[+-]\d\d(?::?\d\d)?)?)?$`)

// longestTime is more than any readable time needs, JavaScript's with the zone's long name included.
const longestTime = 128

// ParseTime reads a time leniently. Without a zone it is UTC, and a bare date is its midnight. Ten digits are
// seconds and thirteen are milliseconds since 1970. It returns false for what it cannot read and for times outside
// 1970 to 2261, which no call has and which would not fit into nanoseconds.
// Fractions keep nanoseconds, where Segment cuts to milliseconds: analytics-go sends them, and they keep its calls
// in order.
func ParseTime(s string) (time.Time, bool) {
	if len(s) > longestTime {
		return time.Time{}, false
	}
	s = strings.TrimSpace(s)
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return plausible(t)
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		switch len(s) {
		case 10:
			return plausible(time.Unix(n, 0))
		case 13:
			return plausible(time.UnixMilli(n))
		}
	}
	if parts := isoForm.FindStringSubmatch(s); parts != nil {
		return parseISO(parts)
	}
	return parseOther(s)
}

// parseOther is what is left of "native date parsing": the forms JavaScript and HTTP write, and one of an old
// analytics-java.
func parseOther(s string) (time.Time, bool) {
	// JavaScript adds the zone's name in brackets.
	s, _, _ = strings.Cut(s, " (")
	for _, form := range [...]string{
		time.RFC1123,
		time.RFC1123Z,
		time.ANSIC,
		"Mon Jan 02 2006 15:04:05 GMT-0700",
		"Jan 2, 2006, 3:04:05 PM",
		"Jan 2, 2006 3:04:05 PM",
		"Jan 2, 2006 15:04:05",
		"Jan 2, 2006",
		"January 2, 2006",
		"2006/01/02 15:04:05",
		"2006/01/02",
	} {
		t, err := time.ParseInLocation(form, s, time.UTC)
		if err != nil {
			continue
		}
		// An abbreviation like PST is accepted by package time and read as UTC, which is hours wrong.
		if name, offset := t.Zone(); offset == 0 && name != "UTC" && name != "GMT" && name != "" {
			return time.Time{}, false
		}
		return plausible(t)
	}
	return time.Time{}, false
}

// parseISO builds the time from the parts of isoForm: year, month, day, hour, minute, second, fraction, zone.
func parseISO(parts []string) (time.Time, bool) {
	number := func(i, missing int) int {
		if parts[i] == "" {
			return missing
		}
		n, _ := strconv.Atoi(parts[i]) // two or four digits, or nine
		return n
	}
	parts[7] = (parts[7] + "000000000")[:9]
	year, month, day := number(1, 0), number(2, 1), number(3, 1)
	hour, minute, second := number(4, 0), number(5, 0), number(6, 0)
	// Second 60 is a leap second; package time carries it over.
	if hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	offset, ok := zoneOffset(parts[8])
	if !ok {
		return time.Time{}, false
	}
	date := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if int(date.Month()) != month || date.Day() != day {
		return time.Time{}, false
	}
	clock := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute +
		time.Duration(second)*time.Second + time.Duration(number(7, 0))
	return plausible(date.Add(clock - offset))
}

// zoneOffset reads Z, +hh, +hhmm or +hh:mm.
func zoneOffset(zone string) (time.Duration, bool) {
	if zone == "" || zone == "Z" || zone == "z" {
		return 0, true
	}
	digits := strings.ReplaceAll(zone[1:], ":", "")
	hours, _ := strconv.Atoi(digits[:2])
	minutes := 0
	if len(digits) == 4 {
		minutes, _ = strconv.Atoi(digits[2:])
	}
	if hours > 23 || minutes > 59 {
		return 0, false
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if zone[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// timeValue reads a JSON value as a time: a string as ParseTime does, a number as seconds or milliseconds.
func timeValue(raw []byte) (time.Time, bool) {
	if len(raw) > 0 && raw[0] == '"' {
		s, ok := unquote(raw)
		if !ok {
			return time.Time{}, false
		}
		return ParseTime(s)
	}
	n, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || !(n > 0) || n > 1e16 {
		return time.Time{}, false
	}
	if n < firstMilli {
		n *= 1000
	}
	// Microseconds: what a float of today's milliseconds still holds exactly.
	return plausible(time.UnixMicro(int64(n * 1000)))
}

// plausible gives the time in UTC if a call can have it.
func plausible(t time.Time) (time.Time, bool) {
	t = t.UTC()
	if t.Unix() <= 0 || t.Year() >= 2262 {
		return time.Time{}, false
	}
	return t, true
}

// eventTime is when the call happened, or zero. A webhook's timestamp is Segment's, already corrected; on the
// Tracking API we are the one to correct it by the sender's clock: what the sender says it waited between the event
// and the sending is taken off our time of arrival.
// Source: Segment docs, Spec, "Timestamps": timestamp = receivedAt - (sentAt - originalTimestamp).
func eventTime(raw []byte, r Received) time.Time {
	original, ok := timeValue(raw)
	if !ok {
		return time.Time{}
	}
	if r.Surface != SurfaceTracking {
		return original
	}
	sent, ok := ParseTime(r.SentAt)
	if !ok {
		return original
	}
	corrected, ok := plausible(r.At.Add(-sent.Sub(original)))
	if !ok {
		return original
	}
	return corrected
}

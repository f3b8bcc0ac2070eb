package segment_test

import (
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/segment"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	tests := map[string]string{ // "" = unreadable
		"2026-03-02T09:15:04.230Z":            "2026-03-02T09:15:04.23Z",
		"2026-03-02T09:15:04.230123456+02:00": "2026-03-02T07:15:04.230123456Z",
		"2026-03-02T09:10:43.120394+00:00":    "2026-03-02T09:10:43.120394Z",
		"2026-03-02T09:15:04.1234567899999Z":  "2026-03-02T09:15:04.123456789Z",
		"2026-03-02T09:15:04,5Z":              "2026-03-02T09:15:04.5Z",
		"2026-03-02T09:15:04":                 "2026-03-02T09:15:04Z",
		"2026-03-02 09:15:04 -0530":           "2026-03-02T14:45:04Z",
		"2026-03-02t09:15z":                   "2026-03-02T09:15:00Z",
		"20260302T091504Z":                    "2026-03-02T09:15:04Z",
		"2026-03-02T09:15:04+02":              "2026-03-02T07:15:04Z",
		"2026-03-02T23:59:60Z":                "2026-03-03T00:00:00Z",
		"2026-03-02":                          "2026-03-02T00:00:00Z",
		"20260302":                            "2026-03-02T00:00:00Z",
		"2026-03":                             "2026-03-01T00:00:00Z",
		"2026":                                "2026-01-01T00:00:00Z",
		" 2026-03-02T09:15:04Z ":              "2026-03-02T09:15:04Z",
		"1772442904230":                       "2026-03-02T09:15:04.23Z",
		"1772442904":                          "2026-03-02T09:15:04Z",
		"Nov 18, 2021, 2:45:07 PM":            "2021-11-18T14:45:07Z",
		"Nov 18, 2021":                        "2021-11-18T00:00:00Z",
		"November 8, 2021":                    "2021-11-08T00:00:00Z",
		"2026/03/02 09:15:04":                 "2026-03-02T09:15:04Z",
		"2026/03/02":                          "2026-03-02T00:00:00Z",
		"03/02/2026":                          "", // March or February
		"Mon, 02 Mar 2026 09:15:04 GMT":       "2026-03-02T09:15:04Z",
		"Mon, 02 Mar 2026 09:15:04 +0100":     "2026-03-02T08:15:04Z",
		"Mon Mar 02 2026 10:15:04 GMT+0100 (Central European Standard Time)": "2026-03-02T09:15:04Z",
		"Mon, 02 Mar 2026 09:15:04 PST":                                      "",
		"2024-02-29":                                                         "2024-02-29T00:00:00Z",
		"2026-02-29":                                                         "",
		"2026-13-01":                                                         "",
		"2026-03-02T24:00:00Z":                                               "",
		"2026-03-02T09:60:00Z":                                               "",
		"2026-03-02T09:15:04+25:00":                                          "",
		"1969-12-31T23:59:59Z":                                               "",
		"1970-01-01T00:00:00Z":                                               "",
		"2262-01-01":                                                         "",
		"9999-12-31T23:59:59Z":                                               "",
		"":                                                                   "",
		"yesterday":                                                          "",
		"12345":                                                              "",
		"-123456789":                                                         "",
		"2026-03-02T09:15:04Z" + strings.Repeat(" ", 200): "",
	}
	for in, want := range tests {
		got, ok := segment.ParseTime(in)
		if ok != (want != "") || ok && got.Format(time.RFC3339Nano) != want {
			t.Errorf("ParseTime(%q) = %v, %v; want %q", in, got, ok, want)
		}
	}
}

func TestTimestamp(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 7, 30, 2, 900_000_000, time.UTC)
	tests := map[string]struct {
		timestamp, sentAt string // JSON, and as in the header
		tracking, webhook string // "" = zero
	}{
		// Source: Segment docs, Spec, "Timestamps", with the reference's numbers.
		"corrected": {
			`"2026-03-02T08:00:00.000Z"`, "2026-03-02T08:00:02.500Z",
			"2026-03-02T07:30:00.4Z", "2026-03-02T08:00:00Z",
		},
		"numbers":         {`1772438400000`, "1772438402500", "2026-03-02T07:30:00.4Z", "2026-03-02T08:00:00Z"},
		"seconds":         {`1772438400.5`, "", "2026-03-02T08:00:00.5Z", "2026-03-02T08:00:00.5Z"},
		"no sentAt":       {`"2026-03-02T08:00:00Z"`, "", "2026-03-02T08:00:00Z", "2026-03-02T08:00:00Z"},
		"bad sentAt":      {`"2026-03-02T08:00:00Z"`, "now", "2026-03-02T08:00:00Z", "2026-03-02T08:00:00Z"},
		"absurd sentAt":   {`"1971-01-01"`, "2261-01-01", "1971-01-01T00:00:00Z", "1971-01-01T00:00:00Z"},
		"future":          {`"2027-01-01"`, "2026-01-01", "2027-03-02T07:30:02.9Z", "2027-01-01T00:00:00Z"},
		"no timestamp":    {`null`, "2026-03-02T08:00:02.500Z", "", ""},
		"bad timestamp":   {`"soon"`, "2026-03-02T08:00:02.500Z", "", ""},
		"wrong kind":      {`{"a":1}`, "", "", ""},
		"zero is no time": {`0`, "", "", ""},
		"negative":        {`-5`, "", "", ""},
		"huge":            {`1e300`, "", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := received(`{"timestamp":` + tt.timestamp + `}`)
			r.At, r.SentAt = at, tt.sentAt
			for surface, want := range map[segment.Surface]string{
				segment.SurfaceTracking: tt.tracking, segment.SurfaceWebhook: tt.webhook,
			} {
				r.Surface = surface
				e := event(t, r)
				got := ""
				if !e.Timestamp.IsZero() {
					got = e.Timestamp.Format(time.RFC3339Nano)
				}
				if got != want {
					t.Errorf("%s: timestamp = %q, want %q", surface, got, want)
				}
			}
		})
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	before, after := arrival.Add(-time.Hour), arrival.Add(time.Hour)
	for name, tt := range map[string]struct{ timestamp, want time.Time }{
		"past":    {before, before},
		"future":  {after, arrival},
		"unknown": {time.Time{}, arrival},
	} {
		if got := (segment.Event{Timestamp: tt.timestamp, Received: arrival}).Clock(); !got.Equal(tt.want) {
			t.Errorf("%s: clock = %v, want %v", name, got, tt.want)
		}
	}
}

// Our clock is set by hours: what that does to the order of calls. docs/contract.md says so to users.
func TestAStepOfOurClock(t *testing.T) {
	t.Parallel()
	const step = 3 * time.Hour
	webhook := `{"type":"identify","userId":"u","timestamp":"2026-11-01T11:59:00Z"}`
	library := `{"type":"identify","userId":"u","timestamp":"2026-11-01T11:59:00Z","sentAt":"2026-11-01T12:00:00Z"}`
	happened, now := time.Date(2026, 11, 1, 11, 59, 0, 0, time.UTC), time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		surface segment.Surface
		body    string
		arrival time.Time
		want    time.Time
	}{
		"webhook":              {segment.SurfaceWebhook, webhook, now, happened},
		"webhook, set forward": {segment.SurfaceWebhook, webhook, now.Add(step), happened},
		"webhook, set back":    {segment.SurfaceWebhook, webhook, now.Add(-step), now.Add(-step)},
		"library":              {segment.SurfaceTracking, library, now, happened},
		"library, set forward": {segment.SurfaceTracking, library, now.Add(step), happened.Add(step)},
		"library, set back":    {segment.SurfaceTracking, library, now.Add(-step), happened.Add(-step)},
	} {
		sent := ""
		if tt.surface == segment.SurfaceTracking {
			sent = "2026-11-01T12:00:00Z"
		}
		e := event(t, segment.Received{Source: "website", Surface: tt.surface, At: tt.arrival, Type: segment.Identify, UserID: "u", SentAt: sent, Body: []byte(tt.body)})
		if got := e.Clock(); !got.Equal(tt.want) {
			t.Errorf("%s: the clock is %v, want %v", name, got, tt.want)
		}
	}
}

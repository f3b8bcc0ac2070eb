package mapping

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the test must not depend on what is installed
)

// TestZonesOfALineAgree asks the tz database: whoever is given the Rails zone of a line sees the same clock.
func TestZonesOfALineAgree(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for line := range strings.SplitSeq(zoneTable, "\n") {
		rails, zones, _ := strings.Cut(line, "=")
		names := strings.Fields(zones)
		if rails == "" || len(names) == 0 {
			t.Fatalf("%q names no zone", line)
		}
		first, err := time.LoadLocation(names[0])
		if err != nil {
			t.Errorf("%s: %v", rails, err)
			continue
		}
		for _, name := range names {
			if seen[name] {
				t.Errorf("%s is in two lines", name)
			}
			seen[name] = true
			zone, err := time.LoadLocation(name)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for at := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2030; at = at.AddDate(0, 0, 7) {
				_, want := at.In(first).Zone()
				if _, got := at.In(zone).Zone(); got != want {
					t.Errorf("%s differs from %s at %s", name, names[0], at.Format(time.DateOnly))
					break
				}
			}
		}
	}
}

func TestTimeZone(t *testing.T) {
	t.Parallel()
	list := newField(Field{Name: "time_zone", Type: "dropdown", Choices: []Choice{
		{"Berlin", "(GMT+01:00) Berlin"}, {"7", "(GMT+05:30) Chennai"}, {"8", "London"}, {"Kyiv", "(GMT+02:00) Kyiv"},
	}})
	none := newField(Field{Name: "time_zone", Type: "dropdown"})
	tests := []struct {
		f    field
		in   any
		want any
	}{
		{list, "Europe/Berlin", "Berlin"},
		{list, "europe/berlin", "Berlin"},
		{list, "Europe/Oslo", "Berlin"},
		{list, "Asia/Kolkata", "Chennai"}, // the account's list decides between the names of a zone
		{list, "Asia/Calcutta", "Chennai"},
		{list, "Europe/London", "London"},
		{list, "Europe/Kiev", "Kyiv"},
		{list, " berlin ", "Berlin"},
		{list, "(GMT+01:00)  Berlin", "Berlin"},
		{list, "Asia/Tokyo", nil}, // not in the account's list
		{list, "Berlin/Europe", nil},
		{list, "+01:00", nil},
		{none, "Asia/Tokyo", "Tokyo"},
		{none, "osaka", "Osaka"},
		{none, "Atlantis", nil},
	}
	for _, tt := range tests {
		got, reason := tt.f.coerce(tt.in)
		if got != tt.want || (reason == "") != (tt.want != nil) {
			t.Errorf("%v: %v, %q, want %v", tt.in, got, reason, tt.want)
		}
	}
	if _, reason := list.coerce(true); reason != ReasonNotTimeZone {
		t.Errorf("true: %q", reason)
	}
}

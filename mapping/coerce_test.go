package mapping

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestPlainInteger(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in, want string
		whole    bool
	}{
		{"12", "12", true},
		{"-12", "-12", true},
		{"12.0", "12", true},
		{"12.000", "12", true},
		{"1e3", "1000", true},
		{"1.5e3", "1500", true},
		{"1.50E+1", "15", true},
		{"1200e-2", "12", true},
		{"0.0", "0", true},
		{"-0.0", "0", true},
		{"0e999999999999", "0", true},
		{"0.5e1", "5", true},
		{"-0.05e2", "-5", true},
		{"9007199254740993", "9007199254740993", true},
		{"1.5", "", false},
		{"1e-3", "", false},
		{"1e999999999999", "", false},
		{"1e-999999999999", "", false},
		{"01", "", false},
		{"1.", "", false},
		{".5", "", false},
		{"1e", "", false},
		{"--1", "", false},
		{"", "", false},
		{"NaN", "", false},
	}
	for _, tt := range tests {
		got, whole := plainInteger(tt.in)
		if whole != tt.whole || whole && got != tt.want {
			t.Errorf("plainInteger(%q) = %q, %v, want %q, %v", tt.in, got, whole, tt.want, tt.whole)
		}
	}
}

func TestTooLong(t *testing.T) {
	t.Parallel()
	text := newField(Field{Name: "cf_a", Type: "text", Custom: true})
	area := newField(Field{Name: "cf_b", Type: "textarea", Custom: true})
	email := field{kind: kindEmail}
	tests := []struct {
		name string
		f    field
		in   any
		want Reason
	}{
		{"text of 255", text, strings.Repeat("é", 255), ""},
		{"text of 256", text, strings.Repeat("é", 256), ReasonTooLong},
		{"NUL does not count", text, strings.Repeat("\x00a", 255), ""},
		{"number of 300 digits", text, json.Number(strings.Repeat("9", 300)), ReasonTooLong},
		{"number of a billion digits", text, json.Number("1e999999999"), ""}, // stays as written
		{"textarea of 8000", area, strings.Repeat("é", 8000), ""},
		{"textarea of 8001", area, strings.Repeat("é", 8001), ReasonTooLong},
		{"email of 254 bytes", email, strings.Repeat("a", 245) + "@ex.ample", ""},
		{"email of 255 bytes", email, strings.Repeat("a", 246) + "@ex.ample", ReasonNotEmail},
	}
	for _, tt := range tests {
		if _, got := tt.f.coerce(tt.in); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestEmailShapes(t *testing.T) {
	t.Parallel()
	f := field{kind: kindEmail}
	for _, good := range []string{"a@b.co", "zoë@bücher.test", "o'neil&co@c.test", " A.B+c@D.test\n"} {
		if got, reason := f.coerce(good); reason != "" || got != strings.TrimSpace(good) {
			t.Errorf("%q: %v, %q", good, got, reason)
		}
	}
	for _, bad := range []string{"a", "@b.test", "a@", "a b@c.test", "a@b\u0007.test", "@", "a@b", "a@b@c.test", "a@b.", "a..b@c.test", ".a@b.test", "a,b@c.test", "<a@b.test>", "a@b..test", "\ufffd@b.test"} {
		if got, reason := f.coerce(bad); reason != ReasonNotEmail {
			t.Errorf("%q: %v, %q", bad, got, reason)
		}
	}
}

// TestChoiceThatCannotBeListed: a label with the separator in it would be read as two choices.
func TestChoiceThatCannotBeListed(t *testing.T) {
	t.Parallel()
	f := newField(Field{Name: "cf_a", Type: "multi_select_dropdown", Custom: true, Choices: []Choice{{"1", "Rock; Pop"}, {"2", "Rock"}}})
	if got, reason := f.coerce("rock; pop"); reason != ReasonNotAChoice {
		t.Errorf("%v, %q", got, reason)
	}
	if got, reason := f.coerce("rock"); reason != "" || got != "Rock" {
		t.Errorf("%v, %q", got, reason)
	}
}

func TestBuiltInChoiceWithoutNumber(t *testing.T) {
	t.Parallel()
	f := newField(Field{Name: "some_id", Type: "dropdown", Choices: []Choice{{"abc", "One"}, {"17", "Two"}}})
	if got, reason := f.coerce("one"); reason != ReasonUnsupportedType {
		t.Errorf("%v, %q", got, reason)
	}
	for _, in := range []any{"TWO", "17", json.Number("17"), json.Number("17.0")} {
		if got, reason := f.coerce(in); reason != "" || got != json.Number("17") {
			t.Errorf("%v: %v, %q", in, got, reason)
		}
	}
}

func TestTimesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, in := range []any{
		"", "soon", "12:00", "2026-13-01", "2026-02-30", "2026-02-30T00:00:00Z", "10000-01-01", "0999-12-31",
		"2026-03-02 09:15:04 PST", json.Number("2025"), json.Number("20250131"), json.Number("1e300"), true,
	} {
		if got, ok := parseTime(in); ok {
			t.Errorf("%v was read as %v", in, got)
		}
	}
}

// TestTheDayIsTheSenders: in whatever form the offset comes, the day is the one that was written.
func TestTheDayIsTheSenders(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"2026-03-02T23:30:00-05:00", "2026-03-02T23:30:00-0500", "2026-03-02T23:30:00-05", "20260302T233000-0500", "2026-03-02 23:30:00 -05:00",
		"Mon, 02 Mar 2026 23:30:00 -0500", "Mon Mar 02 2026 23:30:00 GMT-0500 (Eastern Standard Time)", "2026-03-02t23:30:00.5-05:00",
		"2026-03-02T23:30", "2026-03-02", "2026-03-02T00:30:00+09:00", "2026-03-02T23:59:59Z",
	} {
		if got, reason := toDate(in); got != "2026-03-02" {
			t.Errorf("%s: %v, %q", in, got, reason)
		}
	}
}

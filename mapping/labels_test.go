package mapping

import (
	"strings"
	"testing"
)

func TestClean(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"", ""},
		{"Plan", "Plan"},
		{"Plan tier", "Plan tier"},
		{" Plan", "Plan"},
		{"Plan ", "Plan"},
		{"Plan  tier", "Plan tier"},
		{"Plan\ttier\n", "Plan tier"},
		{"Plan\u00a0tier", "Plan tier"},
		{"  ", ""},
		{"Größe", "Größe"},
		{"Cafe\u0301", "Caf\u00e9"},
	}
	for _, tt := range tests {
		if got := clean(tt.in); got != tt.want {
			t.Errorf("clean(%q) = %q, want %q", tt.in, got, tt.want)
		}
		if isClean(tt.in) && tt.in != tt.want {
			t.Errorf("isClean(%q) = %v", tt.in, isClean(tt.in))
		}
	}
}

func TestNormal(t *testing.T) {
	t.Parallel()
	for _, spelling := range []string{"firstName", "first_name", "First Name", "FIRST-NAME", " first\tname ", "First  name"} {
		if got := normal(spelling); got != "firstname" {
			t.Errorf("normal(%q) = %q", spelling, got)
		}
	}
	if normal("Straße 2") == normal("Straße 3") {
		t.Error("letters beyond ASCII are lost")
	}
	for _, pair := range [][2]string{
		{"Größe", "GRÖßE"}, {"Straße", "STRASSE"}, {"ΣΊΣΥΦΟΣ", "σίσυφος"}, {"Cafe\u0301", "CAF\u00c9"}, {"Имя", "ИМЯ"}, {"地区", "地区"},
	} {
		if normal(pair[0]) != normal(pair[1]) {
			t.Errorf("%q and %q differ", pair[0], pair[1])
		}
	}
}

func TestShortName(t *testing.T) {
	t.Parallel()
	if got := shortName(strings.Repeat("ü", 100)); got != strings.Repeat("ü", 100) {
		t.Errorf("a hundred characters were cut to %q", got)
	}
	if got := shortName(strings.Repeat("ü", 101)); got != strings.Repeat("ü", 100)+"…" {
		t.Errorf("a hundred and one became %q", got)
	}
}

func TestSplitName(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, first, rest string }{
		{"Ada", "Ada", ""},
		{"Ada Moreno", "Ada", "Moreno"},
		{"  Ada   Moreno da  Silva ", "Ada", "Moreno da  Silva"},
		{"Zoë\u00a0Müller", "Zoë", "Müller"},
		{"   ", "   ", ""},
	}
	for _, tt := range tests {
		if first, rest := splitName(tt.in); first != tt.first || rest != tt.rest {
			t.Errorf("splitName(%q) = %q, %q, want %q, %q", tt.in, first, rest, tt.first, tt.rest)
		}
	}
}

package freshmarketer

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		value any // what we sent
		text  string
		want  string
	}{
		{"sent address, folded", "Ann.Lee@Example.com", "ann.lee@example.com already exists.", "[email] already exists."},
		{"address we did not send", nil, "Taken by bob@example.org, sorry", "Taken by [email], sorry"},
		{"address in another script", nil, "zoë.müller@bücher.test bestaat al", "[email] bestaat al"},
		{"encoded address", nil, "GET /lookup?q=ann%40example.com", "GET /lookup?q=[email]"},
		{"value", "Okafor", "OKAFOR is not in required length", "[value] is not in required length"},
		{"value around an address", "Ann <ann@x.test> Lee", "bad: Ann <ann@x.test> Lee!", "bad: [email]!"},
		{"the longer value first", []any{"Ann", "Annabel"}, "Annabel", "[value]"},
		{"two runes stay", "Li", "Li is wrong", "Li is wrong"},
		{"three runes of two bytes go", "Zoë", "Zoë is wrong", "[value] is wrong"},
		{"nested", map[string]any{"a": []any{map[string]any{"b": "deep value"}}}, "x deep value y", "x [value] y"},
		{"number", json.Number("4155550102"), "4155550102 is not unique", "[value] is not unique"},
		{"Go number", map[string]any{"n": 4155550102, "f": 1234.5}, "4155550102 or 1234.5", "[value] or [value]"},
		{"list", []string{"Sailing"}, "Sailing?", "[value]?"},
		{"as a contact was read", Fields{"cf_a": json.RawMessage(`"Gr\u00fcn"`), "cf_b": json.RawMessage(`[4155550102]`)}, "Grün, 4155550102?", "[value], [value]?"},
		{"as JSON writes it", "Müller & \"Söhne\"\n", `unexpected token at '{"a":"Müller & \"Söhne\"\n"}'`, `unexpected token at '{"a":"[value]"}'`},
		{"pattern characters", "a.*b", "axxb a.*b", "axxb [value]"},
		{"nothing sent", nil, "Invalid or missing attributes", "Invalid or missing attributes"},
	}
	for _, tt := range tests {
		var s sent
		s.add(tt.value)
		if got := s.redact(tt.text); got != tt.want {
			t.Errorf("%s: redact(%q) = %q, want %q", tt.name, tt.text, got, tt.want)
		}
	}
}

func TestRedactCuts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("ü", 201), strings.Repeat("x", maxRedacted+1), "a\xff" + strings.Repeat("y", 300)} {
		got := sent{}.redact(text)
		if n := utf8.RuneCountInString(got); n > 200 || !utf8.ValidString(got) {
			t.Errorf("redact of %d bytes has %d runes, valid %t", len(text), n, utf8.ValidString(got))
		}
	}
	exact := strings.Repeat("ü", 200)
	if got := (sent{}).redact(exact); got != exact {
		t.Errorf("a text of 200 runes was changed to %q", got)
	}
}

func TestFieldNamedIn(t *testing.T) {
	t.Parallel()
	s := sent{fields: []string{"address", "cf_plan_tier", "city", "contact_status_id", "email", "external_id", "first_name", "mobile_number", "time_zone", "work_email"}}
	tests := map[string]string{
		"[email] already exists.":                "email",
		"MobileNumber is not unique":             "mobile_number",
		"ExternalId is not unique":               "external_id",
		"Work email is not in required length":   "work_email",
		"Invalid contact status provided.":       "contact_status_id",
		"Not a supported time zone":              "time_zone",
		"Plan tier is not in required length":    "cf_plan_tier",
		"First name is not in required length":   "first_name",
		"Invalid or missing attributes":          "",
		"Es necesario rellenar el formulario, ¡": "",
		"[email] is an invalid email address.":   "email",
		"invalid E-Mail":                         "email",
		"Need to fill this Mobile to submit.":    "mobile_number",
		"Tarif ist zu lang":                      "cf_plan_tier",
		"Tarifgruppe ist zu lang":                "",
		"This capacity is odd":                   "",
		"Address is too long":                    "address",
		"":                                       "",
	}
	labels := map[string]string{"mobile_number": "Mobile", "cf_plan_tier": " Tarif ", "email": "Emails", "external_id": "  "}
	for text, want := range tests {
		if got := s.fieldNamedIn(text, labels); got != want {
			t.Errorf("fieldNamedIn(%q) = %q, want %q", text, got, want)
		}
	}
}

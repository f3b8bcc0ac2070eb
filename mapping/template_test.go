package mapping

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/freshrelay/freshrelay/segment"
)

func TestTemplatesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"{{", "a {{name", "{{}}", "{{ }}", "{{a..b}}", "{{.a}}", "{{a.}}", "{{a {{b}}", "{{a\x00}}"} {
		if _, err := ParseTemplate(text); err == nil || !strings.Contains(err.Error(), "write {{name}}") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "}}", "{name}", "{{a}}}}", "{{ properties.total }}"} {
		if parsed, err := ParseTemplate(text); err != nil || parsed.String() != text {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Whatever a call holds: the text is bounded, valid and without control characters.
func FuzzTemplate(f *testing.F) {
	f.Add("{{name}} {{properties}} {{properties.a.b}}", `{"a":{"b":[1,"x"]}}`, "n")
	f.Add("{{a", `[]`, "\x00")
	f.Fuzz(func(t *testing.T, text, properties, name string) {
		parsed, err := ParseTemplate(text)
		if err != nil {
			return
		}
		r := segment.Received{Type: segment.Track, Body: fmt.Appendf(nil, `{"event":"e","properties":%s}`, properties)}
		h, err := r.Happening()
		if err != nil {
			return
		}
		got := parsed.fill(name, &h, 100)
		if utf8.RuneCountInString(got) > 100 || strings.ContainsAny(got, "\x00\r\x1b") || utf8.ValidString(text+name) && !utf8.ValidString(got) {
			t.Errorf("%q with %s: %q", text, properties, got)
		}
	})
}

// What is remembered of events fits into a message of the broker, however many events and properties there are.
func TestAttributesAreBounded(t *testing.T) {
	t.Parallel()
	known := Attributes{}
	for event := range 200 {
		var list []segment.Trait
		for i := range 150 {
			list = append(list, segment.Trait{Key: fmt.Sprintf("%d-%s", i, strings.Repeat("ü", 45)), Value: json.Number("1")})
		}
		fields, leftOut, next := known.Fit(fmt.Sprintf("%d %s", event, strings.Repeat("ü", 45)), list)
		if len(fields) != maxAttributes || len(leftOut) != 50 {
			t.Fatalf("%d attributes, %d left out", len(fields), len(leftOut))
		}
		if next != nil {
			known = next
		}
	}
	data, err := known.Encode()
	if err != nil || len(data) > 800<<10 || known.known() != maxKnown {
		t.Errorf("%d attributes in %d bytes, %v", known.known(), len(data), err)
	}
	again, err := DecodeAttributes(data)
	if err != nil || again.known() != maxKnown {
		t.Errorf("%d are read again, %v", again.known(), err)
	}
	if _, err := DecodeAttributes([]byte("{")); err == nil {
		t.Error("broken bytes are read")
	}
}

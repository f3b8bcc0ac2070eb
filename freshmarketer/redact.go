package freshmarketer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxText     = 200      // runes of an error's text
	maxRedacted = 16 << 10 // bytes: longer texts are not error messages and are left out whole
	minValue    = 3        // runes: shorter values would turn every text into holes and identify nobody
)

// sent remembers what went into a call: the values, which must not come back in an error's text, and the names of the
// fields, of which one may be what the text is about.
type sent struct {
	values []string
	fields []string
}

// emailLike finds addresses we did not send, in any script, also percent-encoded.
var emailLike = regexp.MustCompile(`[^\s@<>\[\]()"',;:=&]+(?:@|%40)[^\s@<>\[\]()"',;:=&]+`)

// add collects every string of a value, at any depth. Numbers count as strings too: a phone number may be one.
func (s *sent) add(v any) {
	switch v := v.(type) {
	case string:
		if utf8.RuneCountInString(v) >= minValue {
			s.values = append(s.values, v)
		}
	case json.Number:
		s.add(string(v))
	case json.RawMessage: // as it was read of the contact, and goes back with the rest
		var read any
		decoder := json.NewDecoder(bytes.NewReader(v))
		decoder.UseNumber()
		if decoder.Decode(&read) == nil {
			s.add(read)
		}
	case int, int64, float64:
		s.add(fmt.Sprint(v))
	case []string:
		for _, item := range v {
			s.add(item)
		}
	case []any:
		for _, item := range v {
			s.add(item)
		}
	case map[string]any:
		for _, item := range v {
			s.add(item)
		}
	case Fields:
		s.add(map[string]any(v))
	}
}

// merge adds what another part of the same call sends.
func (s *sent) merge(other sent) {
	s.values = append(s.values, other.values...)
	for _, name := range other.fields {
		if !slices.Contains(s.fields, name) {
			s.fields = append(s.fields, name)
		}
	}
}

// redact replaces addresses and sent values and cuts the rest to maxText runes.
func (s sent) redact(text string) string {
	if len(text) > maxRedacted {
		return "(a long text, left out)"
	}
	text = strings.ToValidUTF8(text, "�")
	if re := s.pattern(); re != nil {
		text = re.ReplaceAllStringFunc(text, func(found string) string {
			if strings.ContainsRune(found, '@') {
				return "[email]"
			}
			return "[value]"
		})
	}
	text = emailLike.ReplaceAllLiteralString(text, "[email]")
	if runes := []rune(text); len(runes) > maxText {
		text = string(runes[:maxText-1]) + "…"
	}
	return text
}

// pattern matches any sent value, longest first, in any letter case (the API may fold addresses), as it is and as JSON
// writes it (the API repeats malformed bodies). It is nil if there is nothing to find.
func (s sent) pattern() *regexp.Regexp {
	forms := make(map[string]bool, 2*len(s.values))
	for _, value := range s.values {
		forms[value] = true
		if asJSON, err := encode(value); err == nil {
			forms[string(asJSON[1:len(asJSON)-2])] = true // without the quotes and the encoder's line end
		}
	}
	if len(forms) == 0 {
		return nil
	}
	longestFirst := slices.SortedFunc(maps.Keys(forms), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	for i, form := range longestFirst {
		longestFirst[i] = regexp.QuoteMeta(form)
	}
	re, err := regexp.Compile("(?i:" + strings.Join(longestFirst, "|") + ")")
	if err != nil { // invalid UTF-8 in a value; such a value was never sent as it is
		return nil
	}
	return re
}

// says reports whether the API's own words hold one of the phrases. A value that holds such a phrase is taken out
// first: a contact called "Too many requests" must not stop everybody's delivery.
func (s sent) says(text string, phrases []string) bool {
	text = strings.ToLower(text)
	for _, phrase := range phrases {
		own := text
		for _, value := range s.values {
			if value := strings.ToLower(value); strings.Contains(value, phrase) {
				own = strings.ReplaceAll(own, value, "")
			}
		}
		if strings.Contains(own, phrase) {
			return true
		}
	}
	return false
}

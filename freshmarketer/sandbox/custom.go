package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// maxTextareaLength in characters. Source: a connector's documentation says about 8,000.
const maxTextareaLength = 8000

// setCustom takes custom_field. The API says nothing about most of what it does not take: an unknown name, a value that
// is not a choice, a value of the wrong type, and a plural "custom_fields" are all answered 200 and change nothing.
// Source: seen in client code. Only over-long text is refused (as for built-in fields, inferred).
func (s *Sandbox) setCustom(c *contact, in map[string]any, mode Mode, fields []Field) []string {
	sent, ok := in["custom_field"].(map[string]any)
	if !ok {
		return nil
	}
	if mode == Replace {
		c.Custom = map[string]any{}
	}
	var problems []string
	for _, f := range fields {
		v, given := sent[f.Name]
		switch {
		case !given:
		case v == nil || v == "":
			delete(c.Custom, f.Name)
		case f.tooLong(v):
			problems = append(problems, s.say(badLength, f.Label))
		default:
			if stored, ok := f.take(v); ok {
				c.Custom[f.Name] = stored
			}
		}
	}
	return problems
}

func (f Field) tooLong(v any) bool {
	limit := map[string]int{TypeText: maxTextLength, TypeTextarea: maxTextareaLength}[f.Type]
	text, ok := v.(string)
	return ok && limit > 0 && utf8.RuneCountInString(text) > limit
}

// take returns the value as it is stored, and whether the field takes it at all. Formats: Freshworks CRM API field
// metadata and client code; that a numeric string is no number, and that multi-selects take "A;B" as well as lists, is
// inferred.
func (f Field) take(v any) (any, bool) {
	text, isText := v.(string)
	switch f.Type {
	case TypeText, TypeTextarea:
		return text, isText
	case TypeNumber:
		n, ok := v.(json.Number)
		return n, ok
	case TypeCheckbox:
		b, ok := v.(bool)
		return b, ok
	case TypeDropdown, TypeRadio: // by label, in exactly these letters; a choice's id is not taken
		return text, isText && slices.Contains(f.Choices, text)
	case TypeMultiSelect:
		return f.takeMany(v)
	case TypeDate:
		day, ok := parseDay(text)
		return day, isText && ok
	case TypeDatetime:
		at, err := time.Parse(time.RFC3339, text)
		return at.Format(time.RFC3339), isText && err == nil
	}
	return nil, false
}

func (f Field) takeMany(v any) (any, bool) {
	list, ok := listOf(v)
	for _, item := range list {
		ok = ok && slices.Contains(f.Choices, item)
	}
	return strings.Join(list, ";"), ok && len(list) > 0
}

// parseDay reads a date, or the date of a full timestamp.
func parseDay(text string) (string, bool) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.Format(time.DateOnly), true
		}
	}
	return "", false
}

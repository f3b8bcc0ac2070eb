package mapping

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// toTags accepts scalars, each of them a tag. Blank ones are skipped, none at all says nothing. They go out as a list.
// Source: Freshworks CRM API reference, "Field metadata" (tags: an array of strings; the length is that of a text, inferred).
func toTags(items []any) (any, Reason) {
	var tags []string
	for _, item := range items {
		switch item.(type) {
		case nil:
			continue
		case string, json.Number, bool:
		default:
			return nil, ReasonNotScalar
		}
		s, ok := text(item)
		tag := clean(stripNUL(s))
		if !ok || utf8.RuneCountInString(tag) > maxText {
			return nil, ReasonTooLong
		}
		if tag != "" && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	if len(tags) == 0 {
		return nil, ""
	}
	return tags, ""
}

// flatten writes an object or array as text, for a text field that a line in the map names for it: scalars with commas
// between them, everything else as JSON with its keys in order. Other fields and values stay as they are, and an empty
// array or object is as good as none.
func (f *field) flatten(v any) any {
	if f.kind != kindText && f.kind != kindTextarea {
		return v
	}
	switch v := v.(type) {
	case []any:
		if len(v) == 0 {
			return nil
		}
		if s, ok := joinScalars(v); ok {
			return s
		}
		return compactJSON(v)
	case map[string]any:
		if len(v) == 0 {
			return nil
		}
		return compactJSON(v)
	}
	return v
}

func joinScalars(items []any) (string, bool) {
	parts := make([]string, 0, len(items))
	for _, item := range items {
		switch item.(type) {
		case nil:
			continue
		case string, json.Number, bool:
		default:
			return "", false
		}
		s, _ := text(item)
		parts = append(parts, s)
	}
	return strings.Join(parts, ", "), true
}

func compactJSON(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // what came out of JSON goes back into it
	return strings.TrimSuffix(b.String(), "\n")
}

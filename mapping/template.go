package mapping

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/freshrelay/freshrelay/segment"
)

// maxTemplateValue bounds what one placeholder can bring, in characters.
const maxTemplateValue = 500

// Template is text with placeholders: {{name}} is the event or page, {{properties}} all properties, a line for each, and any
// other name a dotted path into the call, such as {{properties.total}}, {{context.page.url}} or {{userId}}. What a call
// does not have is empty. There is nothing else in it: no conditions, no functions.
type Template struct {
	text  string
	parts []templatePart
}

type templatePart struct {
	text string
	path []string // nil for plain text
}

// ParseTemplate reads a template. Its errors say what to write instead.
func ParseTemplate(text string) (Template, error) {
	t := Template{text: text}
	for rest := text; rest != ""; {
		before, inside, open := strings.Cut(rest, "{{")
		if before != "" {
			t.parts = append(t.parts, templatePart{text: before})
		}
		if !open {
			break
		}
		name, after, closed := strings.Cut(inside, "}}")
		name = strings.TrimSpace(name)
		if !closed || strings.Contains(name, "{{") {
			return Template{}, fmt.Errorf("a placeholder is not closed: write {{name}} or {{properties.total}}")
		}
		path := strings.Split(name, ".")
		for _, part := range path {
			if part == "" || strings.ContainsFunc(part, func(r rune) bool { return unicode.IsControl(r) }) {
				return Template{}, fmt.Errorf("the placeholder {{%s}} names nothing: write {{name}} or {{properties.total}}", name)
			}
		}
		t.parts = append(t.parts, templatePart{path: path})
		rest = after
	}
	return t, nil
}

// String is the template as it was written.
func (t Template) String() string { return t.text }

// fill makes the text for a call: at most limit characters, without control characters but line breaks.
func (t Template) fill(name string, h *segment.Happening, limit int) string {
	var b strings.Builder
	for _, p := range t.parts {
		switch {
		case p.path == nil:
			b.WriteString(p.text)
		case len(p.path) == 1 && p.path[0] == "name":
			b.WriteString(clip(name, maxTemplateValue))
		case len(p.path) == 1 && p.path[0] == "properties":
			b.WriteString(propertyLines(h.Properties, limit))
		default:
			b.WriteString(clip(valueText(valueAt(h.Call, p.path)), maxTemplateValue))
		}
	}
	return clip(strings.TrimSpace(printable(b.String())), limit)
}

func propertyLines(list []segment.Trait, limit int) string {
	var lines []string
	for _, p := range list {
		if limit <= 0 {
			break
		}
		text := valueText(p.Value)
		if text == "" {
			continue
		}
		line := clip(p.Key, maxTemplateValue) + ": " + clip(text, maxTemplateValue)
		lines, limit = append(lines, line), limit-len(line)
	}
	return strings.Join(lines, "\n")
}

// valueAt follows a path; a key with dots of its own is found too, if it comes last.
func valueAt(v any, path []string) any {
	for i, part := range path {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		if whole, ok := object[strings.Join(path[i:], ".")]; ok {
			return whole
		}
		v = object[part]
	}
	return v
}

// valueText is a value as people read it; an object or array is JSON.
func valueText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it is for people
	if e.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// printable makes every kind of line break one and drops other control characters.
func printable(s string) string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n", "\t", " ").Replace(s)
	return strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
}

// clip cuts a text to so many characters; an ellipsis says that it did.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	runes := 0
	for i := range s {
		if runes++; runes > limit {
			cut := []rune(s[:i])
			return string(cut[:limit-1]) + "…"
		}
	}
	return s
}

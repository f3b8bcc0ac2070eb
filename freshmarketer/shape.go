package freshmarketer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// maxShapeDepth is deeper than any answer that is known.
const maxShapeDepth = 8

// Shape says what an answer looks like without what it says: names of keys, types of values, lengths of lists. Names that
// customers give (custom fields) are counted and not named, so a shape can be handed to strangers.
func Shape(body []byte) any {
	trimmed := bytes.TrimSpace(body)
	var v any
	dec := json.NewDecoder(bytes.NewReader(trimmed))
	dec.UseNumber()
	switch {
	case len(trimmed) == 0:
		return "empty"
	case dec.Decode(&v) != nil && trimmed[0] == '<':
		return fmt.Sprintf("HTML or XML, %d bytes", len(body))
	case v == nil && !bytes.Equal(trimmed, []byte("null")):
		return fmt.Sprintf("no JSON, %d bytes", len(body))
	}
	return shapeOf(v, maxShapeDepth)
}

// ownName matches the names that the API itself gives to keys, as far as is known.
var ownName = regexp.MustCompile(`^[a-z][a-zA-Z0-9_-]{0,60}$`)

func shapeOf(v any, depth int) any {
	if depth == 0 {
		return "…"
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			name := key
			switch {
			case strings.HasPrefix(key, "cf_"):
				name = "cf_*"
			case !ownName.MatchString(key):
				name = "*"
			}
			if _, there := out[name]; !there {
				out[name] = shapeOf(v[key], depth-1)
			}
		}
		return out
	case []any:
		if len(v) == 0 {
			return []any{}
		}
		return []any{shapeOf(v[0], depth-1), fmt.Sprintf("%d in all", len(v))}
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "number"
		}
		return fmt.Sprintf("integer of %d digits", len(strings.TrimPrefix(v.String(), "-")))
	case string:
		return shapeOfText(v)
	case bool:
		return "boolean"
	}
	return nil
}

// shapeOfText tells texts apart that clients read differently.
func shapeOfText(s string) string {
	switch {
	case s == "":
		return "empty text"
	case strings.Trim(s, "0123456789") == "":
		return "text of digits"
	case isTime(s):
		return "time as text"
	}
	return "text"
}

func isTime(s string) bool {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}

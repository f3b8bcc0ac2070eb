package mapping

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean trims a label or trait key and collapses the spaces inside it. Real accounts have labels with trailing spaces.
// Source: Freshworks CRM API reference, "Field metadata".
func clean(s string) string {
	if isClean(s) {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}

func isClean(s string) bool {
	space := true // a leading space is one too many
	for _, r := range s {
		if unicode.IsSpace(r) {
			if space || r != ' ' {
				return false
			}
			space = true
			continue
		}
		space = false
	}
	return !space || s == ""
}

// appendNormal appends s as it is compared in normalised matching: lower case, without spaces, '_' and '-'. camelCase
// needs no rule of its own, its words differ from the label's by case and spaces only.
// Source: Segment docs, Spec: Identify (camelCase and snake_case are both legal) and the partner guide, which says
// that customers spell trait names with differing case.
func appendNormal(dst []byte, s string) []byte {
	for _, r := range s {
		if r == '_' || r == '-' || unicode.IsSpace(r) {
			continue
		}
		if r < utf8.RuneSelf {
			if 'A' <= r && r <= 'Z' {
				r += 'a' - 'A'
			}
			dst = append(dst, byte(r))
			continue
		}
		dst = utf8.AppendRune(dst, unicode.ToLower(r))
	}
	return dst
}

func normal(s string) string { return string(appendNormal(nil, s)) }

// foldChoice is how the values of dropdowns are compared: cleaned and without case.
func foldChoice(s string) string { return strings.ToLower(clean(s)) }

// maxTraitName is how many characters of a trait's name are reported: a key may be any text, also a whole document.
const maxTraitName = 100

func shortName(s string) string {
	if len(s) <= maxTraitName {
		return s
	}
	n := 0
	for i := range s {
		if n == maxTraitName {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

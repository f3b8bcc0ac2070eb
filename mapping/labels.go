package mapping

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// clean trims a label or trait key, collapses the spaces inside it and composes its accents (é is one character or
// two, and nobody sees which). Real accounts have labels with trailing spaces.
// Source: Freshworks CRM API reference, "Field metadata".
func clean(s string) string {
	if isClean(s) {
		return s
	}
	return norm.NFC.String(strings.Join(strings.Fields(s), " "))
}

func isClean(s string) bool {
	space := true // a leading space is one too many
	for _, r := range s {
		if r >= utf8.RuneSelf {
			return false
		}
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

// appendNormal appends s as it is compared in normalised matching: without case, spaces, '_' and '-'. camelCase needs
// no rule of its own, its words differ from the label's by case and spaces only.
// Source: Segment docs, Spec: Identify (camelCase and snake_case are both legal) and the partner guide, which says
// that customers spell trait names with differing case.
func appendNormal(dst []byte, s string) []byte {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			s = fold(s)
			break
		}
	}
	for _, r := range s {
		if r == '_' || r == '-' || unicode.IsSpace(r) {
			continue
		}
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

func normal(s string) string { return string(appendNormal(nil, s)) }

// fold takes the case out of a text by Unicode's full case folding: ß is ss, and Σ, σ and ς are one.
// Source: Unicode Standard, 3.13, "Default Case Folding".
func fold(s string) string { return norm.NFC.String(cases.Fold().String(norm.NFC.String(s))) }

// foldChoice is how the values of dropdowns are compared: cleaned and without case.
func foldChoice(s string) string { return fold(clean(s)) }

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

package mapping

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lengths in characters. Source: Freshworks CRM API reference, "Value formats and limits on write" (255 is seen for
// names and inferred for the others; 8000 is said by one client).
const (
	maxText     = 255
	maxTextarea = 8000
	maxEmail    = 254 // bytes; RFC 5321, 4.5.3.1.3
)

// stripNUL removes the one character of JSON strings that databases refuse.
func stripNUL(s string) string { return strings.ReplaceAll(s, "\x00", "") }

func isSpace(r rune) bool { return unicode.IsSpace(r) }

// toText accepts every scalar. Characters stay as they came; nothing is trimmed.
func toText(v any, limit int) (any, Reason) {
	s, ok := text(v)
	if !ok || len(s) > limit && utf8.RuneCountInString(s) > limit {
		return nil, ReasonTooLong
	}
	if _, same := v.(string); same {
		return v, ""
	}
	return s, ""
}

// text writes a scalar as text: numbers with the digits they came with, but whole numbers without exponent or ".0".
// It is false for a number too long to be anybody's text.
func text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		if whole, ok := plainInteger(v.String()); ok {
			return whole, true
		}
		return v.String(), len(v) <= maxDigits
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", true
}

// toEmail trims, and refuses what is no address in the form local@domain.tld: the API would refuse the whole contact for it.
// Case is kept, the part before the @ may depend on it.
// Source: Freshworks CRM API reference, "Value formats and limits on write"; what exactly is checked there is not known.
func toEmail(v any) (any, Reason) {
	s, ok := v.(string)
	if !ok {
		return nil, ReasonNotEmail
	}
	trimmed := strings.TrimSpace(s)
	if len(trimmed) < len(s) {
		v, s = trimmed, trimmed
	}
	if s == "" {
		return nil, ""
	}
	local, domain, ok := strings.Cut(s, "@")
	if !ok || len(s) > maxEmail || !dotted(local) || !dotted(domain) || !strings.Contains(domain, ".") {
		return nil, ReasonNotEmail
	}
	if strings.ContainsFunc(s, notInAddress) || strings.Contains(domain, "@") {
		return nil, ReasonNotEmail
	}
	return v, ""
}

// dotted reports whether there is something before, between and after the dots.
func dotted(s string) bool {
	return s != "" && s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
}

func notInAddress(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError || strings.ContainsRune(`"(),:;<>[]\`, r)
}

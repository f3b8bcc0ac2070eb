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

// toEmail trims, and refuses what cannot be an address. The rest is the API's to judge; case is kept, the part before
// the @ may depend on it.
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
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || at == len(s)-1 || len(s) > maxEmail {
		return nil, ReasonNotEmail
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return nil, ReasonNotEmail
	}
	return v, ""
}

package segment

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxIDDigits bounds the digits that a number with an exponent may be written out to as an id; 1e999999999 must not
// become a gigabyte of zeros.
const maxIDDigits = 40

// ID reads a value as an identifier: userId, messageId and the like. null, blank strings and anything that is
// neither string nor number are absent and give "". A string stays as it is, with spaces and case. A number becomes
// the digits it was written with; one that is integral loses ".0" and exponent, so that 480017, 480017.0 and
// 4.80017e5 are the same user.
func ID(raw []byte) string {
	switch {
	case len(raw) == 0:
		return ""
	case raw[0] == '"':
		s, ok := unquote(raw)
		if !ok || strings.TrimSpace(s) == "" {
			return ""
		}
		return s
	case raw[0] == '-' || isDigit(raw[0]):
		if Validate(raw) != nil {
			return ""
		}
		return canonicalNumber(string(raw))
	default:
		return ""
	}
}

// Text reads a value as a string; numbers keep their lexeme and anything else gives "". For fields that are not
// identifiers, such as sentAt.
func Text(raw []byte) string {
	switch {
	case len(raw) == 0:
		return ""
	case raw[0] == '"':
		s, _ := unquote(raw)
		return s
	case raw[0] == '-' || isDigit(raw[0]):
		return string(raw)
	default:
		return ""
	}
}

// canonicalNumber writes an integral number without fraction and exponent, and leaves others as they are.
func canonicalNumber(lexeme string) string {
	digits, negative := strings.CutPrefix(lexeme, "-")
	mantissa, exponent, hasExponent := cutExponent(digits)
	whole, fraction, _ := strings.Cut(mantissa, ".")
	shift := 0
	if hasExponent {
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil || shift > maxIDDigits || shift < -maxIDDigits {
			return lexeme
		}
	}
	point := len(whole) + shift // where the decimal point stands in all
	all := whole + fraction
	if point < 0 || strings.Trim(all[min(point, len(all)):], "0") != "" {
		return lexeme
	}
	integer := all[:min(point, len(all))] + strings.Repeat("0", max(point-len(all), 0))
	integer = strings.TrimLeft(integer, "0")
	switch {
	case integer == "":
		return "0"
	case negative:
		return "-" + integer
	default:
		return integer
	}
}

func cutExponent(s string) (mantissa, exponent string, found bool) {
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// decodeValue reads any JSON value as described at Trait.
func decodeValue(raw []byte) (any, error) {
	switch {
	case len(raw) == 0:
		return nil, &SyntaxError{}
	case raw[0] == '"':
		if s, ok := unquote(raw); ok {
			return s, nil
		}
		return nil, &SyntaxError{}
	case raw[0] == '{' || raw[0] == '[':
		return decodeComposite(raw)
	}
	switch string(raw) {
	case "null":
		return nil, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	if Validate(raw) != nil {
		return nil, &SyntaxError{}
	}
	return json.Number(raw), nil
}

func decodeComposite(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		// The decoder's own text can quote what it read.
		return nil, fmt.Errorf("nested value: %w", &SyntaxError{Offset: d.InputOffset()})
	}
	return v, nil
}

// unquote reads a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD.
func unquote(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return "", false
	}
	inner := raw[1 : len(raw)-1]
	if isPlain(inner) {
		return string(inner), true
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", false
	}
	return s, true
}

// isPlain says that a string's bytes mean themselves.
func isPlain(b []byte) bool { return plainEnd(b, 0) == len(b) && utf8.Valid(b) }

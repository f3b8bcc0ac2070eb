package mapping

import (
	"encoding/json"
	"strconv"
	"strings"
)

// maxDigits bounds how long a number may become when its exponent is written out: "1e999999999" is ten bytes.
const maxDigits = 400

// toNumber accepts numbers and strings that are one, keeping the digits.
func toNumber(v any) (any, Reason) {
	var s string
	switch v := v.(type) {
	case json.Number:
		s = v.String()
	case string:
		s = numericString(v)
	}
	n, ok := number(s)
	if !ok {
		return nil, ReasonNotNumber
	}
	if as, same := v.(json.Number); same && string(as) == n {
		return v, "" // putting it into an interface anew allocates
	}
	return json.Number(n), ""
}

// numericString brings what people write for numbers into JSON's form: no spaces around, no plus, no leading zeros.
func numericString(s string) string {
	s = strings.TrimPrefix(strings.TrimSpace(s), "+")
	sign := ""
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		sign, s = "-", rest
	}
	for len(s) > 1 && s[0] == '0' && isDigit(s[1]) {
		s = s[1:]
	}
	return sign + s
}

// number checks that s is a JSON number in the range of a float64 and writes whole numbers plainly.
func number(s string) (string, bool) {
	if _, _, _, ok := scanNumber(s); !ok || len(s) > maxDigits {
		return "", false
	}
	if _, err := strconv.ParseFloat(s, 64); err != nil {
		return "", false
	}
	if whole, ok := plainInteger(s); ok {
		return whole, true
	}
	return s, true
}

// plainInteger writes a JSON number without fraction and exponent if its value is whole and not absurdly long.
func plainInteger(s string) (string, bool) {
	whole, frac, exp, ok := scanNumber(s)
	if !ok {
		return "", false
	}
	if frac == "" && exp == 0 {
		return s, s != "-0"
	}
	sign := ""
	if rest, neg := strings.CutPrefix(whole, "-"); neg {
		sign, whole = "-", rest
	}
	digits := whole + frac
	point := len(whole) + exp // digits before the point once the exponent is applied
	digits = strings.TrimRight(digits, "0")
	if strings.TrimLeft(digits, "0") == "" {
		return "0", true
	}
	if len(digits) > point || point > maxDigits {
		return "", false
	}
	digits += strings.Repeat("0", point-len(digits))
	return sign + strings.TrimLeft(digits, "0"), true
}

// scanNumber takes a number apart by JSON's grammar. An exponent beyond the range of any number is cut to ±1,000,000.
func scanNumber(s string) (whole, frac string, exp int, ok bool) {
	rest := strings.TrimPrefix(s, "-")
	n := countDigits(rest)
	if n == 0 || n > 1 && rest[0] == '0' {
		return "", "", 0, false
	}
	whole, rest = s[:len(s)-len(rest)+n], rest[n:]
	if strings.HasPrefix(rest, ".") {
		n = countDigits(rest[1:])
		if n == 0 {
			return "", "", 0, false
		}
		frac, rest = rest[1:1+n], rest[1+n:]
	}
	if rest == "" {
		return whole, frac, 0, true
	}
	exp, ok = scanExponent(rest)
	return whole, frac, exp, ok
}

func scanExponent(s string) (int, bool) {
	if s[0] != 'e' && s[0] != 'E' {
		return 0, false
	}
	s = s[1:]
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	if s == "" || countDigits(s) != len(s) {
		return 0, false
	}
	exp := 0
	for i := range len(s) {
		exp = min(exp*10+int(s[i]-'0'), 1_000_000)
	}
	if negative {
		exp = -exp
	}
	return exp, true
}

func countDigits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// toCheckbox accepts booleans and the words and numbers that stand for them. Journeys send the string "true".
// Source: Segment docs, Engage, "Using Engage data".
func toCheckbox(v any) (any, Reason) {
	switch v := v.(type) {
	case bool:
		return v, ""
	case json.Number:
		switch s, _ := plainInteger(v.String()); s {
		case "1":
			return true, ""
		case "0":
			return false, ""
		}
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true", "1", "yes":
			return true, ""
		case "false", "0", "no":
			return false, ""
		}
	}
	return nil, ReasonNotCheckbox
}

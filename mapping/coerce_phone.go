package mapping

import "strings"

// minPhoneDigits is what the shortest number that can be dialled has. Text with fewer is no number, and an account may
// refuse the whole contact for it.
// Source: Freshworks CRM API reference, "Value formats and limits on write" (junk is taken or refused).
const minPhoneDigits = 3

// toPhone leaves a number as it was written: the API takes away what it does not want.
func toPhone(v any) (any, Reason) {
	out, reason := toText(v, maxText)
	if reason != "" {
		return nil, reason
	}
	s, ok := out.(string)
	digits := 0
	for i := range len(s) {
		if isDigit(s[i]) {
			digits++
		}
	}
	if _, flag := v.(bool); !ok || flag || digits < minPhoneDigits || strings.ContainsAny(s, "@<>{}\n") {
		return nil, ReasonNotPhone
	}
	return out, ""
}

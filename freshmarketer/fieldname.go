package freshmarketer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// fieldNamedIn guesses which sent field a redacted text is about: "MobileNumber is not unique", "Invalid contact status
// provided.", "[email] already exists.", "Plan tier is not in required length". Texts call a field by its API name in
// words or by its label, in the language the account's people gave it. The longest name wins, so that "work email" is
// not taken for "email".
func (s sent) fieldNamedIn(text string, labels map[string]string) string {
	said := inWords(text)
	best, bestLength := "", 0
	for _, name := range s.fields {
		for _, called := range []string{strings.TrimSuffix(strings.TrimPrefix(name, "cf_"), "_id"), labels[name]} {
			words := inWords(called)
			if utf8.RuneCountInString(words) >= minValue && len(words) > bestLength && strings.Contains(said, words) {
				best, bestLength = name, len(words)
			}
		}
	}
	return best
}

// inWords is the text in small letters, its words between single spaces, also at the ends. "MobileNumber" is two words;
// an "email address" and an "e-mail" are an email, because there is a field called address too.
func inWords(text string) string {
	var b strings.Builder
	b.WriteByte(' ')
	last := ' '
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
			r = ' '
		}
		if unicode.IsUpper(r) && unicode.IsLower(last) || r == ' ' && last != ' ' {
			b.WriteByte(' ')
		}
		if r != ' ' {
			b.WriteRune(unicode.ToLower(r))
		}
		last = r
	}
	if last != ' ' {
		b.WriteByte(' ')
	}
	return strings.NewReplacer(" e mail ", " email ", " email address ", " email ", " email addresses ", " email ", " emails ", " email ").Replace(b.String())
}

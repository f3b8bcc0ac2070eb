package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxTextLength in characters. Source: seen live (a first name of 100 is taken, one of 300 refused; an account name of
// 255 is taken, one of 256 refused), here for all text fields.
const maxTextLength = 255

// setStandard takes the built-in fields. Keys that are no fields, and derived fields, are ignored; what is not sent
// stays as it is; null and "" empty.
func (s *Sandbox) setStandard(c *contact, in map[string]any) []string {
	var problems []string
	for _, f := range s.fields.standard {
		v, given := in[f.name]
		if !given || f.write == writeNothing || f.write == writeEmails || f.write == writeLinks {
			continue
		}
		if f.write == writeTags {
			list, ok := tagList(v)
			if !ok {
				problems = append(problems, s.say(invalidAttributes))
				continue
			}
			c.Tags = list // a write replaces them all (seen in client code)
			continue
		}
		stored, problem := s.standardValue(f, v)
		if problem != "" {
			problems = append(problems, problem)
			continue
		}
		c.set(f.name, stored)
	}
	return problems
}

// standardValue is the value as it is stored, nil to empty the field, or what is wrong with it.
func (s *Sandbox) standardValue(f standardField, v any) (stored any, problem string) {
	if v == nil || v == "" {
		return nil, ""
	}
	switch f.write {
	case writeID:
		id, ok := f.choiceID(v)
		if !ok {
			return nil, s.say(invalidChoice, f.spoken())
		}
		return id, ""
	case writeIDs:
		ids, ok := f.choiceIDs(v)
		if !ok {
			return nil, s.say(invalidChoice, f.spoken())
		}
		return ids, ""
	case writeNumber:
		n, ok := asNumber(v)
		if !ok {
			return nil, s.say(badFormat, f.label)
		}
		return n, ""
	}
	value, ok := asText(v)
	switch {
	case !ok:
		return nil, s.say(invalidAttributes)
	case f.write == writeZone && !f.hasChoice(value):
		return nil, s.say(badTimeZone)
	case utf8.RuneCountInString(value) > maxTextLength:
		return nil, s.say(badLength, f.label)
	case f.write == writeWebsite && (!strings.Contains(value, ".") || strings.ContainsAny(value, " \t\n")):
		return nil, s.say(badFormat, strings.ToLower(f.label)) // what exactly is accepted is not known
	case f.write == writePhone:
		return withoutSeparators(value), ""
	}
	return value, ""
}

// spoken is what error texts call a field with choices: "Invalid contact status provided." (seen live).
func (f standardField) spoken() string {
	return strings.ReplaceAll(strings.TrimSuffix(f.name, "_id"), "_", " ")
}

// asText is how a scalar looks as text. A list or an object is no text.
func asText(v any) (string, bool) {
	switch v.(type) {
	case string, json.Number, bool:
		return fmt.Sprint(v), true
	}
	return "", false
}

func tagList(v any) ([]string, bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case string:
		return splitList(v, ","), true
	case []any:
		var list []string
		for _, item := range v {
			tag, ok := asText(item)
			if !ok {
				return nil, false
			}
			if !slices.Contains(list, tag) {
				list = append(list, tag)
			}
		}
		return list, true
	}
	return nil, false
}

// choiceIDs accepts ids joined by ";" or as a list, each of them one of the choices.
func (f standardField) choiceIDs(v any) (string, bool) {
	ids, ok := listOf(v)
	for _, id := range ids {
		if _, known := f.choiceID(id); !known {
			return "", false
		}
	}
	return strings.Join(ids, ";"), ok
}

func (f standardField) hasChoice(id string) bool {
	return slices.ContainsFunc(f.choices, func(c choice) bool { return c.ID == id })
}

// listOf reads "A;B", "A" or ["A","B"].
func listOf(v any) ([]string, bool) {
	switch v := v.(type) {
	case string:
		return splitList(v, ";"), true
	case json.Number:
		return []string{v.String()}, true
	case []any:
		var list []string
		for _, item := range v {
			s, ok := asText(item)
			if !ok {
				return nil, false
			}
			list = append(list, s)
		}
		return list, true
	}
	return nil, false
}

func splitList(s, separator string) []string {
	var list []string
	for item := range strings.SplitSeq(s, separator) {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// withoutSeparators stores 1-926-555-9504 as 19265559504 and +14155550102 as it is. Source: both seen in recorded
// answers. Text with letters in it is kept as given: accounts have been seen to take or refuse it.
func withoutSeparators(phone string) string {
	if strings.ContainsFunc(phone, unicode.IsLetter) {
		return phone
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -().\u00a0", r) {
			return -1
		}
		return r
	}, phone)
}

// asNumber takes a number, or text that is one (numeric strings in number fields are seen in client code).
func asNumber(v any) (json.Number, bool) {
	switch v := v.(type) {
	case json.Number:
		return v, true
	case string:
		_, err := strconv.ParseFloat(v, 64)
		return json.Number(v), err == nil && json.Valid([]byte(v))
	}
	return "", false
}

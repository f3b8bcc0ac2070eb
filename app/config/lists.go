package config

import "strings"

// readItems reads a list; one entry may stand alone, and in an environment variable several stand with commas.
func readItems[T any](v any, read func(any) (T, error)) ([]T, error) {
	var items []any
	switch v := v.(type) {
	case []any:
		items = v
	case string:
		for part := range strings.SplitSeq(v, ",") {
			items = append(items, part)
		}
	default:
		return nil, &badValue{"is " + kind(v) + " where a list is needed", "write it like [one, two]"}
	}
	out := make([]T, 0, len(items))
	for _, item := range items {
		s, err := readText(item)
		if err != nil {
			return nil, &badValue{"has an entry that is not text", "put each entry in quotes"}
		}
		if s == "" {
			return nil, &badValue{"has an empty entry", "remove the entry or fill it in"}
		}
		entry, err := read(s)
		if err != nil {
			return nil, err
		}
		out = append(out, entry)
	}
	return out, nil
}

func readSecrets(v any) ([]Secret, error) { return readItems(v, readSecret) }

func readList(v any) ([]string, error) { return readItems(v, readText) }

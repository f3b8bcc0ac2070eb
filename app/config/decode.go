package config

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
)

// decode puts the merged layers into cfg. What does not fit becomes a problem and leaves the default in place, so
// that the other keys can still be judged.
func decode(raw map[string]any, cfg *Config, p *problems) {
	rest := maps.Clone(raw)
	if v, ok := rest["sources"]; ok {
		delete(rest, "sources")
		cfg.Sources = decodeSources(v, p)
	}
	walk(p, topKeys(), cfg, "", "", rest)
}

func decodeSources(v any, p *problems) []Source {
	byNumber, ok := v.(map[string]any)
	for name := range byNumber {
		if _, err := strconv.Atoi(name); err != nil { // sources: {website: …}
			ok = false
		}
	}
	if !ok {
		if v != nil {
			p.add("sources", "", "is "+kind(v)+" where a list is needed", "write each source as an entry: - name: website")
		}
		return nil
	}
	numbers := slices.SortedFunc(maps.Keys(byNumber), func(a, b string) int {
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		return cmp.Compare(x, y)
	})
	sources := make([]Source, 0, len(numbers))
	for i, number := range numbers {
		at := sourceAt(i)
		m, ok := byNumber[number].(map[string]any)
		if !ok {
			p.add(at, "", "is not a group of keys", "write it like {name: website, write_keys: [wk_…]}")
			continue
		}
		if number != strconv.Itoa(i) {
			p.add(at, "", "has number "+number+", but is number "+strconv.Itoa(i)+" of the list",
				"count sources from 0 and without gaps in FRESHRELAY_SOURCES_<n>_…")
			continue
		}
		var s Source
		walk(p, sourceKeys(), &s, at+".", "", m)
		sources = append(sources, s)
	}
	return sources
}

// sourceAt names the source with this number in messages.
func sourceAt(i int) string { return "sources[" + strconv.Itoa(i) + "]" }

// walk goes through one group of keys: at is how the group is shown, within where it is in the list of keys.
func walk[T any](p *problems, keys []key[T], into *T, at, within string, m map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		v, full, shown := m[name], within+name, at+name
		if i := slices.IndexFunc(keys, func(k key[T]) bool { return k.name == full }); i >= 0 {
			setKey(p, keys[i], into, shown, v)
			continue
		}
		isGroup := slices.ContainsFunc(keys, func(k key[T]) bool { return strings.HasPrefix(k.name, full+".") })
		if !isGroup {
			// The value stays out of the message: behind a misspelt key may stand a secret.
			p.add(shown, "", "unknown key", suggestion(at, full, names(keys)))
			continue
		}
		switch v := v.(type) {
		case nil: // `admin:` with nothing below it
		case map[string]any:
			walk(p, keys, into, shown+".", full+".", v)
		default:
			p.add(shown, "", "is "+kind(v)+" where a group of keys is needed", "write the keys below it, each on its own line")
		}
	}
}

// setKey sets one key. An empty value in the file (`domain:`) is no value: the default stays.
func setKey[T any](p *problems, k key[T], into *T, shown string, v any) {
	if v == nil {
		return
	}
	err := k.set(into, v)
	if err == nil {
		return
	}
	value := quoted(v)
	if k.secret {
		value = hidden
	}
	bad, ok := errors.AsType[*badValue](err)
	if !ok {
		bad = &badValue{what: "cannot be read", mend: "see the documentation of this key"}
	}
	p.add(shown, value, bad.what, bad.mend)
}

func names[T any](keys []key[T]) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.name
	}
	return out
}

// suggestion says which known key an unknown one probably stands for.
func suggestion(at, unknown string, known []string) string {
	if strings.HasPrefix(at, "sources[") {
		return "did you mean " + at + nearest(unknown, known) + "?"
	}
	best := nearest(unknown, append(groups(known), known...))
	// Nothing is near: a key of a later version, or of another program. A wild guess would only mislead.
	if group, name, ok := strings.Cut(unknown, "."); ok && distance(unknown, best) > len(name)/2 {
		inGroup := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return !strings.HasPrefix(k, group+".") })
		return "these are known: " + strings.Join(inGroup, ", ")
	}
	return "did you mean " + best + "?"
}

// groups returns the first parts of dotted keys.
func groups(keys []string) []string {
	out := []string{"sources"}
	for _, k := range keys {
		if group, _, ok := strings.Cut(k, "."); ok && !slices.Contains(out, group) {
			out = append(out, group)
		}
	}
	return out
}

// nearest returns the known key with the fewest letters to change.
func nearest(unknown string, known []string) string {
	return slices.MinFunc(known, func(a, b string) int { return cmp.Compare(distance(unknown, a), distance(unknown, b)) })
}

// distance is how many letters are between an unknown key and a known one. A key in the wrong group counts by its own
// name: api_key at the top is nearer to freshmarketer.api_key than to anything of its length.
func distance(unknown, known string) int {
	unknown = strings.ToLower(unknown)
	if strings.HasPrefix(known, unknown) && strings.Contains(unknown, ".") { // tls.cert begins tls.cert_file
		return 1
	}
	d := levenshtein.ComputeDistance(unknown, known)
	return min(d, levenshtein.ComputeDistance(last(unknown), last(known))+1)
}

func last(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

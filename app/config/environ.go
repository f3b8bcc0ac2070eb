package config

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

const envPrefix = "FRESHRELAY_"

// envNames returns the key for every environment variable that does not belong to a source:
// FRESHRELAY_RETRY_MAX_AGE → retry.max_age. The list is made from the keys, because the name alone does not say which
// underscores are dots.
func envNames() map[string]string {
	out := make(map[string]string)
	for _, k := range topKeys() {
		out[envName(k.name)] = k.name
	}
	return out
}

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// envKey returns the key that a variable sets, as messages show it.
func envKey(name string, known map[string]string) (string, bool) {
	if key, ok := known[name]; ok {
		return key, true
	}
	m := regexp.MustCompile(`^` + envPrefix + `SOURCES_(\d{1,3})_([A-Z_]+)$`).FindStringSubmatch(name)
	if m == nil {
		return "", false
	}
	for _, own := range names(sourceKeys()) {
		if envName(own) == envPrefix+m[2] {
			return "sources[" + m[1] + "]." + own, true
		}
	}
	return "", false
}

// envPath turns sources[0].name into sources.0.name, the path in the merged layers.
func envPath(key string) string {
	return strings.NewReplacer("[", ".", "]", "").Replace(key)
}

// foreignEnv reports variables that carry our prefix and are not ours: the way to the file, which was read before,
// and what Kubernetes sets in every pod for a Service called freshrelay.
// Source: Kubernetes docs, Service, "Environment variables".
func foreignEnv(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "CONFIG" || rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_")
}

func nearestEnv(name string, known map[string]string) string {
	candidates := slices.Sorted(maps.Keys(known))
	for _, k := range sourceKeys() {
		candidates = append(candidates, envName("sources.0."+k.name))
	}
	return slices.MinFunc(candidates, func(a, b string) int {
		return cmp.Compare(levenshtein.ComputeDistance(name, a), levenshtein.ComputeDistance(name, b))
	})
}

// lookup returns the value of a variable, "" if it is not set. As everywhere in environments, the last one wins.
func lookup(environ []string, name string) string {
	value := ""
	for _, entry := range environ {
		if k, v, ok := strings.Cut(entry, "="); ok && k == name {
			value = v
		}
	}
	return value
}

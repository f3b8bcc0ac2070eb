package ingest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
)

// plausibleHost is what a Host header can hold if it is honest: a name or address with or without a port.
var plausibleHost = regexp.MustCompile(`^([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$`)

// settingsKey is the write key in the path of the settings route, projects/<writeKey>/settings.
func settingsKey(path string) (key string, ok bool) {
	key, ok = strings.CutPrefix(path, "projects/")
	if !ok {
		return "", false
	}
	key, ok = strings.CutSuffix(key, "/settings")
	return key, ok && key != "" && !strings.Contains(key, "/")
}

// settings tells a client library where to send. swift, kotlin and react-native take the host from here rather than from
// their own configuration, so it must be ours: otherwise their events go to Segment. A page of analytics.js does not load
// at all without the answer.
// Source: seen in client code; this is the least with which they all worked.
func (h *Handler) settings(w http.ResponseWriter, r *http.Request, key string) *refusal {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return wrongMethod("GET, HEAD, OPTIONS")
	}
	if _, no := h.keySource(key); no != nil {
		return no
	}
	protocol, host, no := h.address(r)
	if no != nil {
		return no
	}
	type object = map[string]any
	enabled := object{"__default": object{"enabled": true}}
	// Maps of strings, bools and numbers always marshal.
	body, _ := json.Marshal(object{
		"integrations": object{"Segment.io": object{
			"apiKey": key, "apiHost": host, "protocol": protocol, "unbundledIntegrations": []string{},
		}},
		"plan": object{
			"track":    object{"__default": object{"enabled": true, "integrations": object{}}},
			"identify": enabled,
			"group":    enabled,
		},
		"metrics":                   object{"sampleRate": 0}, // no /v1/m
		"middlewareSettings":        object{},
		"enabledMiddleware":         object{},
		"remotePlugins":             []string{},
		"analyticsNextEnabled":      true,
		"legacyVideoPluginsEnabled": false,
	})
	// What depends on the Host must not be kept for somebody who used another one.
	w.Header().Set("Cache-Control", "no-store")
	answer(w, http.StatusOK, body)
	return nil
}

// address is our protocol, and our host with the path before the calls, as clients want them.
func (h *Handler) address(r *http.Request) (protocol, host string, no *refusal) {
	if u := h.publicURL; u != nil {
		return u.Scheme, u.Host + strings.TrimRight(u.Path, "/") + "/v1", nil
	}
	if !plausibleHost.MatchString(r.Host) {
		return "", "", invalid("bad_host", "The Host header is not a host. Send a request to the address that clients are to use, or set public_url.")
	}
	protocol = "http"
	if r.TLS != nil {
		protocol = "https"
	}
	return protocol, r.Host + "/v1", nil
}

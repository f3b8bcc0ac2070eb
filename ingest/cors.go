package ingest

import (
	"net/http"
	"slices"
	"strings"
)

// Bounds of what a browser's request can make us repeat.
const (
	maxOrigin        = 512
	maxAllowedNames  = 32
	maxAllowedName   = 64
	preflightMaxAge  = "86400"
	allowedMethods   = "GET, POST, OPTIONS"
	allowedByDefault = "authorization, content-type, x-retry-count" // seen in the traffic of analytics.js
)

// allowOrigin lets pages of any origin read the answer, errors included: a browser shows a page neither the status nor
// the Retry-After of an answer that does not allow it. Where the origin is known it is repeated, because a sender that
// includes credentials may not be answered with *. That gives nothing away: we set no cookie and read none, and no
// answer to a POST says more than what became of it.
// Source: Fetch standard, "CORS protocol"; the need is seen in the traffic of analytics.js.
func allowOrigin(answer, request http.Header) {
	origin := request.Get("Origin")
	answer.Add("Vary", "Origin")
	if origin == "" || len(origin) > maxOrigin || !isVisible(origin) {
		answer.Set("Access-Control-Allow-Origin", "*")
	} else {
		answer.Set("Access-Control-Allow-Origin", origin)
		answer.Set("Access-Control-Allow-Credentials", "true")
	}
	answer.Set("Access-Control-Expose-Headers", "Retry-After")
}

// preflight answers a browser that asks before it sends. Any method and header may be asked for; the request itself
// is judged when it comes.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", allowedMethods)
	h.Set("Access-Control-Allow-Headers", allowedHeaders(r.Header.Values("Access-Control-Request-Headers")))
	h.Set("Access-Control-Max-Age", preflightMaxAge)
	w.WriteHeader(http.StatusNoContent)
}

// allowedHeaders is what clients send, and what this one asks for besides: pages add headers of their own. Only what can
// be a header's name is repeated.
func allowedHeaders(requested []string) string {
	names := strings.Split(allowedByDefault, ", ")
	for _, list := range requested {
		for name := range strings.SplitSeq(list, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if len(names) == maxAllowedNames {
				return strings.Join(names, ", ")
			}
			if isToken(name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, ", ")
}

// isToken says whether s can be a header's name. Source: RFC 9110, "Tokens".
func isToken(s string) bool {
	if s == "" || len(s) > maxAllowedName {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return true
}

// isVisible says whether s consists of ASCII that is seen and is not a blank.
func isVisible(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

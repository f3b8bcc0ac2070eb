package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// closed answers only to callers that know the token.
func (s *server) closed(h handler) http.Handler {
	return s.open(func(w http.ResponseWriter, r *http.Request) error {
		if !s.knows(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="freshrelay"`)
			return &problem{
				http.StatusUnauthorized, "this needs the admin token",
				"send it as Authorization: Bearer …; it is in admin.token in the service's data directory (or in admin.token_file)",
			}
		}
		return h(w, r)
	})
}

// knows compares digests, so that neither the content nor the length of the token shows in the time it takes.
func (s *server) knows(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	given := digest(strings.TrimSpace(token))
	same := subtle.ConstantTimeCompare(given[:], s.token[:]) == 1
	return same && strings.EqualFold(scheme, "Bearer") && s.Token != ""
}

func digest(token string) [32]byte { return sha256.Sum256([]byte(token)) }

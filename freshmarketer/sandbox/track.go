package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const trackPrefix = "/track/"

// DefaultApplicationToken is what calls below /track/ have to carry: not the API key but that of "Freshsales for Web".
const DefaultApplicationToken = "sandbox-application-token" //nolint:gosec // of a sandbox, and no secret

// Operations below /track/.
const (
	OpTrackVisitor  = "track_visitor"
	OpTrackEvent    = "track_event"
	OpTrackPageView = "track_page_view"
)

// trackRoutes are the three calls of the vendor's server libraries, and where each has its object.
// Source: the vendor's libraries for Ruby and other client code.
var trackRoutes = map[string]struct{ op, key string }{ //nolint:gochecknoglobals // a table nobody writes to
	"visitors":   {OpTrackVisitor, "visitor"},
	"events":     {OpTrackEvent, "event"},
	"page_views": {OpTrackPageView, "page_view"},
}

// trackSDKs are the libraries that are known to be known: any other is refused (seen in client code, which therefore says "ruby").
var trackSDKs = []string{"ruby", "python"} //nolint:gochecknoglobals // a table nobody writes to

// Tracked is a call below /track/ that the sandbox took. It makes no contact (what the real one makes of it is not known).
type Tracked struct {
	N          int64          `json:"n"` // of the Call
	At         time.Time      `json:"at"`
	Operation  string         `json:"operation"`
	Identifier string         `json:"identifier"` // a userId or an address
	Fields     map[string]any `json:"fields"`     // the visitor by field label, the event with its name, or the page with its url
}

// track takes {"application_token","sdk","identifier","visitor"|"event"|"page_view":{…}}. Success is exactly 200. What each
// needs is from the libraries' specifications: an identifier, the event its name, the page its url. The answers to what is
// missing, 401 for the token and 400 else, are inferred. The API's quota does not count these calls (inferred: its limits are
// those of the API).
func (s *Sandbox) track(rq request) answer {
	whole, err := s.decodeObject(rq)
	if err != nil {
		return s.refuse(http.StatusBadRequest, err.Error())
	}
	if whole["application_token"] != DefaultApplicationToken {
		return s.refuse(http.StatusUnauthorized, s.say(badKey))
	}
	sdk, _ := whole["sdk"].(string)
	identifier := fmt.Sprint(whole["identifier"])
	fields, ok := whole[trackRoutes[rq.id].key].(map[string]any)
	needs := map[string]string{OpTrackEvent: "name", OpTrackPageView: "url"}[rq.op]
	if text, _ := fields[needs].(string); needs != "" && strings.TrimSpace(text) == "" {
		ok = false
	}
	if !ok || !slices.Contains(trackSDKs, sdk) || whole["identifier"] == nil || strings.TrimSpace(identifier) == "" {
		return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
	}
	s.tracked = append(s.tracked, Tracked{N: rq.n, At: rq.at, Operation: rq.op, Identifier: identifier, Fields: fields})
	return answer{status: http.StatusOK, body: map[string]any{}, effect: true}
}

// Tracked returns the calls below /track/ that were taken, oldest first.
func (s *Sandbox) Tracked() []Tracked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tracked)
}

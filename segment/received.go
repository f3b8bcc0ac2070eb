package segment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// version of the stored form. A change that older programs would misread counts it up.
const version = 1

// Errors of Decode. Callers match them with errors.Is.
var (
	// ErrCorrupt says that bytes are not a stored call.
	ErrCorrupt = errors.New("not a stored call")
	// ErrVersion says that the call was stored by a newer program.
	ErrVersion = errors.New("stored by a newer version of freshrelay")
)

// Received is one call as it is stored: what was known at the door, and the call's own bytes.
type Received struct {
	Source    string    // name of the configured source
	Surface   Surface   // the way it came in
	At        time.Time // arrival at our door, UTC
	SentAt    string    // as sent, the call's own or else its batch's; "" if neither says it
	Type      Type      // the path's where the path says it, else the call's own
	MessageID string    // the call's own, or one made at the door
	UserID    string    // "" when absent; not stored twice, Decode reads it from Body
	// Addressed says that the call's integrations object names this source's own webhook; see the function Addressed.
	Addressed bool

	// Body is the call's JSON object: the original bytes, but without writeKey, with what its batch shares
	// merged in and with the type of its path.
	Body []byte
}

// header is the first line of the stored form. Keys are part of the format.
type header struct {
	Version   int     `json:"v"`
	Source    string  `json:"src"`
	Surface   Surface `json:"surface"`
	At        string  `json:"at"`
	SentAt    string  `json:"sent_at,omitempty"`
	Type      Type    `json:"type"`
	MessageID string  `json:"id"`
	Addressed bool    `json:"addressed,omitempty"`
}

// Encode returns the stored form: a line of JSON with what was known at the door, then Body as it is.
func (r Received) Encode() []byte { return r.AppendTo(make([]byte, 0, r.Size())) }

// Size is about how many bytes the stored form has: never less than it needs, but for strings with escapes.
func (r Received) Size() int {
	// Beside its strings the line holds at most 140 bytes.
	return 140 + len(r.Source) + len(r.Surface) + len(r.SentAt) + len(r.Type) + len(r.MessageID) + len(r.Body)
}

// AppendTo appends the stored form to b.
func (r Received) AppendTo(b []byte) []byte {
	// What json.Marshal would write, for a fraction of the door's time.
	b = strconv.AppendInt(append(b, `{"v":`...), version, 10)
	b = appendQuoted(append(b, `,"src":`...), r.Source)
	b = appendQuoted(append(b, `,"surface":`...), string(r.Surface))
	b = append(b, `,"at":"`...)
	b = append(r.At.UTC().AppendFormat(b, time.RFC3339Nano), '"')
	if r.SentAt != "" {
		b = appendQuoted(append(b, `,"sent_at":`...), r.SentAt)
	}
	b = appendQuoted(append(b, `,"type":`...), string(r.Type))
	b = appendQuoted(append(b, `,"id":`...), r.MessageID)
	if r.Addressed {
		b = append(b, `,"addressed":true`...)
	}
	b = append(b, "}\n"...)
	return append(b, r.Body...)
}

// appendQuoted appends s as a JSON string, never with a newline in it.
func appendQuoted(b []byte, s string) []byte {
	if !plain(s) {
		quoted, _ := json.Marshal(s) // a string always marshals
		return append(b, quoted...)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// plain says that a string stands in JSON as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// Decode reads the stored form. The result's Body is a slice of b. Errors wrap ErrCorrupt or ErrVersion and hold
// nothing of the content. The limits of the door are not applied again: what was stored can be read.
func Decode(b []byte) (Received, error) {
	line, body, found := bytes.Cut(b, []byte{'\n'})
	if !found {
		return Received{}, fmt.Errorf("%w: no header line", ErrCorrupt)
	}
	var h header
	if err := json.Unmarshal(line, &h); err != nil {
		return Received{}, fmt.Errorf("%w: unreadable header", ErrCorrupt)
	}
	if h.Version > version {
		return Received{}, fmt.Errorf("%w: format %d, this program reads up to %d", ErrVersion, h.Version, version)
	}
	at, err := h.check()
	if err != nil {
		return Received{}, err
	}
	o, err := ParseObject(body)
	if err != nil {
		return Received{}, fmt.Errorf("%w: body: %w", ErrCorrupt, err)
	}
	user := "userId"
	if h.Type == Previous {
		user = "previousId"
	}
	return Received{
		Source: h.Source, Surface: h.Surface, At: at, SentAt: h.SentAt, Type: h.Type, MessageID: h.MessageID,
		UserID: ID(o.Get(user)), Addressed: h.Addressed, Body: body,
	}, nil
}

// check tells whether a header says what every stored call must say.
func (h header) check() (at time.Time, err error) {
	at, timeErr := time.Parse(time.RFC3339Nano, h.At)
	known, isType := ParseType(string(h.Type))
	isType = isType && known == h.Type || h.Type == Account || h.Type == Previous
	var what string
	switch {
	case h.Version < 1:
		what = "version"
	case h.Source == "":
		what = "source"
	case h.Surface != SurfaceWebhook && h.Surface != SurfaceTracking:
		what = "surface"
	case timeErr != nil:
		what = "arrival time"
	case !isType:
		what = "type"
	case h.MessageID == "":
		what = "message id"
	default:
		return at.UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%w: header without a valid %s", ErrCorrupt, what)
}

package ingest

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/google/uuid"

	"github.com/freshrelay/freshrelay/segment"
)

// maxSentAt is more than any readable time needs; a longer sentAt is no time and is not kept.
const maxSentAt = 128

// envelope is what a batch shares with its events. A nil envelope shares nothing.
// Source: Segment docs, HTTP Tracking API, "Batch": context and integrations are merged into each event. That an
// event's own values win, and that context is merged deep and integrations flat, is inferred.
type envelope struct {
	context, integrations []byte // nil if the batch has none
	sentAt                string
	keys                  int // of context and integrations
}

// newEnvelope reads what a batch shares. It fails, as segment.Shape.Check does, if that is built too large to be part of
// an event.
func newEnvelope(o *segment.Object) (*envelope, error) {
	e := &envelope{sentAt: sentAt(o)}
	var err error
	if e.context, err = e.part(o, "context"); err != nil {
		return nil, err
	}
	if e.integrations, err = e.part(o, "integrations"); err != nil {
		return nil, err
	}
	return e, nil
}

// part reads one shared object; anything else is no part.
func (e *envelope) part(o *segment.Object, key string) ([]byte, error) {
	raw := o.Get(key)
	if !segment.IsObject(raw) {
		return nil, nil
	}
	shape := segment.Measure(raw)
	e.keys += shape.Keys + 1 // its own key in the event
	// The event around it is one more level.
	return raw, segment.Shape{Depth: shape.Depth + 1, Keys: e.keys}.Check()
}

// size is how many bytes each event can grow by.
func (e *envelope) size() int { return len(e.context) + len(e.integrations) }

// lay puts what the batch shares under an event's own values. It returns a reason if the result is not an event any more.
func (e *envelope) lay(o *segment.Object) (reason string) {
	if e == nil || e.size() == 0 {
		return ""
	}
	if o.Shape().Keys+e.keys > segment.MaxKeys {
		return DropTooComplex
	}
	if !under(o, "context", e.context, true) || !under(o, "integrations", e.integrations, false) {
		return DropNotObject
	}
	return ""
}

func under(o *segment.Object, key string, base []byte, deep bool) bool {
	if base == nil {
		return true
	}
	merged, err := segment.Merge(base, o.Get(key), deep)
	if err != nil {
		return false
	}
	o.Set(key, merged)
	return true
}

// sent is when an event was sent: its own word, or else its batch's.
func (e *envelope) sent(o *segment.Object) string {
	if own := sentAt(o); own != "" || e == nil {
		return own
	}
	return e.sentAt
}

func sentAt(o *segment.Object) string {
	s := segment.Text(o.Get("sentAt"))
	if len(s) > maxSentAt {
		return ""
	}
	return s
}

// messageID is an event's own id, or a random one if it has none. Segment allows 100 characters, but a webhook can be
// mapped to send any string, so longer ones are kept too: cut, two could become equal. One that is longer than the store
// should carry around becomes its digest, and not a random id: when the sender repeats the call, the two must still be
// the same.
// Source: Segment docs, Spec, "Common fields".
func messageID(o *segment.Object) string {
	id := segment.ID(o.Get("messageId"))
	switch {
	case id == "":
		return uuid.NewString()
	case len(id) > segment.MaxMessageIDBytes:
		sum := sha256.Sum256([]byte(id))
		return "sha256-" + hex.EncodeToString(sum[:])
	default:
		return id
	}
}

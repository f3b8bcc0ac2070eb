package ingest

import (
	"time"

	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// Why an event of a request that was answered with 200 is not stored. Each is a reason of the metric for dropped events.
const (
	DropNotForwarded  = "not_forwarded"  // a track or page call that no list of the source names
	DropScreen        = "screen"         // a screen call; Freshmarketer has no use for them
	DropInvalidType   = "invalid_type"   // no type, an unknown one, or one that this surface does not have
	DropNotObject     = "not_an_object"  // a hole in a batch: null, a string, …
	DropTooLarge      = "too_large"      // beyond the size limit of one event, in a batch with others
	DropTooComplex    = "too_complex"    // nested too deep or with too many keys, in a batch with others
	DropBatchOverflow = "batch_overflow" // beyond the number of events that a batch can have
	DropRepeated      = "repeated"       // the same call was acknowledged a moment ago
	DropUnsigned      = "unsigned"       // a delete or alias in a webhook's batch where no signature covers it
)

// DropReasons returns all reasons for which events are dropped at the door.
func DropReasons() []string {
	return []string{
		DropNotForwarded, DropScreen, DropInvalidType, DropNotObject, DropTooLarge, DropTooComplex, DropBatchOverflow,
		DropUnsigned, DropRepeated,
	}
}

// intake gathers the events of one request. Nothing is counted until the request has succeeded: a sender that is told to
// repeat it must not make its dropped events count twice.
type intake struct {
	source   *source
	surface  segment.Surface
	at       time.Time
	maxEvent int // bytes of one event, as sent
	mem      *share

	entries []queue.Entry
	room    []byte // the entries' bytes, side by side

	expected int // bytes that the entries will have, roughly; 0 for a single one
	counts   []count
	events   int  // stored and dropped
	full     bool // an event found no memory any more

	recent *recent
	keys   []uint64 // of the entries, for recent
}

// count is how many events of a type were stored, or dropped for a reason.
type count struct {
	typ    segment.Type // "" if unknown
	reason string       // "" if stored
	n      int
}

// event is one event of a request, before anything is known about it.
type event struct {
	object   *segment.Object // without members if it is something else
	typ      segment.Type    // the path's; "" where the event itself says it
	shared   *envelope       // what its batch shares with it; nil outside batches
	unsigned bool            // part of a signed request, but not covered by the signature
}

func newIntake(v *visit, src *source, surface segment.Surface) *intake {
	in := &v.in
	in.recent = v.recent
	in.source, in.surface, in.at, in.mem, in.maxEvent = src, surface, v.at, v.mem, segment.MaxEventBytes
	if surface == segment.SurfaceWebhook {
		in.maxEvent = segment.MaxWebhookEventBytes
	}
	return in
}

// add takes one event in, or drops it.
func (in *intake) add(ev event) {
	typ, reason := in.take(ev)
	in.count(typ, reason)
}

// refused says why events that were all read well cannot be stored.
func (in *intake) refused() *refusal {
	if in.full {
		return overloaded()
	}
	return in.source.admit(in.events)
}

func (in *intake) count(typ segment.Type, reason string) {
	in.events++
	for i := range in.counts {
		if c := &in.counts[i]; c.typ == typ && c.reason == reason {
			c.n++
			return
		}
	}
	in.counts = append(in.counts, count{typ, reason, 1})
}

// report tells the metrics what became of the events.
func (in *intake) report(m *metrics.Metrics) {
	for _, c := range in.counts {
		m.EventReceived(in.source.name, string(c.typ), c.n)
		if c.reason != "" {
			m.EventSettled(string(c.typ), metrics.OutcomeDropped, c.reason, c.n)
		}
	}
}

// take makes an entry of an event. It returns the event's type as far as it is known, and why it was dropped if it was.
func (in *intake) take(ev event) (segment.Type, string) {
	o := ev.object
	if in.surface == segment.SurfaceWebhook {
		o = unwrappedCall(o)
	}
	if !segment.IsObject(o.Bytes()) {
		return "", DropNotObject
	}
	if len(o.Bytes()) > in.maxEvent {
		return "", DropTooLarge
	}
	if o.Shape().Check() != nil {
		return "", DropTooComplex
	}
	typ, reason := in.judge(o, ev)
	if reason != "" {
		return typ, reason
	}
	// The key is a credential and has no place in the store, nor in a dead letter that somebody exports.
	o.Cut("writeKey")
	if ev.typ != "" && segment.Text(o.Get("type")) != string(ev.typ) {
		o.Set("type", []byte(`"`+ev.typ+`"`))
	}
	if reason := ev.shared.lay(o); reason != "" {
		return typ, reason
	}
	received := segment.Received{
		Source: in.source.name, Surface: in.surface, At: in.at, SentAt: ev.shared.sent(o), Type: typ,
		MessageID: messageID(o), UserID: segment.ID(o.Get("userId")), Body: o.Bytes(),
	}
	if in.surface == segment.SurfaceWebhook {
		received.Addressed = segment.Addressed(o.Get("integrations"), in.source.names)
	}
	// What was merged in can make it larger than a pack of the queue.
	if len(received.Body) > segment.MaxWebhookEventBytes {
		return typ, DropTooLarge
	}
	lane := in.source.lane(received)
	key := in.recent.key(received, lane)
	if in.recent.has(key, in.at) {
		return typ, DropRepeated
	}
	in.keys = append(in.keys, key)
	in.storePrevious(received)
	if !in.storeAccount(received, lane) {
		in.store(received, lane)
	}
	in.storeDeletion(received, lane)
	return typ, ""
}

// store makes an entry of an event that is worth it, if there is memory for it.
func (in *intake) store(r segment.Received, lane string) {
	// What surrounds an event in the store is a few hundred bytes.
	const around = 512
	if in.full = in.full || !in.mem.take(len(r.Body)+around); in.full {
		return
	}
	if size := r.Size(); cap(in.room)-len(in.room) < size {
		in.room = make([]byte, 0, max(size, in.expected)) // what is in the old one stays where it is
	}
	start := len(in.room)
	in.room = r.AppendTo(in.room)
	in.entries = append(in.entries, queue.Entry{UserID: lane, Activity: r.Type.Happens(), Data: in.room[start:len(in.room):len(in.room)]})
}

// judge finds an event's type and says why it is not stored, if it is not.
func (in *intake) judge(o *segment.Object, ev event) (segment.Type, string) {
	typ := ev.typ
	if typ == "" {
		var ok bool
		if typ, ok = segment.ParseType(segment.Text(o.Get("type"))); !ok {
			return "", DropInvalidType
		}
	}
	switch typ {
	case segment.Track, segment.Page:
		if !in.source.forward(typ, typ.Named(o)) {
			return typ, DropNotForwarded
		}
	case segment.Screen:
		return typ, DropScreen
	case segment.Delete:
		// The Tracking API has no such call, and its write key is public in every browser.
		if in.surface == segment.SurfaceTracking {
			return typ, DropInvalidType
		}
		fallthrough
	case segment.Alias:
		if ev.unsigned {
			return typ, DropUnsigned
		}
	case segment.Identify, segment.Group:
	}
	return typ, ""
}

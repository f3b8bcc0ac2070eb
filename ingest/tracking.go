package ingest

import (
	"bytes"
	"errors"
	"net/http"

	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/segment"
)

// slack is how much whitespace may surround a single event; it is not counted as part of it.
const slack = 4 << 10

// maxGrowth bounds what the context and integrations of a batch can add to it when every event gets its copy. Clients
// put some hundred bytes there (seen in the traffic of analytics-go), so 2,500 events grow by well under 2 MB.
const maxGrowth = 8 << 20

// keyMemory is what a key takes when an object is taken to pieces: a segment.Member, and as much again while the list
// of them grows.
const keyMemory = 128

// call is what a path of the Tracking API stands for.
type call struct {
	batch   bool
	ignored bool         // answered and dropped
	typ     segment.Type // of a single call: the path's type wins over the body's
}

// trackingCalls is the table of paths, without version and slashes around it.
// Source: Segment docs, HTTP Tracking API. The short paths are analytics.js's, whose first letters they are, and b also
// that of swift, kotlin and react-native; import is ruby's and java's; m is for the client's own metrics (seen in client
// code).
func trackingCalls() map[string]call {
	calls := map[string]call{"batch": {batch: true}, "import": {batch: true}, "b": {batch: true}, "m": {ignored: true}}
	for _, typ := range []segment.Type{
		segment.Identify, segment.Track, segment.Page, segment.Screen, segment.Group, segment.Alias,
	} {
		calls[string(typ)] = call{typ: typ}
		calls[string(typ[:1])] = call{typ: typ}
	}
	return calls
}

// receiveTracking reads a request of the Tracking API. The write key of the Authorization header goes before the one in
// the body, and is checked before the body is read.
func (h *Handler) receiveTracking(v *visit, c call) (*intake, *refusal) {
	src, no := h.basicSource(v.r.Header)
	if no != nil {
		return nil, no
	}
	if src != nil {
		if no := src.crowded(); no != nil {
			return nil, no
		}
	}
	limit := segment.MaxEventBytes
	if c.batch {
		limit = segment.MaxBatchBytes
	}
	body, no := h.readBody(v, limit+slack, segment.SurfaceTracking)
	if no != nil {
		return nil, no
	}
	body = segment.Trim(body)
	if len(body) > limit {
		return nil, tooLarge(segment.SurfaceTracking, limit)
	}
	// Nothing has counted the keys yet, and taken to pieces a key takes more room than it took in the body.
	pieces := bytes.Count(body, []byte{':'}) * keyMemory
	if !v.mem.take(pieces) {
		if err := segment.Validate(body); err != nil {
			return nil, malformed(err) // what can never be stored need not come again
		}
		return nil, overloaded()
	}
	defer v.mem.give(pieces)
	if c.batch {
		return h.receiveBatch(v, src, body)
	}
	return h.receiveSingle(v, src, c, body)
}

func (h *Handler) receiveSingle(v *visit, src *source, c call, body []byte) (*intake, *refusal) {
	o := &v.call
	if err := o.ParseCall(body); err != nil {
		return nil, noObject(err)
	}
	if src == nil {
		var no *refusal
		if src, no = h.keySource(bodyKey(o)); no != nil {
			return nil, no
		}
	}
	if err := o.Shape().Check(); err != nil {
		return nil, tooComplex(err)
	}
	in := newIntake(v, src, segment.SurfaceTracking)
	in.add(event{object: o, typ: c.typ})
	return in, nil
}

func (h *Handler) receiveBatch(v *visit, src *source, body []byte) (*intake, *refusal) {
	o, err := segment.ParseObject(body)
	if err != nil {
		return nil, noObject(err)
	}
	batch := o.Get("batch")
	if !segment.IsArray(batch) {
		return nil, invalid("invalid_batch", "The body has no array named batch. Send {\"batch\": [event, …]}, or a single event to the path of its type.")
	}
	if src == nil {
		key := bodyKey(o)
		if key == "" {
			key = firstItemKey(batch)
		}
		var no *refusal
		if src, no = h.keySource(key); no != nil {
			return nil, no
		}
	}
	shared, err := newEnvelope(o)
	if err != nil {
		return nil, tooComplex(err)
	}
	in := newIntake(v, src, segment.SurfaceTracking)
	in.expected = len(batch) * 3 / 2
	n := 0
	for o, err := range segment.Calls(batch) {
		if err != nil {
			return nil, malformed(err)
		}
		if n++; n > segment.MaxBatchEvents {
			// Segment answers 200 and keeps none of the batch; we keep what the limit allows.
			// Source: Segment docs, HTTP Tracking API, "Errors".
			in.count("", DropBatchOverflow)
			continue
		}
		if n*shared.size() > maxGrowth {
			return nil, &refusal{
				status: http.StatusBadRequest, code: "payload_too_large", reason: metrics.RejectedTooLarge,
				message: "The batch's context and integrations are too large for so many events. Send smaller batches, or a smaller context.",
			}
		}
		in.add(event{object: o, shared: shared})
	}
	return in, nil
}

// noObject says what is wrong with a body that ought to be an object.
func noObject(err error) *refusal {
	if errors.Is(err, segment.ErrNotObject) {
		return invalid("not_an_object", "The body is not a JSON object. Send one event, or to /v1/batch an object with an array named batch.")
	}
	return malformed(err)
}

// bodyKey is the write key in an event or a batch, or "".
func bodyKey(o *segment.Object) string { return segment.Text(o.Get("writeKey")) }

// firstItemKey is the write key of a batch's first event: analytics.js repeats the key in every one (seen in its
// traffic). It is the last resort, and speaks for the whole batch.
func firstItemKey(batch []byte) string {
	for raw, err := range segment.Elements(batch) {
		if err != nil {
			break
		}
		o, err := segment.ParseObject(raw)
		if err != nil {
			continue
		}
		return bodyKey(o)
	}
	return ""
}

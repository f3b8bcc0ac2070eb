package ingest

import (
	"net/http"
	"time"

	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/segment"
)

// receiveWebhook reads what a Segment webhook sends: one event, or an array of events, even of one.
// Source: Segment docs, Webhooks and Webhooks (Actions) destinations.
func (h *Handler) receiveWebhook(w http.ResponseWriter, r *http.Request, src *source, at time.Time) (*intake, *refusal) {
	if no := h.mayCall(r.Header, src); no != nil {
		return nil, no
	}
	body, no := h.readBody(w, r, segment.MaxWebhookBytes, segment.SurfaceWebhook)
	if no != nil {
		return nil, no
	}
	signed := len(src.secrets) > 0
	if signed && !verify(src.secrets, signedPart(body), r.Header.Get(signatureHeader)) {
		return nil, badSignature()
	}
	if err := segment.Validate(body); err != nil {
		return nil, malformed(err)
	}
	in := newIntake(src, segment.SurfaceWebhook, at)
	switch {
	case segment.IsArray(body):
		return in, in.addArray(body, signed)
	case segment.IsObject(body):
		return in, in.addOnly(segment.Trim(body))
	default:
		return nil, invalid("not_an_object", "The body is neither a JSON object nor an array of objects. Let the webhook send the whole event.")
	}
}

// addOnly takes the only event of a request. What would be dropped in a batch is refused here, because nothing else is
// lost with it, and because Segment shows the answer to its user.
func (in *intake) addOnly(raw []byte) *refusal {
	if len(raw) > in.maxEvent {
		return tooLarge(in.surface, in.maxEvent)
	}
	if err := segment.Measure(raw).Check(); err != nil {
		return tooComplex(err)
	}
	in.add(event{raw: raw})
	return nil
}

// addArray takes the events of an array. With signed, only the first one is covered by the signature.
func (in *intake) addArray(body []byte, signed bool) *refusal {
	n := 0
	for raw, err := range segment.Elements(body) {
		if err != nil {
			return malformed(err)
		}
		if n++; n > segment.MaxWebhookEvents {
			return &refusal{
				status: http.StatusRequestEntityTooLarge, code: "payload_too_large", reason: metrics.RejectedTooLarge,
				message: "The array has more events than one webhook request can have. Lower the batch size of the webhook in Segment.",
			}
		}
		in.add(event{raw: raw, unsigned: signed && n > 1})
	}
	return nil
}

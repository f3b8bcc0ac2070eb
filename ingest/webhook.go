package ingest

import (
	"errors"
	"net/http"
	"strings"

	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/segment"
)

// receiveWebhook reads what Segment sends to /webhook/<source> or /webhook/<source>/<token>: one event, or an array of
// events, even of one.
func (h *Handler) receiveWebhook(v *visit, path string) (*intake, *refusal) {
	name, token, more := strings.Cut(path, "/")
	src := h.webhooks[name]
	if src == nil || more && (token == "" || !src.hasToken) {
		return nil, notFound()
	}
	switch v.r.Method {
	// Source: Segment docs, Webhooks (Actions) destination: the method can be chosen among these.
	case http.MethodPost, http.MethodPut, http.MethodPatch:
	default:
		return nil, wrongMethod("POST, PUT, PATCH")
	}
	in, no := h.readWebhook(v, src, token)
	if no != nil {
		no.source = src.name
	}
	return in, no
}

func (h *Handler) readWebhook(v *visit, src *source, token string) (*intake, *refusal) {
	if no := h.mayCall(v.r.Header, src); no != nil {
		return nil, no
	}
	vouched, no := src.vouched(v.r.Header, token)
	if no != nil {
		return nil, no
	}
	if no := src.crowded(); no != nil {
		return nil, no
	}
	body, no := h.readBody(v, segment.MaxWebhookBytes, segment.SurfaceWebhook)
	if no != nil {
		return nil, no
	}
	if len(src.secrets) > 0 && !signed(src.secrets, body, v.r.Header.Get(signatureHeader)) {
		return nil, badSignature()
	}
	in := newIntake(v, src, segment.SurfaceWebhook)
	if segment.IsArray(body) {
		if err := segment.Validate(body); err != nil {
			return nil, malformed(err)
		}
		in.expected = min(len(body)*3/2, maxKeptRoom)
		return in, in.addArray(body, vouched)
	}
	switch err := v.call.ParseCall(body); {
	case errors.Is(err, segment.ErrNotObject):
		return nil, invalid("not_an_object", "The body is neither a JSON object nor an array of objects. Let the webhook send the whole event.")
	case err != nil:
		return nil, malformed(err)
	}
	return in, in.addOnly(&v.call)
}

// addOnly takes the only event of a request. What would be dropped in a batch is refused here, because nothing else is
// lost with it, and because Segment shows the answer to its user.
func (in *intake) addOnly(o *segment.Object) *refusal {
	if len(o.Bytes()) > in.maxEvent {
		return tooLarge(in.surface, in.maxEvent)
	}
	if err := o.Shape().Check(); err != nil {
		return tooComplex(err)
	}
	in.add(event{object: o})
	return nil
}

// addArray takes the events of an array. Unless vouched for, only the first one is covered by the signature.
func (in *intake) addArray(body []byte, vouched bool) *refusal {
	n := 0
	for o, err := range segment.Calls(body) {
		if err != nil {
			return malformed(err)
		}
		if n++; n > segment.MaxWebhookEvents {
			return &refusal{
				status: http.StatusRequestEntityTooLarge, code: "payload_too_large", reason: metrics.RejectedTooLarge,
				message: "The array has more events than one webhook request can have. Lower the batch size of the webhook in Segment.",
			}
		}
		if n > 1 && !vouched && in.source.requireToken {
			return missingToken()
		}
		in.add(event{object: o, unsigned: n > 1 && !vouched})
	}
	return nil
}

// unwrapped takes an event out of the {"json": event} that Extensible Webhook puts around each one of an array. No event
// of the spec has json for its only member.
// Source: source of action-destinations.
func unwrapped(raw []byte) []byte {
	if inner, ok := segment.Only(raw, "json"); ok && segment.IsObject(inner) {
		return inner
	}
	return raw
}

// unwrappedCall is unwrapped for a call that has been taken to pieces already.
func unwrappedCall(o *segment.Object) *segment.Object {
	if inner := unwrapped(o.Bytes()); len(inner) < len(o.Bytes()) {
		call := new(segment.Object)
		if call.ParseCall(inner) == nil { // it is an object, as has been seen
			return call
		}
	}
	return o
}

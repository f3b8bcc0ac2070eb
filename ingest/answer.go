package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// How long a sender should wait before it repeats a request that could not be stored. A full store empties at the
// speed of the CRM; a broker that does not answer is usually back at once.
const (
	retryFull        = 30 * time.Second
	retryUnavailable = 5 * time.Second
	retryOverloaded  = 2 * time.Second
)

// refusal is an answer other than 200. Its texts are ours alone: no refusal holds anything of the request.
type refusal struct {
	status     int
	code       string        // for programs; never changes its meaning
	message    string        // for people: what is wrong, and the mend
	reason     string        // label of the metric
	retryAfter time.Duration // 0: not said
	allow      string        // methods, with 405
	source     string        // name of the source, if it is known
	cause      error         // for the log
}

// accept answers the only success there is. Clients want exactly 200 and a JSON object: python and php count no other
// status, ruby and java retry what does not parse.
// Source: seen in client code; Segment's own body is nowhere documented.
func accept(w http.ResponseWriter) { answer(w, http.StatusOK, []byte(`{"success":true}`)) }

// CodeNoWriteKey is the code of the refusal of a call to the Tracking API that names no source. By it one can tell this door
// from whatever else answers at an address.
const CodeNoWriteKey = "missing_write_key"

// refuse answers with an error, counts and logs it.
func (h *Handler) refuse(v *visit, no *refusal) {
	w := v.w
	h.metrics.RequestRejected(no.reason)
	h.logRefusal(v.r, no)
	if no.retryAfter > 0 {
		// Only whole seconds: no client reads the HTTP-date form (seen in client code).
		w.Header().Set("Retry-After", strconv.Itoa(int(no.retryAfter/time.Second)))
	}
	if no.allow != "" {
		w.Header().Set("Allow", no.allow)
	}
	// python reads code and message, ruby reads error, Segment shows message (seen in client code; Segment docs,
	// Direct destinations). Marshalling strings and a bool cannot fail.
	body, _ := json.Marshal(struct {
		Success bool   `json:"success"`
		Code    string `json:"code"`
		Message string `json:"message"`
		Error   string `json:"error"`
	}{false, no.code, no.message, no.message})
	answer(w, no.status, body)
}

func answer(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// A sender that is gone by now will repeat the request; there is nobody to tell.
	_, _ = w.Write(body)
}

// logRefusal says loudly what somebody has to mend. A wrong key is loud too: some clients retry it for ever, which looks
// like traffic, and others drop their events. Who sent it is said only where the sender is to blame: an address can be
// a person's, and nothing is found with it when the store is full.
func (h *Handler) logRefusal(r *http.Request, no *refusal) {
	fields := []zap.Field{zap.Int("status", no.status), zap.String("code", no.code)}
	if no.source != "" {
		fields = append(fields, zap.String("source", no.source))
	}
	if no.status < http.StatusInternalServerError {
		if client := h.client(r); client.IsValid() {
			fields = append(fields, zap.Stringer("client", client))
		}
	}
	if no.cause != nil {
		fields = append(fields, zap.Error(no.cause))
	}
	switch {
	case no.status >= http.StatusInternalServerError:
		h.log.Error("request not stored", fields...)
	case no.status == http.StatusUnauthorized:
		h.log.Warn("request not authenticated", fields...)
	default:
		h.log.Info("request refused", fields...)
	}
}

// notStored says what the sender should do about an error of the store. Whatever it is, nothing is wrong with the
// request, so all but one are a matter of repeating it.
func notStored(err error, in *intake) *refusal {
	no := &refusal{source: in.source.name, cause: err}
	switch {
	case errors.Is(err, queue.ErrTooLarge):
		// The limits of events keep below a pack's; this is for the day when somebody changes one of them.
		no = tooLarge(in.surface, in.maxEvent)
		no.source, no.cause = in.source.name, err
	case errors.Is(err, queue.ErrFull):
		no.status, no.code, no.reason = http.StatusServiceUnavailable, "queue_full", metrics.RejectedFull
		no.message = "The queue has reached its size limit. Send the request again later; nobody has to change it."
		no.retryAfter = retryFull
	default:
		no.status, no.code, no.reason = http.StatusServiceUnavailable, "queue_unavailable", metrics.RejectedUnavailable
		no.message = "The events cannot be stored now. Send the request again later; nobody has to change it."
		no.retryAfter = retryUnavailable
	}
	return no
}

// tooLarge depends on the surface. The Tracking API answers 400, which every client takes as final, while go and swift
// repeat a 413 (seen in client code). A webhook gets 413: Segment repeats no 4xx but 408, 423 and 429, so it is as final
// as 400, and its delivery view then says what is the matter.
// Source: Segment docs, HTTP Tracking API, "Errors"; source of action-destinations.
func tooLarge(surface segment.Surface, limit int) *refusal {
	no := &refusal{status: http.StatusBadRequest, code: "payload_too_large", reason: metrics.RejectedTooLarge}
	if surface == segment.SurfaceWebhook {
		no.status = http.StatusRequestEntityTooLarge
	}
	no.message = fmt.Sprintf("The payload is too large: the limit here is %d bytes, uncompressed. Send smaller events or batches.", limit)
	return no
}

// overloaded is for the moment in which more is being sent than there is memory for.
func overloaded() *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, code: "overloaded", reason: metrics.RejectedOverloaded, retryAfter: retryOverloaded,
		message: "Too much is being sent at the same time. Send the request again later; nobody has to change it.",
	}
}

// rateLimited is for a source that must wait until so many events have been earned.
func rateLimited(s *source, missing float64) *refusal {
	return &refusal{
		status: http.StatusTooManyRequests, code: "rate_limited", reason: metrics.RejectedRateLimited, source: s.name,
		retryAfter: s.retryIn(missing),
		message:    "The source sends more events than its rate_per_second in the configuration allows. Send the request again later.",
	}
}

func tooComplex(err error) *refusal {
	return invalid("too_complex", fmt.Sprintf("The event is built too large: %v. Send flatter events with fewer keys.", err))
}

func malformed(err error) *refusal {
	return &refusal{
		status: http.StatusBadRequest, code: "malformed_json", reason: metrics.RejectedMalformed,
		message: fmt.Sprintf("The body is not valid JSON: %v. Send UTF-8 JSON.", err),
	}
}

func invalid(code, message string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: code, reason: metrics.RejectedInvalid, message: message}
}

func notFound() *refusal {
	return &refusal{
		status: http.StatusNotFound, code: "not_found", reason: metrics.RejectedNotFound,
		message: "Nothing takes events here. Use a path of the Tracking API such as /v1/batch, or /webhook/<source> with the name of a source in the configuration.",
	}
}

func wrongMethod(allow string) *refusal {
	return &refusal{
		status: http.StatusMethodNotAllowed, code: "method_not_allowed", reason: metrics.RejectedMethod, allow: allow,
		message: "This path does not take this method. Use " + allow + ".",
	}
}

func unauthorized(code, message string) *refusal {
	return &refusal{status: http.StatusUnauthorized, code: code, reason: metrics.RejectedUnauthorized, message: message}
}

func missingKey() *refusal {
	return unauthorized(CodeNoWriteKey, "No write key was sent. Send it as the user name of HTTP Basic authentication, or to the Tracking API as writeKey in the body.")
}

func unknownKey() *refusal {
	return unauthorized("unknown_write_key", "The write key is not one of this endpoint's. Compare the key in the sender with write_keys of the source in the configuration.")
}

func badAuthorization() *refusal {
	return unauthorized("bad_authorization", "The Authorization header says Basic but is not base64. Send Basic and the base64 of the write key followed by a colon.")
}

func missingSignature() *refusal {
	no := unauthorized("missing_signature", "The X-Signature header is missing. Set the webhook's shared secret in Segment to one of webhook_secrets of the source.")
	no.reason = metrics.RejectedSignature
	return no
}

func badSignature() *refusal {
	no := unauthorized("bad_signature", "X-Signature does not match the body. Set the webhook's shared secret in Segment to one of webhook_secrets of the source, and let no proxy change the body.")
	no.reason = metrics.RejectedSignature
	return no
}

func missingToken() *refusal {
	return unauthorized("missing_batch_token", "The array has several events, of which the signature covers only the first, and the source requires a batch token. Let the webhook send the source's batch token in the X-Freshrelay-Token header, or switch batching off.")
}

func badToken() *refusal {
	return unauthorized("bad_batch_token", "The batch token is not the source's. Compare X-Freshrelay-Token, or the end of the webhook's URL, with the batch token of the source in the configuration.")
}

package ingest

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Segment signs with HMAC-SHA1, whose weakness is not that of bare SHA-1
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/freshrelay/freshrelay/segment"
)

// signatureHeader carries Segment's signature of a webhook.
const signatureHeader = "X-Signature"

// tokenHeader carries Source.BatchToken.
const tokenHeader = "X-Freshrelay-Token" //nolint:gosec // the name of a header, not what is in it

// basicSource is the source whose write key the Authorization header carries; nil if it carries none, as Bearer does:
// there the key is in the body. A key that is there must be right, also if the body has a right one.
// Source: Segment docs, HTTP Tracking API, "Authentication".
func (h *Handler) basicSource(header http.Header) (*source, *refusal) {
	scheme, credentials, _ := strings.Cut(strings.TrimSpace(header.Get("Authorization")), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return nil, nil
	}
	decoded, ok := decodeBase64(strings.TrimSpace(credentials))
	if !ok {
		return nil, badAuthorization()
	}
	// The key is the user name. The colon after it is part of Basic, but some senders leave it out.
	key, _, _ := strings.Cut(decoded, ":")
	if key == "" {
		return nil, nil
	}
	return h.keySource(key)
}

// keySource is the source that has a write key.
func (h *Handler) keySource(key string) (*source, *refusal) {
	if key == "" {
		return nil, missingKey()
	}
	src := h.keys[digest(key)]
	if src == nil {
		return nil, unknownKey()
	}
	return src, nil
}

// mayCall checks what can be checked before a webhook's body is read: that a signature is there, or, where the source
// has no secret, that a write key of the same source is.
func (h *Handler) mayCall(header http.Header, src *source) *refusal {
	if len(src.secrets) > 0 {
		if header.Get(signatureHeader) == "" {
			return missingSignature()
		}
		return nil
	}
	caller, no := h.basicSource(header)
	if caller == nil && no == nil {
		caller, no = h.bearerSource(header)
	}
	switch {
	case no != nil:
		return no
	case caller == nil:
		return missingKey()
	case caller != src:
		return unknownKey()
	}
	return nil
}

// bearerSource is the source whose write key is sent as a bearer token, which is the way of Extensible Webhook; nil if
// none is.
// Source: source of action-destinations. On the Tracking API a bearer token is something else.
func (h *Handler) bearerSource(header http.Header) (*source, *refusal) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(header.Get("Authorization")), " ")
	if token = strings.TrimSpace(token); token == "" || !strings.EqualFold(scheme, "Bearer") {
		return nil, nil
	}
	return h.keySource(token)
}

// vouched says whether somebody vouches for all events of an array: the write key, where that is what the source is
// authenticated by, or else the batch token, from the header or the path. A token that is there must be right.
func (s *source) vouched(header http.Header, fromPath string) (bool, *refusal) {
	if len(s.secrets) == 0 {
		return true, nil
	}
	if !s.hasToken {
		return false, nil
	}
	vouched := false
	for _, token := range []string{header.Get(tokenHeader), fromPath} {
		if token == "" {
			continue
		}
		if given := digest(token); !hmac.Equal(given[:], s.token[:]) {
			return false, badToken()
		}
		vouched = true
	}
	return vouched, nil
}

// signed says whether signature is one of body. Segment signs all of it, or of an array the first element, as it stands
// there; around the events of Extensible Webhook's arrays it then puts {"json": …}, after signing.
// Source: seen in the traffic of Segment's Webhooks (Actions); source of action-destinations.
func signed(secrets [][]byte, body []byte, signature string) bool {
	part := signedPart(body)
	if verify(secrets, part, signature) {
		return true
	}
	inner := unwrapped(part)
	return len(inner) != len(part) && verify(secrets, inner, signature)
}

// signedPart is body, or of an array the first element. It is nil for an array without one, which cannot be signed.
func signedPart(body []byte) []byte {
	if !segment.IsArray(body) {
		return body
	}
	for first, err := range segment.Elements(body) {
		if err != nil {
			break
		}
		return first
	}
	return nil
}

// verify says whether signature is the HMAC-SHA1 of part, in hex, under one of the secrets. All secrets are tried, so
// that the time does not tell which one fits.
func verify(secrets [][]byte, part []byte, signature string) bool {
	given, err := hex.DecodeString(strings.TrimSpace(signature))
	if err != nil || part == nil {
		return false
	}
	valid := false
	for _, secret := range secrets {
		mac := hmac.New(sha1.New, secret)
		mac.Write(part)
		valid = hmac.Equal(mac.Sum(nil), given) || valid
	}
	return valid
}

// decodeBase64 reads base64 with or without padding.
func decodeBase64(s string) (string, bool) {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	return string(b), err == nil
}

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

// signedPart is what Segment signs of a body: all of it, or of an array the first element, as it stands there. It is
// nil for an array without a first element, which cannot be signed.
// Source: seen in the traffic of Segment's Webhooks (Actions).
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

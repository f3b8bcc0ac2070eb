package ingest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/segment"
)

// firstBuffer bounds what a Content-Length alone makes us set aside.
const firstBuffer = 64 << 10

// readBody reads the body, whatever its content type: clients send JSON as text/plain too (seen in client code). limit
// holds for the bytes on the wire and again for what gzip makes of them.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request, limit int, surface segment.Surface) ([]byte, *refusal) {
	if r.ContentLength > int64(limit) {
		return nil, tooLarge(surface, limit)
	}
	body := io.Reader(http.MaxBytesReader(w, r.Body, int64(limit)))
	zipped := false
	switch strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))) {
	case "", "identity":
	case "gzip", "x-gzip":
		zipped = true
		unzip, _ := h.unzip.Get().(*gzip.Reader)
		if unzip == nil {
			unzip = new(gzip.Reader)
		}
		defer h.unzip.Put(unzip)
		if err := unzip.Reset(body); err != nil {
			return nil, unreadable(err, surface, limit, zipped)
		}
		body = io.LimitReader(unzip, int64(limit)+1)
	default:
		return nil, &refusal{
			status: http.StatusBadRequest, code: "unsupported_encoding", reason: metrics.RejectedEncoding,
			message: "The Content-Encoding of the body is not supported. Send it as it is, or with gzip.",
		}
	}
	var buf bytes.Buffer
	buf.Grow(int(min(max(r.ContentLength, 0), firstBuffer)) + bytes.MinRead)
	if _, err := buf.ReadFrom(body); err != nil {
		return nil, unreadable(err, surface, limit, zipped)
	}
	if buf.Len() > limit {
		return nil, tooLarge(surface, limit)
	}
	return buf.Bytes(), nil
}

// unreadable says why a body could not be read.
func unreadable(err error, surface segment.Surface, limit int, zipped bool) *refusal {
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return tooLarge(surface, limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &refusal{
			status: http.StatusRequestTimeout, code: "slow_body", reason: metrics.RejectedAborted,
			message: "The body took too long to arrive. Send it again, or in smaller parts.",
		}
	case zipped:
		return &refusal{
			status: http.StatusBadRequest, code: "malformed_gzip", reason: metrics.RejectedEncoding,
			message: "Content-Encoding says gzip, but the body is not complete gzip. Compress it, or leave the header out.",
		}
	default:
		return &refusal{
			status: http.StatusBadRequest, code: "incomplete_body", reason: metrics.RejectedAborted,
			message: "The body did not arrive as announced. Send it again.",
		}
	}
}

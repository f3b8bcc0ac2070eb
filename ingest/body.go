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
func (h *Handler) readBody(v *visit, limit int, surface segment.Surface) ([]byte, *refusal) {
	if v.r.ContentLength > int64(limit) {
		return nil, tooLarge(surface, limit)
	}
	body := io.Reader(http.MaxBytesReader(v.w, v.r.Body, int64(limit)))
	zipped := false
	switch contentEncoding(v.r.Header) {
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
		body = unzip
	default:
		return nil, &refusal{
			status: http.StatusBadRequest, code: "unsupported_encoding", reason: metrics.RejectedEncoding,
			message: "The Content-Encoding of the body is not supported. Send it as it is, or with gzip.",
		}
	}
	// A byte more than expected lets the end be seen without growing.
	first := min(int(min(max(v.r.ContentLength, 0), firstBuffer))+bytes.MinRead, limit+1)
	b, err := readAll(body, v.mem, v.buffer(first), limit)
	switch {
	case errors.Is(err, errNoMemory):
		return nil, overloaded()
	case err != nil:
		return nil, unreadable(err, surface, limit, zipped)
	case len(b) > limit:
		return nil, tooLarge(surface, limit)
	}
	v.body = b
	return b, nil
}

// contentEncoding is all that the header says, in lower case.
func contentEncoding(header http.Header) string {
	return strings.ToLower(strings.TrimSpace(strings.Join(header.Values("Content-Encoding"), ",")))
}

var errNoMemory = errors.New("no memory left for bodies")

// buffer returns a buffer for a body of about that size: the visit's own, unless it is too small, or so large that a small
// body would be charged for it.
func (v *visit) buffer(size int) []byte {
	if cap(v.body) < size || cap(v.body) > 4*size {
		v.body = nil
	}
	if v.body == nil {
		v.body = make([]byte, 0, size)
	}
	return v.body[:0]
}

// readAll reads to the end, or one byte past the limit. What it holds is always taken from mem first, and grows only with
// what has really come: announcing a large body costs nothing.
func readAll(r io.Reader, mem *share, b []byte, limit int) ([]byte, error) {
	if !mem.take(cap(b)) {
		return nil, errNoMemory
	}
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return nil, err
		case len(b) > limit:
			return b, nil
		case len(b) < cap(b):
			continue
		}
		size := min(2*cap(b), limit+1)
		if !mem.take(size) {
			return nil, errNoMemory
		}
		grown := append(make([]byte, 0, size), b...)
		mem.give(cap(b))
		b = grown
	}
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

package ingest

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/freshrelay/freshrelay/segment"
)

// FuzzGzip sends any bytes as gzip and compares with what compress/gzip makes of them: accepted is exactly what is whole
// and within the limit, byte for byte; and no memory stays taken, nor is more taken than the limit allows.
func FuzzGzip(f *testing.F) {
	pack := func(s string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, s)
		_ = w.Close()
		return b.Bytes()
	}
	small := pack(`{"batch":[{"type":"identify","userId":"u-1"}]}`)
	f.Add(small, uint16(4096))
	f.Add(small[:len(small)-4], uint16(4096))
	f.Add(append(bytes.Clone(small), small...), uint16(4096))
	f.Add(append(bytes.Clone(small), 'x'), uint16(4096))
	f.Add(pack(""), uint16(0))
	f.Add(pack(string(make([]byte, 5000))), uint16(4999))
	f.Add(pack(string(make([]byte, 5000))), uint16(5000))
	f.Add([]byte("\x1f\x8b\x08\x1f\x00\x00\x00\x00\x00\xff\x02\x00ab"), uint16(100))
	f.Add([]byte{}, uint16(10))
	h := &Handler{memory: memory{limit: 1 << 20}}
	f.Fuzz(func(t *testing.T, body []byte, most uint16) {
		limit := int(most)
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Encoding", "gzip")
		v := &visit{w: httptest.NewRecorder(), r: r, mem: &share{of: &h.memory}, recent: h.recent}
		got, no := h.readBody(v, limit, segment.SurfaceTracking)
		// Growing holds the old and the new buffer at once.
		if v.mem.held > int64(2*(limit+1)+bytes.MinRead) {
			t.Fatalf("%d bytes are held for a limit of %d", v.mem.held, limit)
		}
		v.mem.close()
		if used := h.memory.used.Load(); used != 0 {
			t.Fatalf("%d bytes stay taken", used)
		}
		want, fits := unpack(body, limit)
		switch {
		case no != nil && no.status != http.StatusBadRequest:
			t.Fatalf("refused with %d %s", no.status, no.code)
		case no == nil && !fits:
			t.Fatalf("accepted %x", body)
		case no != nil && fits:
			t.Fatalf("refused %x as %s", body, no.code)
		case no == nil && !bytes.Equal(got, want):
			t.Fatalf("read %q, want %q", got, want)
		}
	})
}

// unpack says what is in a body, and whether it is whole and within the limit, packed and unpacked.
func unpack(body []byte, limit int) ([]byte, bool) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil || len(body) > limit {
		return nil, false
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	return b, err == nil && len(b) <= limit
}

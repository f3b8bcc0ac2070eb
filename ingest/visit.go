package ingest

import (
	"bytes"
	"net/http"
	"time"

	"github.com/freshrelay/freshrelay/segment"
)

// A visit is not used again if it brought more than this: what most requests do not need should not be kept for them.
const (
	maxKeptBody    = firstBuffer + bytes.MinRead
	maxKeptRoom    = 2 * firstBuffer
	maxKeptEntries = 256
	maxKeptKeys    = 256
)

// visit is one request on its way through the door. The memory of a visit serves many requests, one after the other, so
// nothing that outlives the request may point into it. That goes for entries, too, unless storing them failed.
type visit struct {
	w   http.ResponseWriter
	r   *http.Request
	at  time.Time // of arrival, UTC
	mem *share

	recent *recent

	body []byte         // as it was read
	call segment.Object // of a single event
	in   intake
}

func (h *Handler) enter(w http.ResponseWriter, r *http.Request) *visit {
	v, _ := h.visits.Get().(*visit)
	if v == nil {
		v = &visit{mem: &share{of: &h.memory}, recent: h.recent}
	}
	v.w, v.r, v.at = w, r, time.Now().UTC()
	return v
}

// leave ends a visit. It lets go of everything that came with the request.
func (h *Handler) leave(v *visit) {
	v.mem.close()
	in := &v.in
	if cap(v.body) > maxKeptBody || cap(in.room) > maxKeptRoom || cap(in.entries) > maxKeptEntries || v.call.Shape().Keys > maxKeptKeys {
		return
	}
	clear(in.entries)
	v.in = intake{entries: in.entries[:0], room: in.room[:0], counts: in.counts[:0], keys: in.keys[:0]}
	v.w, v.r, v.body = nil, nil, v.body[:0]
	h.visits.Put(v)
}

package ingest

// Held is how many bytes all requests hold together.
func (h *Handler) Held() int64 { return h.memory.used.Load() }

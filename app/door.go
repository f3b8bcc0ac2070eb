package app

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/freshrelay/freshrelay/admin"
)

// door is a handler that can be changed while it serves.
type door struct{ behind atomic.Pointer[http.Handler] }

func (d *door) set(h http.Handler) { d.behind.Store(&h) }

// ServeHTTP implements http.Handler.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) { (*d.behind.Load()).ServeHTTP(w, r) }

// between lets the admin listener say why there is no store to ask.
func (s *service) between(reason string, bytes int64) {
	s.adminDoor.set(admin.NewBetween(admin.Between{
		Version: s.opts.Version, Metrics: s.metrics.Handler(), Logger: s.log, Reason: reason, Since: time.Now(), Bytes: bytes,
	}))
}

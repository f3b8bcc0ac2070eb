package admin

import (
	"net/http"
	"time"

	"go.uber.org/zap"
)

// Recovery is how far a start or a stop is.
type Recovery struct {
	Seconds float64 `json:"seconds"` // since it began
	Bytes   int64   `json:"bytes"`   // size of what is being read; 0 if nobody knows
}

// Between is what the listener shows while there is no store to ask: before it is open and after it is closed.
type Between struct {
	Version string
	Metrics http.Handler
	Logger  *zap.Logger
	Reason  string // why events cannot be stored now: "recovering the store"
	Since   time.Time
	Bytes   int64
}

// NewBetween returns the handler for that time. The process is alive, events cannot be stored yet, and there is nothing
// behind /api to be asked; that needs no token.
func NewBetween(b Between) http.Handler {
	s := &server{Config: Config{Version: b.Version, Logger: b.Logger}}
	mux := http.NewServeMux()
	mux.Handle("/healthz", s.open(get(s.health)))
	mux.Handle("/readyz", s.open(get(b.ready)))
	mux.Handle("/metrics", b.Metrics)
	mux.Handle("/api/", s.open(func(http.ResponseWriter, *http.Request) error {
		return &problem{http.StatusServiceUnavailable, "freshrelay is " + b.Reason, "try again in a moment; /readyz says how far it is"}
	}))
	mux.Handle("/", s.open(nothingHere))
	return mux
}

func (b Between) ready(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusServiceUnavailable, Readiness{
		Reason: b.Reason, Paused: []string{}, Recovering: &Recovery{Seconds: time.Since(b.Since).Seconds(), Bytes: b.Bytes},
	})
}

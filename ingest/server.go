package ingest

import (
	"net/http"
	"time"

	"go.uber.org/zap"
)

// Times and sizes of the listener.
const (
	readHeaderTimeout = 5 * time.Second
	// readTimeout is for a full batch over a telephone's connection; webhooks give up sooner by themselves.
	readTimeout = 30 * time.Second
	// writeTimeout begins when the headers are read, so it has room for reading, storing and answering.
	writeTimeout = readTimeout + 15*time.Second
	// idleTimeout is longer than the flush interval of every client, so that they keep their connections.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes is far above the largest headers Segment sends: X-Segment-Settings and an Authorization.
	maxHeaderBytes = 32 << 10
)

// NewServer returns the server of the ingest listener, with limits against slow and oversized requests. The caller
// listens and shuts it down. What net/http itself has to say goes to log as warnings.
func NewServer(addr string, h http.Handler, log *zap.Logger) *http.Server {
	// The error is for levels that do not exist.
	errorLog, _ := zap.NewStdLogAt(quiet(log), zap.WarnLevel)
	return &http.Server{
		Addr:              addr,
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          errorLog,
	}
}

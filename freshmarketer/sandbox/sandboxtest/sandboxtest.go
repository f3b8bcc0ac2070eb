// Package sandboxtest serves a sandbox, or any other handler, to tests over real HTTP without a socket, so that a test
// runs inside a testing/synctest bubble on fake time. Nothing outside tests imports it.
package sandboxtest

import (
	"io"
	"log"
	"net/http"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// BaseURL is where a Config of Start finds its sandbox. The host exists nowhere.
const BaseURL = "http://freshmarketer.test"

// Start runs a sandbox until the test ends and returns it with the configuration of a client that reaches it. It may
// be called inside a synctest bubble.
func Start(t testing.TB, opt sandbox.Options) (*sandbox.Sandbox, freshmarketer.Config) {
	t.Helper()
	box, err := sandbox.New(opt)
	if err != nil {
		t.Fatalf("starting a sandbox: %v", err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Errorf("closing the sandbox: %v", err)
		}
	})
	key := sandbox.DefaultAPIKey
	if len(opt.APIKeys) > 0 {
		key = opt.APIKeys[0]
	}
	return box, freshmarketer.Config{BaseURL: BaseURL, APIKey: key, HTTPClient: Serve(t, box.Handler())}
}

// Serve serves any handler until the test ends and returns a client whose every request goes there. Requests that are
// still being answered then are cut off.
func Serve(t testing.TB, handler http.Handler) *http.Client {
	t.Helper()
	listener := Listen()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	client := listener.Client()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
		<-served // always http.ErrServerClosed
	})
	return client
}

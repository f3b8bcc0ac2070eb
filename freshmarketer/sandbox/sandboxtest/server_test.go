package sandboxtest_test

import (
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
)

// Whoever asks and is gone at once is answered all the same, and Quiet waits for that; it does not wait for what stays.
func TestQuietWaitsForWhatTheDeadHaveAsked(t *testing.T) {
	t.Parallel()
	const calls = 50
	var done atomic.Int64
	stays, end, work := make(chan struct{}), make(chan struct{}), make(chan struct{})
	server := sandboxtest.NewServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stays" {
			close(stays)
			<-end
		}
		<-work
		done.Add(1)
	}))
	ask := func(path string) net.Conn {
		t.Helper()
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	staying := ask("/stays")
	<-stays
	for range calls {
		_ = ask("/").Close()
	}
	time.AfterFunc(20*time.Millisecond, func() { close(work) }) // until then none of them is done
	server.Quiet(t, func() int { return 1 })
	if got := done.Load(); got != calls {
		t.Errorf("%d of %d calls of those who are gone are done", got, calls)
	}
	close(end)
	_ = staying.Close()
	server.Quiet(t, nil)
	if got := done.Load(); got != calls+1 {
		t.Errorf("%d calls are done", got)
	}
}

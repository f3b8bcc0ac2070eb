package sandboxtest

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Server serves a handler on a real socket to processes that are killed, and knows when the last that a dead one asked for is over.
type Server struct {
	*httptest.Server

	mu   sync.Mutex
	open map[string]struct{} // connections by their remote address
}

// NewServer serves until the test ends.
func NewServer(t testing.TB, handler http.Handler) *Server {
	t.Helper()
	s := &Server{Server: httptest.NewUnstartedServer(handler), open: map[string]struct{}{}}
	s.Config.ConnState = s.note
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *Server) note(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := conn.RemoteAddr().String()
	switch state {
	case http.StateNew:
		s.open[from] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(s.open, from)
	}
}

// Quiet waits until every connection is closed that was made before, but for stay of them; nil: none. Of a process that is gone the
// kernel closes the connections, and what it had sent on them is read and done before that is noticed: when Quiet returns, nothing that
// it asked for comes any more. A handler that waits for Quiet itself is one that stays.
func (s *Server) Quiet(t testing.TB, stay func() int) {
	t.Helper()
	// Connections are accepted in their order: when this one is, all before it are.
	last, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Errorf("waiting until nobody asks: %v", err)
		return
	}
	own := last.LocalAddr().String()
	for accepted := false; !accepted; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		_, accepted = s.open[own]
		s.mu.Unlock()
	}
	_ = last.Close()
	for left := 1; left > 0; time.Sleep(time.Millisecond) {
		staying := 0
		if stay != nil {
			staying = stay()
		}
		s.mu.Lock()
		left = len(s.open) - staying
		s.mu.Unlock()
	}
}

package app

import (
	"net"
	"net/http"
	"sync"
)

// unusedConns are connections on which no request has begun. Clients open them ahead; http.Server.Shutdown would wait
// five seconds for each to be used, which a stop has no time for (net/http documentation, "Shutdown").
type unusedConns struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	over  bool // no request begins any more
}

// watch makes the server tell of its connections.
func (u *unusedConns) watch(server *http.Server) {
	u.conns = map[net.Conn]struct{}{}
	server.ConnState = func(c net.Conn, state http.ConnState) {
		u.mu.Lock()
		defer u.mu.Unlock()
		switch {
		case state != http.StateNew:
			delete(u.conns, c)
		case u.over: // it was accepted between close and the end of the listener
			_ = c.Close()
		default:
			u.conns[c] = struct{}{}
		}
	}
}

// close closes them, and those that still come. A sender that begins a request just then gets no answer and repeats it.
func (u *unusedConns) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
	for c := range u.conns {
		_ = c.Close() // nobody has sent anything on it
	}
}

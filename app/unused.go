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
}

// watch makes the server tell of its connections.
func (u *unusedConns) watch(server *http.Server) {
	u.conns = map[net.Conn]struct{}{}
	server.ConnState = func(c net.Conn, state http.ConnState) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if state == http.StateNew {
			u.conns[c] = struct{}{}
		} else {
			delete(u.conns, c)
		}
	}
}

// close closes them. A sender that begins a request just then gets no answer and repeats it.
func (u *unusedConns) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for c := range u.conns {
		_ = c.Close() // nobody has sent anything on it
	}
}

package ingest

import (
	"net"
	"sync"
)

// DefaultMaxConnections is a good number for LimitListener: every Segment destination and many browsers, and still few
// megabytes of connections that do nothing.
const DefaultMaxConnections = 4096

// LimitListener returns a listener that has at most n connections open at a time; n must be positive. Further ones wait
// in the system's queue until one is closed, which the server's timeouts see to.
func LimitListener(l net.Listener, n int) net.Listener {
	return &limitListener{Listener: l, room: make(chan struct{}, n), closed: make(chan struct{})}
}

type limitListener struct {
	net.Listener

	room   chan struct{} // holds a token for every open connection
	once   sync.Once
	closed chan struct{}
}

// Accept waits for room first, so that nobody is taken from the system's queue who would only wait here.
func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		// The listener underneath says in its own words that it is closed.
		return l.Listener.Accept()
	case l.room <- struct{}{}:
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() { <-l.room })}, nil
}

// Close closes the listener and ends an Accept that waits for room.
func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn

	leave func()
}

func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

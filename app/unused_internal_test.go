package app

import (
	"net"
	"net/http"
	"testing"
	"time"
)

// A connection that comes while the stop is under way is closed, too: the listener is closed a moment later than the others.
func TestUnusedConnectionsAreClosedThatComeLate(t *testing.T) {
	t.Parallel()
	unused, server := new(unusedConns), new(http.Server)
	unused.watch(server)
	closed := func(conn net.Conn) bool {
		return conn.SetDeadline(time.Time{}) != nil
	}
	early, _ := net.Pipe()
	used, _ := net.Pipe()
	server.ConnState(early, http.StateNew)
	server.ConnState(used, http.StateNew)
	server.ConnState(used, http.StateActive)
	unused.close()
	late, _ := net.Pipe()
	server.ConnState(late, http.StateNew)
	for name, conn := range map[string]net.Conn{"early": early, "late": late} {
		if !closed(conn) {
			t.Errorf("the %s connection is open", name)
		}
	}
	if closed(used) {
		t.Error("a connection with a request is closed")
	}
}

package queuetest_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// An address is kept while its process is down: it can be listened on again and again, and nobody else gets it.
func TestAnAddressIsKept(t *testing.T) {
	t.Parallel()
	address := queuetest.Address(t)
	if other := queuetest.Address(t); other == address {
		t.Fatalf("%s is given twice", other)
	}
	local, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	for life := range 3 {
		if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("before life %d somebody answers: %v, %v", life, conn, err)
		}
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatalf("life %d cannot listen: %v", life, err)
		}
		if _, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a second one listens beside life %d: %v", life, err)
		}
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		served, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		// The process ends with a connection, which the kernel keeps for a minute.
		_, _ = served.Close(), listener.Close()
		_ = conn.Close()
		target, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (&net.Dialer{LocalAddr: local}).DialContext(t.Context(), "tcp", target.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("after life %d an outgoing connection gets the port: %v", life, err)
		}
		_ = target.Close()
	}
}

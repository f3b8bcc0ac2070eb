//go:build !linux

package queuetest

import (
	"net"
	"testing"
)

// Address is an address of this machine that nobody listens on. Only Linux keeps it for the test; elsewhere somebody else may get it.
func Address(t testing.TB) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

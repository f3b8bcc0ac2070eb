package queuetest

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// Address is an address of this machine that is the test's alone until its end, for a process that comes and goes. Nobody listens on it
// until that process does. A socket that is bound to it and never listens keeps it: the kernel gives its port to no outgoing connection
// and to no listener that takes any port, and lets a listener that asks for it by number have it, because both have SO_REUSEADDR
// (ip(7), tcp(7)); Go's listeners do. A port that is only found free is lost now and then while its process is down.
func Address(t testing.TB) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("a socket to keep an address: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatalf("a socket to keep an address: %v", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatalf("keeping an address: %v", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatalf("keeping an address: %v", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
}

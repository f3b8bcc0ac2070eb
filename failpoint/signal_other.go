//go:build failpoints && !linux

package failpoint

import (
	"os"
	"syscall"
)

// signalThread has no better way here: on a busy machine the thread may go on for a while before a stop has its effect.
func signalThread(s syscall.Signal) error { return syscall.Kill(os.Getpid(), s) }

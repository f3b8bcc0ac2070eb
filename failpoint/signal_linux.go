//go:build failpoints

package failpoint

import (
	"os"
	"runtime"
	"syscall"
)

// signalThread does not return before the signal has had its effect on this thread, as it is this thread's own. One for the process
// (kill(2)) is taken by whichever thread comes first, and on a busy machine this one goes on meanwhile, past the point.
func signalThread(s syscall.Signal) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return syscall.Tgkill(os.Getpid(), syscall.Gettid(), s)
}

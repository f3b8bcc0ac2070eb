package queuetest

import (
	"os/exec"
	"syscall"
)

// Tie lets a process that a test is about to start end with the test program, even if that is killed: by a timeout, say.
func Tie(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

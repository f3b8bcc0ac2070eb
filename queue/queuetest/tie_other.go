//go:build !linux

package queuetest

import "os/exec"

// Tie does nothing here: only Linux ends a process with its parent.
func Tie(*exec.Cmd) {}

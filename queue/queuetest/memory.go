package queuetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	memory     = "/dev/shm" // Linux keeps these files in memory
	memoryRoom = 4 << 30    // what must be free there, bytes: in many containers there are 64 MB
	memoryDir  = "freshrelay-test-"
)

// InMemory is Main for a package in which no test depends on a disk: the stores are kept in memory, where there is room. What such
// tests do on fake time is mostly waiting for fsync otherwise. What fsync is for is tested in queue and in app, on the disk.
// TMPDIR, if it is set, says where they are kept all the same.
func InMemory(m *testing.M) int {
	var fs unix.Statfs_t
	if os.Getenv(serverVariable) != "" || os.Getenv("TMPDIR") != "" || unix.Statfs(memory, &fs) != nil || fs.Bavail*uint64(fs.Bsize) < memoryRoom {
		return Main(m)
	}
	forgetTheDead()
	dir := filepath.Join(memory, fmt.Sprint(memoryDir, os.Getpid()))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return Main(m)
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return Main(m)
	}
	return Main(m)
}

// forgetTheDead removes what processes have left that were killed, by a timeout or by Ctrl-C: it would take memory for ever.
func forgetTheDead() {
	dirs, err := filepath.Glob(filepath.Join(memory, memoryDir+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), memoryDir))
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = os.RemoveAll(dir)
		}
	}
}

package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// lineCounter counts lines and keeps nothing.
type lineCounter int

func (c *lineCounter) Write(p []byte) (int, error) {
	*c += lineCounter(bytes.Count(p, []byte("\n")))
	return len(p), nil
}

// The command line needs no more memory for many letters than for few: it exports them page by page.
func TestTheCommandLineHoldsAPage(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "freshrelay")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	held := map[int]int64{}
	for _, n := range []int{1_000, 30_000} {
		r := newRig(t)
		r.many = n
		var lines lineCounter
		cmd := exec.CommandContext(t.Context(), program, "--admin-url", r.admin.URL, "dlq", "export", "-")
		queuetest.Tie(cmd)
		cmd.Dir, cmd.Stdout = r.dir, &lines
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		if int(lines) != n {
			t.Errorf("%d lines of %d letters", lines, n)
		}
		usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			t.Skip("this system does not tell how much memory a process had")
		}
		held[n] = usage.Maxrss << 10 // Linux counts KB
	}
	t.Logf("most memory by letters: %v", held)
	// The garbage collector's leeway is some MB; 30,000 letters of 600 bytes, held as JSON and decoded, would be 40 more.
	if held[30_000] > held[1_000]+16<<20 {
		t.Errorf("an export of 30,000 letters took %d bytes, one of 1,000 took %d", held[30_000], held[1_000])
	}
}

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// lineCounter counts lines and keeps nothing.
type lineCounter int

func (c *lineCounter) Write(p []byte) (int, error) {
	*c += lineCounter(bytes.Count(p, []byte("\n")))
	return len(p), nil
}

// mostMemory is the most memory that a process has held so far, bytes. What the kernel tells when it has ended would not do: that
// counts the memory of the test as well, out of which the process was started (ru_maxrss in getrusage(2) is kept through execve).
func mostMemory(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Errorf("how much memory the program holds: %v", err)
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				t.Error(err)
			}
			return kb << 10
		}
	}
	t.Errorf("no VmHWM in\n%s", text)
	return 0
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
		started, asked := make(chan int, 1), 0
		// Whenever the program asks for a page it waits for it, and holds all it has kept of those before.
		behind := r.admin.Config.Handler
		admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			pid := <-started
			started <- pid
			asked++
			held[n] = max(held[n], mostMemory(t, pid))
			behind.ServeHTTP(w, req)
		}))
		cmd := exec.CommandContext(t.Context(), program, "--admin-url", admin.URL, "dlq", "export", "-")
		queuetest.Tie(cmd)
		cmd.Dir, cmd.Stdout = r.dir, &lines
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		started <- cmd.Process.Pid
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		admin.Close()
		if int(lines) != n || asked < n/1000 {
			t.Errorf("%d lines of %d letters, asked for %d times", lines, n, asked)
		}
	}
	t.Logf("most memory by letters: %v", held)
	// The garbage collector's leeway is some MB; 30,000 letters of 600 bytes, held as JSON and decoded, would be 40 more.
	if held[30_000] > held[1_000]+16<<20 {
		t.Errorf("an export of 30,000 letters took %d bytes, one of 1,000 took %d", held[30_000], held[1_000])
	}
}

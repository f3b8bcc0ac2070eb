package app_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// programs are the builds that tests have asked for. Each is made once: linking takes seconds of a core.
var programs struct {
	mu    sync.Mutex
	dir   string            // of this run of the tests
	built map[string]string // where the program is, by the arguments of its build
}

// atOnce is how many tests of this package run at the same time: most of them wait, for other processes, for a disk and for
// times that the program keeps, and few of them compute.
const atOnce = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			panic(err)
		}
	}
	code := queuetest.Main(m)
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir) // the tests are over, whatever is left
	}
	os.Exit(code)
}

// buildProgram returns the real program, built with these arguments.
func buildProgram(t testing.TB, args ...string) string {
	t.Helper()
	programs.mu.Lock()
	defer programs.mu.Unlock()
	key := strings.Join(args, " ")
	if program, ok := programs.built[key]; ok {
		return program
	}
	if programs.dir == "" {
		dir, err := os.MkdirTemp("", "freshrelay-programs-") //nolint:usetesting // other tests use it when this one is over
		if err != nil {
			t.Fatal(err)
		}
		programs.dir, programs.built = dir, map[string]string{}
	}
	program := filepath.Join(programs.dir, "freshrelay"+strings.Join(args, ""))
	build := append(append([]string{"build"}, args...), "-o", program, "../cmd/freshrelay")
	if out, err := exec.CommandContext(t.Context(), "go", build...).CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	programs.built[key] = program
	return program
}

package failpoint_test

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/failpoint"
)

// build builds the probe, which passes every point three times and prints each passing.
func build(t *testing.T, tags string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "probe")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", tags, "-o", program, "./failpointtest").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

func probe(ctx context.Context, program, plan string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	cmd = exec.CommandContext(ctx, program)
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr, cmd.Env = stdout, stderr, []string{failpoint.Variable + "=" + plan}
	return cmd, stdout, stderr
}

// The shipped program must not look at the environment, whatever is in it.
func TestWithoutTheTagNothingHappens(t *testing.T) {
	t.Parallel()
	cmd, stdout, stderr := probe(t.Context(), build(t, ""), "fold=1:kill,nonsense")
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v, %s", err, stderr)
	}
	if n := strings.Count(stdout.String(), "\n"); n != 3*len(failpoint.Points()) {
		t.Errorf("%d passings", n)
	}
}

func TestTheNthPassingOfAPointEndsTheProcess(t *testing.T) {
	t.Parallel()
	program := build(t, "failpoints")
	for _, p := range failpoint.Points() {
		cmd, stdout, stderr := probe(t.Context(), program, string(p)+"=2:kill")
		var exit *exec.ExitError
		status := func() syscall.WaitStatus { return cmd.ProcessState.Sys().(syscall.WaitStatus) }
		if err := cmd.Run(); !errors.As(err, &exit) || status().Signal() != syscall.SIGKILL {
			t.Errorf("%s: %v", p, err)
		}
		if want := "failpoint " + string(p) + ": kill\n"; stderr.String() != want {
			t.Errorf("%s: it said %q, not %q", p, stderr, want)
		}
		if n := strings.Count(stdout.String(), string(p)+"\n"); n != 1 {
			t.Errorf("%s was passed %d times before the second passing", p, n)
		}
	}
}

func TestExitAndWrongPlans(t *testing.T) {
	t.Parallel()
	program := build(t, "failpoints")
	for plan, said := range map[string]string{
		"fold=1:exit,effect-after=9:kill": "failpoint fold: exit",
		"fold":                            "at which passing",
		"fold=0:kill":                     "at which passing",
		"fold=1:explode":                  "the action is",
		"fold=1:kill,fold=2:kill":         "planned already",
		"folding=1:kill":                  "names no point",
	} {
		cmd, _, stderr := probe(t.Context(), program, plan)
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != failpoint.ExitCode || !strings.Contains(stderr.String(), said) {
			t.Errorf("%s: exit code %d, %s", plan, code, stderr)
		}
	}
}

func TestAHeldProcessDiesThereInTheEnd(t *testing.T) {
	t.Parallel()
	cmd, stdout, _ := probe(t.Context(), build(t, "failpoints"), "fold=2:hold")
	began := time.Now()
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Error(err)
	}
	if took := time.Since(began); took < failpoint.Held || strings.Count(stdout.String(), "fold\n") != 1 {
		t.Errorf("it died after %v, and had said\n%s", took, stdout)
	}
}

func TestAStoppedProcessGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	cmd, stdout, _ := probe(t.Context(), build(t, "failpoints"), "fold=2:stop")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("not stopped: %v, %v", status, err)
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	ended := time.AfterFunc(10*time.Minute, func() { _ = cmd.Process.Kill() })
	defer ended.Stop()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(stdout.String(), "\n"); n != 3*len(failpoint.Points()) {
		t.Errorf("%d passings", n)
	}
}

package deploy_test

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/freshrelay/freshrelay/queue/queuetest"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readLoosely(t *testing.T, name string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, name)), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// dockerfile returns the instructions of the Dockerfile, continued lines joined and comments left out.
func dockerfile(t *testing.T) (lines []string) {
	t.Helper()
	text := strings.ReplaceAll(read(t, "../Dockerfile"), "\\\n", " ")
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	return lines
}

func imageEnvironment(t *testing.T) map[string]string {
	t.Helper()
	environment := map[string]string{}
	for _, line := range dockerfile(t) {
		if pairs, ok := strings.CutPrefix(line, "ENV "); ok {
			for pair := range strings.FieldsSeq(pairs) {
				key, value, _ := strings.Cut(pair, "=")
				environment[key] = value
			}
		}
	}
	return environment
}

// TestDockerfile keeps what a linter for Dockerfiles would say of ours.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	text := "\n" + strings.Join(dockerfile(t), "\n") + "\n"
	for _, want := range []string{"\nUSER 65532:65532\n", "\nENTRYPOINT [\"/freshrelay\"]\n", "\nCMD [\"serve\"]\n", "\nVOLUME /data\n", "\nSTOPSIGNAL SIGTERM\n", "\nFROM scratch\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the Dockerfile has no line %q", strings.TrimSpace(want))
		}
	}
	for _, from := range regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(text, -1) {
		if from[1] != "scratch" && !regexp.MustCompile(`^golang:\d+\.\d+\.\d+-bookworm$`).MatchString(from[1]) {
			t.Errorf("%s has no full version", from[1])
		}
	}
	if strings.Contains(text, "\nADD ") || strings.Contains(text, "sudo") || strings.Index(text, "go mod download") > strings.Index(text, "COPY . .") {
		t.Error("use COPY, no sudo, and fetch the modules before the sources are copied")
	}
}

// TestImage does what the Dockerfile does, without an engine: its build command, and its program as its user in a root of
// its own that holds nothing else and that this user cannot write, with the shipped health command.
func TestImage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the program")
	}
	build := regexp.MustCompile(`RUN (CGO_ENABLED=0 go build .*) -o /out/freshrelay (\S+)`).FindStringSubmatch(strings.Join(dockerfile(t), "\n"))
	if build == nil {
		t.Fatal("the Dockerfile builds nothing")
	}
	root := t.TempDir()
	program := filepath.Join(root, "freshrelay")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", build[1]+" -o "+program+" "+build[2])
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program needs a dynamic linker, and the image has none")
		}
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can start it in a root of its own")
	}
	runImage(t, root)
}

func runImage(t *testing.T, root string) {
	t.Helper()
	const user = 65532
	data := filepath.Join(root, "data")
	if err := errors.Join(os.Mkdir(data, 0o700), os.Chown(data, user, user), os.Chmod(root, 0o555), os.Chmod(filepath.Dir(root), 0o755)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(root, 0o755) })
	ingest, admin, sandbox := queuetest.Address(t), queuetest.Address(t), queuetest.Address(t)
	inside := func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "/freshrelay", args...)
		cmd.Dir = "/"
		cmd.Env = []string{"FRESHRELAY_DATA_DIR=/data", "FRESHRELAY_LISTEN=" + ingest, "FRESHRELAY_ADMIN_LISTEN=" + admin}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: user, Gid: user}, Pdeathsig: syscall.SIGKILL}
		return cmd
	}
	var log bytes.Buffer
	service := inside(context.WithoutCancel(t.Context()), "serve", "--sandbox", "--sandbox-listen", sandbox)
	service.Stdout, service.Stderr = &log, &log
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Process.Kill(); _ = service.Wait() })
	await(t, "the service is ready", func() bool {
		resp, err := http.Get("http://" + admin + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode == http.StatusOK
	}, &log)
	if out, err := inside(t.Context(), "status", "--sandbox").CombinedOutput(); err != nil {
		t.Errorf("the health command: %v\n%s", err, out)
	}
	if err := service.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := service.Wait(); err != nil {
		t.Errorf("after STOPSIGNAL: %v\n%s", err, log.String())
	}
}

// await polls; the limit is only for a machine on which nothing moves any more.
func await(t *testing.T, what string, done func() bool, log interface{ String() string }) {
	t.Helper()
	for begin := time.Now(); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Since(begin) > 10*time.Minute {
			t.Fatalf("waited in vain: %s\n%s", what, log.String())
		}
	}
}

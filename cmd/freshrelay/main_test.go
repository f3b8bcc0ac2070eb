package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// stubborn makes the test binary a service that does not stop when it is asked to; see TestSecondSignal.
const stubborn = "FRESHRELAY_TEST_STUBBORN"

func TestMain(m *testing.M) {
	if os.Getenv(stubborn) != "" {
		p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: []string{}}
		p.serve = func(ctx context.Context, _ config.Config, _ app.Options) error {
			fmt.Println("running")
			<-ctx.Done()
			fmt.Println("asked")
			select {}
		}
		os.Exit(p.run(context.Background(), []string{"serve", "--sandbox"}))
	}
	os.Exit(m.Run())
}

// TestSecondSignal: the first signal asks, the second quits at once.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), stubborn+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	line := func(want string) {
		buf := make([]byte, len(want)+1)
		if _, err := io.ReadFull(out, buf); err != nil || string(buf) != want+"\n" {
			t.Fatalf("%q %v, want %q", buf, err, want)
		}
	}
	line("running")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	line("asked")
	// Giving signals their default effect back happens right after asking, in another goroutine: repeat until it has.
	stopped := make(chan error, 1)
	go func() { stopped <- cmd.Wait() }()
	for {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-stopped:
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
				t.Errorf("it ended by itself: %v", err)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	got := r.run(t, "--help")
	wantCode(t, got, exitOK)
	wantParts(t, "help", got.out, "serve", "sandbox", "send", "dlq list", "dlq show", "dlq replay", "status", "version",
		"0 done", "1 failed", "2 wrong usage", "4 done in part", "--config", "--output")
	for _, sub := range []string{"serve", "sandbox"} {
		wantParts(t, sub, r.run(t, sub, "--help").out, "127.0.0.1:8090")
	}
	for _, sub := range []string{"serve", "sandbox", "send", "dlq list", "dlq show", "dlq replay", "status", "version"} {
		got := r.run(t, append(strings.Fields(sub), "--help")...)
		wantCode(t, got, exitOK)
		wantParts(t, sub, got.out, "Usage: freshrelay "+sub)
	}
}

// TestExitCodes goes through what can be wrong: the code, one line what, one line what to do.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	dead := newRig(t)
	dead.admin.URL = "http://" + queuetest.Address(t) // another test's server gets the port of one that is closed
	stranger := newRig(t)
	stranger.admin.Config.Handler = stranger.door.Config.Handler
	newer := newRig(t)
	newer.admin.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(admin.APIHeader, "2")
		_, _ = w.Write([]byte("{}"))
	})
	for name, tt := range map[string]struct {
		rig  *rig
		args []string
		code int
		want []string
	}{
		"nothing":             {nil, nil, exitUsage, []string{"expected one of", "freshrelay --help"}},
		"unknown command":     {nil, []string{"statsu"}, exitUsage, []string{"statsu", "freshrelay --help"}},
		"unknown flag":        {nil, []string{"status", "--colour"}, exitUsage, []string{"--colour", "freshrelay status --help"}},
		"unknown output":      {nil, []string{"status", "-o", "xml"}, exitUsage, []string{"table", "xml"}},
		"missing argument":    {nil, []string{"dlq", "show"}, exitUsage, []string{"<id>", "freshrelay dlq show --help"}},
		"nobody there":        {dead, []string{"status"}, exitUnreachable, []string{"no freshrelay answers at http://127.0.0.1", "--admin-url"}},
		"somebody else there": {stranger, []string{"status"}, exitUnreachable, []string{"is not freshrelay's admin listener", "--admin-url"}},
		"a newer service":     {newer, []string{"status"}, exitFailed, []string{"of a version", "use the freshrelay binary"}},
		"no address":          {nil, []string{"status", "--admin-url", "http://[broken"}, exitUsage, []string{"not an address", "--admin-url"}},
		"no scheme we speak":  {nil, []string{"status", "--admin-url", "ftp://x:1"}, exitUsage, []string{"not an address: ftp://x:1", "http://"}},
		"no token, sandbox":   {nil, []string{"status", "--sandbox"}, exitUnreachable, []string{"no admin token", "`freshrelay serve --sandbox`"}},
		"send to no address":  {nil, []string{"send", "--url", "http://", "sent.json"}, exitUsage, []string{"not an address", "--url http://127"}},
		"send as nobody": {
			nil,
			[]string{"send", "--sandbox", "--no-wait", "--source", "shop", "sent.json"},
			exitUsage,
			[]string{"no source shop", "it has: website"},
		},
		"no token":                 {nil, []string{"status", "--data-dir", "elsewhere"}, exitUnreachable, []string{"no admin token", "freshrelay serve"}},
		"no such letter":           {nil, []string{"dlq", "show", "user.9"}, exitFailed, []string{"no such dead letter", "dlq list"}},
		"limit out of range":       {nil, []string{"dlq", "list", "--limit", "5000"}, exitUsage, []string{"limit", "correct it"}},
		"replay what":              {nil, []string{"dlq", "replay"}, exitUsage, []string{"which letters", "or --all"}},
		"replay two ways":          {nil, []string{"dlq", "replay", "user.1", "--all"}, exitUsage, []string{"which letters"}},
		"replay both kinds":        {nil, []string{"dlq", "replay", "--reason", "x", "--all"}, exitUsage, []string{"--reason", "--all"}},
		"send a missing file":      {nil, []string{"send", "none.json"}, exitUsage, []string{"none.json", "no such file"}},
		"serve without config":     {nil, []string{"serve"}, exitUsage, []string{"has 4 problems", "serve --sandbox"}},
		"config that is none":      {nil, []string{"status", "--config", "none.yaml"}, exitUsage, []string{"none.yaml", "no such file"}},
		"faults of a real account": {nil, []string{"serve", "--seed", "1"}, exitUsage, []string{"--faults and --seed", "add --sandbox"}},
		"no file of faults":        {nil, []string{"serve", "--sandbox", "--faults", "none.yaml"}, exitUsage, []string{"none.yaml", "examples/faults.yaml"}},
		"sandbox on a bad port": {
			nil, []string{"sandbox", "--listen", "127.0.0.1:99999"}, exitFailed, []string{"cannot listen on 127.0.0.1:99999", "--listen"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := tt.rig
			if r == nil {
				r = newRig(t)
			}
			writeFile(t, filepath.Join(r.dir, "sent.json"), `{"type":"identify"}`)
			got := r.run(t, tt.args...)
			wantCode(t, got, tt.code)
			wantParts(t, "stderr", got.errOut, tt.want...)
			lines := strings.Split(strings.TrimSpace(got.errOut), "\n")
			if len(lines) < 2 || !strings.HasPrefix(lines[0], "freshrelay: ") || !strings.HasPrefix(lines[len(lines)-1], "  ") {
				t.Errorf("want a line what is wrong and a line what to do:\n%s", got.errOut)
			}
			if got.out != "" {
				t.Errorf("an error on stdout: %s", got.out)
			}
		})
	}
}

func TestTokenProblems(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := filepath.Join(r.dir, "data", admin.TokenFile)
	writeFile(t, path, "the-token-of-another-service\n")
	got := r.run(t, "status")
	wantCode(t, got, exitUsage)
	wantParts(t, "wrong token", got.errOut, "does not accept the token in", "--token-file")
	if strings.Contains(got.errOut, "the-token-of") {
		t.Errorf("the token is shown: %s", got.errOut)
	}
	writeFile(t, path, "short\n")
	got = r.run(t, "status")
	wantCode(t, got, exitUsage)
	wantParts(t, "short token", got.errOut, "not a usable admin token")
	own := writeFile(t, filepath.Join(r.dir, "own"), testToken)
	wantCode(t, r.run(t, "status", "--token-file", own), exitOK)
}

// TestFallback: somebody who tries it has a sandbox's data directory and nothing else.
func TestFallback(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	data, trial := filepath.Join(r.dir, "data"), filepath.Join(r.dir, "data-sandbox")
	if err := os.Rename(data, trial); err != nil {
		t.Fatal(err)
	}
	got := r.run(t, "status")
	wantCode(t, got, exitOK)
	wantParts(t, "stderr", got.errOut, "using ./data-sandbox")
	got = r.run(t, "status", "--sandbox")
	wantCode(t, got, exitOK)
	if got.errOut != "" {
		t.Errorf("it was asked for and need not be said: %s", got.errOut)
	}
	wantCode(t, r.run(t, "status", "--data-dir", "nowhere"), exitUnreachable)

	// With another data directory or a configuration there is no guessing.
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	wantCode(t, r.run(t, "status"), exitUnreachable)
	if err := os.Remove(data); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(r.dir, config.FileName), "log: {level: info}\n")
	wantCode(t, r.run(t, "status"), exitUnreachable)
}

func TestAddressFromConfiguration(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"127.0.0.1:8081": "http://127.0.0.1:8081", ":8081": "http://127.0.0.1:8081", "0.0.0.0:1": "http://127.0.0.1:1",
		"[::]:2": "http://[::1]:2", "relay.example:3": "http://relay.example:3",
	} {
		if got := urlOf(listen); got != want {
			t.Errorf("%s: %s, want %s", listen, got, want)
		}
	}
	for flag, want := range map[string]string{
		"": "http://127.0.0.1:1", "127.0.0.1:8081": "http://127.0.0.1:8081", "https://relay.example/": "https://relay.example", "host": "http://host",
	} {
		if got, err := baseOf(flag, "127.0.0.1:1", ""); err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", flag, got, err, want)
		}
	}
	r := newRig(t)
	writeFile(t, filepath.Join(r.dir, config.FileName), "admin: {listen: "+strings.TrimPrefix(r.admin.URL, "http://")+"}\n")
	r.admin.URL = "" // no --admin-url
	wantCode(t, r.run(t, "status"), exitOK)
}

func TestServe(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var got config.Config
	var opts app.Options
	r.p.serve = func(ctx context.Context, cfg config.Config, o app.Options) error {
		got, opts = cfg, o
		return ctx.Err()
	}
	example, err := filepath.Abs(filepath.Join("..", "..", "examples", "faults.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{
		"serve", "--sandbox", "--listen", ":1", "--admin-listen", ":2", "--data-dir", "d", "--sandbox-listen", ":3",
		"--faults", example, "--seed", "7",
	}
	started := r.run(t, args...)
	wantCode(t, started, exitOK)
	if strings.Contains(started.errOut, "data_dir") {
		t.Errorf("a warning about nothing: %s", started.errOut)
	}
	own := writeFile(t, filepath.Join(r.dir, "own.yaml"), "data_dir: mine\nsources: [{name: website, write_keys: [wk_a]}]\n")
	wantParts(t, "serve", r.run(t, "serve", "--sandbox", "--config", own).errOut, "data are kept in ./data-sandbox", "the data_dir of "+own+" is not touched", "--sandbox, too")
	writeFile(t, filepath.Join(r.dir, "data-sandbox", "x"), "")
	wantParts(t, "status", r.run(t, "status", "--config", own).errOut, "no admin token at "+filepath.Join(r.dir, "mine"), "but one with --sandbox, in ./data-sandbox", "add --sandbox")
	wantCode(t, r.run(t, args...), exitOK)
	if o := opts.SandboxOptions; o.Seed != 7 || len(o.Faults) != 6 || o.Language != "nl" || o.Contacts != 20 {
		t.Errorf("options of the sandbox: %+v", o)
	}
	if got.Listen != ":1" || got.Admin.Listen != ":2" || got.DataDir != "d" || string(got.Sources[0].WriteKeys[0]) != "wk_website" {
		t.Errorf("%s", got)
	}
	if !opts.Sandbox || opts.SandboxListen != ":3" || opts.Logger == nil || opts.Stdout == nil || opts.Version == "" {
		t.Errorf("%+v", opts)
	}
	r.p.serve = func(context.Context, config.Config, app.Options) error { return mended{} }
	res := r.run(t, "serve", "--sandbox")
	wantCode(t, res, exitFailed)
	wantParts(t, "stderr", res.errOut, "freshrelay: it broke\n  glue it\n")
	r.p.serve = func(context.Context, config.Config, app.Options) error { return errors.New("no reason") }
	wantCode(t, r.run(t, "serve", "--sandbox"), exitFailed)
}

type mended struct{}

func (mended) Error() string { return "it broke" }
func (mended) Mend() string  { return "glue it" }

func TestVersion(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	got := r.run(t, "version")
	wantCode(t, got, exitOK)
	wantParts(t, "version", got.out, "freshrelay ", "go1.")
	v := decode[Version](t, r.run(t, "version", "-o", "json").out)
	if v.Version == "" || v.Go == "" || v.Platform == "" {
		t.Errorf("%+v", v)
	}
}

func TestSandbox(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	read, write := io.Pipe()
	p := *r.p
	p.stdout, p.stderr, p.stdin = write, io.Discard, strings.NewReader("")
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() { code <- p.run(ctx, []string{"sandbox", "--listen", "127.0.0.1:0", "--api-key", "k"}) }()
	var url string
	if _, err := fmt.Fscanf(read, "sandbox %s\n", &url); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, read)
	resp, err := newHTTPClient().Get(url + "/_sandbox/contacts")
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("%v %v", resp, err)
	}
	resp.Body.Close()
	cancel()
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d", got)
	}
}

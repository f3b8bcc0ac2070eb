package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// walk is a service with the sandbox behind it, and a command line for it.
type walk struct {
	t    *testing.T
	dir  string
	at   app.Addresses
	stop func()
}

const walkConfig = `
data_dir: data
listen: 127.0.0.1:0
admin: {listen: 127.0.0.1:0}
nats: {max_bytes: 256MiB}
sources: [{name: website, write_keys: [wk_walk]}]
`

// start runs the service with the configuration and what is added to it.
func (w *walk) start(more string) {
	w.t.Helper()
	file := writeFile(w.t, filepath.Join(w.dir, "freshrelay.yaml"), walkConfig+more)
	cfg, err := config.Load(config.Options{Path: file, Dir: w.dir, Environ: []string{}, Sandbox: true})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg.DataDir = filepath.Join(w.dir, "data")
	ready := make(chan app.Addresses, 1)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- app.Run(ctx, cfg, app.Options{Sandbox: true, SandboxListen: "127.0.0.1:0", SandboxOptions: sandbox.Options{Required: []string{"last_name"}}, Version: "test", Logger: zap.NewNop(), Ready: ready})
	}()
	select {
	case w.at = <-ready:
	case err := <-done:
		w.t.Fatalf("the service did not start: %v", err)
	}
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
}

func (w *walk) ask(method, url, body string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.SetBasicAuth("wk_walk", "")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode/100 != 2 {
		w.t.Fatalf("%s answers %d: %s", url, resp.StatusCode, text)
	}
}

// send sends a batch of calls as the page tells.
func (w *walk) send(users int) {
	w.t.Helper()
	for from := 0; from < users; from += 100 {
		var calls []string
		for i := from; i < min(from+100, users); i++ {
			calls = append(calls, fmt.Sprintf(`{"type":"identify","userId":"user-%d","messageId":"message-%d","traits":{"email":"user-%d@example.test","firstName":"Ann","surname":"Lee","planTier":"Diamond"}}`, i, i, i))
		}
		w.ask(http.MethodPost, w.at.Ingest+"/v1/batch", `{"batch":[`+strings.Join(calls, ",")+`]}`)
	}
}

func (w *walk) run(args ...string) result {
	w.t.Helper()
	var out, errOut bytes.Buffer
	p := &program{
		dir: w.dir, environ: []string{}, http: newHTTPClient(), poll: 10 * time.Millisecond, stdin: strings.NewReader(""), stdout: &out, stderr: &errOut,
	}
	code := p.run(w.t.Context(), append([]string{"--sandbox", "--config", filepath.Join(w.dir, "freshrelay.yaml"), "--data-dir", filepath.Join(w.dir, "data"), "--admin-url", w.at.Admin}, args...))
	return result{code, out.String(), errOut.String()}
}

// await runs a command until its output has a part.
func (w *walk) await(part string, args ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience) // it is there to say what was seen instead
	defer cancel()
	for {
		got := w.run(args...)
		if strings.Contains(got.out, part) {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			w.t.Fatalf("%v never says %q:\n%s%s%s", args, part, got.out, got.errOut, w.run("status").out+w.run("events", "show", "message-7").out)
		}
	}
}

// block is a piece of the page that is run, or a configuration with which the service is started anew.
var block = regexp.MustCompile("(?s)```console\n(.*?)```|```yaml\n(.*?)```")

// TestWalkThroughDocsReplay runs docs/replay.md: every command of the page, in its order, must succeed and print the lines that
// stand below it.
func TestWalkThroughDocsReplay(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	w := &walk{t: t, dir: t.TempDir()}
	w.start("")
	t.Cleanup(func() { w.stop() })
	w.send(500)
	w.await("500 dead letters in all", "dlq", "list", "--group")
	commands := 0
	for _, b := range block.FindAllStringSubmatch(string(page), -1) {
		if b[1] == "" {
			w.stop()
			w.start(b[2])
			continue
		}
		for _, step := range strings.Split("\n"+b[1], "\n$ freshrelay ")[1:] {
			commands++
			w.step(step)
		}
	}
	if commands < 10 {
		t.Errorf("only %d commands were found", commands)
	}
}

// step runs a command and looks for the lines below it.
func (w *walk) step(step string) {
	w.t.Helper()
	command, want, _ := strings.Cut(step, "\n")
	got := w.run(strings.Fields(command)...)
	if got.code != exitOK {
		w.t.Errorf("freshrelay %s: exit code %d\n%s%s", command, got.code, got.out, got.errOut)
	}
	for line := range strings.Lines(want) {
		parts := strings.Split(strings.TrimSpace(line), "…")
		for i := range parts {
			parts[i] = strings.Join(quoted(strings.Fields(parts[i])), `\s+`)
		}
		pattern := regexp.MustCompile(`(?m)^\s*` + strings.Join(parts, `\s*.*\s*`) + `\s*$`)
		if !pattern.MatchString(got.out) {
			w.t.Errorf("freshrelay %s: no line like %q in\n%s", command, strings.TrimSpace(line), got.out)
		}
	}
}

func quoted(words []string) []string {
	for i := range words {
		words[i] = regexp.QuoteMeta(words[i])
	}
	return words
}

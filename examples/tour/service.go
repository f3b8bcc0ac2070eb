package main

import (
	"bufio"
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
	"time"
)

// stopTimeout is how long the service may take to stop cleanly before it is killed. It promises 15 s.
const stopTimeout = 20 * time.Second

// addresses is what `freshrelay serve --sandbox` announces on stdout, one line each: a name and a URL.
type addresses struct{ ingest, admin, sandbox string }

func (a addresses) complete() bool { return a.ingest != "" && a.admin != "" && a.sandbox != "" }

// read takes one line of the announcement; other lines are left alone.
func (a *addresses) read(line string) {
	name, url, ok := strings.Cut(strings.TrimSpace(line), " ")
	if url = strings.TrimSpace(url); !ok || !strings.HasPrefix(url, "http") {
		return
	}
	switch name {
	case "ingest":
		a.ingest = url
	case "admin":
		a.admin = url
	case "sandbox":
		a.sandbox = url
	}
}

// service is a running `freshrelay serve --sandbox`.
type service struct {
	at      addresses
	logFile string
	exited  chan struct{} // closed once the process has ended; err is set before
	err     error
	cancel  context.CancelFunc
}

// start runs the service and returns once it is ready to store events. Stop it in any case if there was no error.
func start(ctx context.Context, opt options) (*service, error) {
	if err := os.MkdirAll(opt.dataDir, 0o700); err != nil {
		return nil, err
	}
	svc := &service{logFile: filepath.Join(opt.dataDir, "serve.log"), exited: make(chan struct{})}
	log, err := os.OpenFile(svc.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor

	args := []string{"serve", "--sandbox", "--data-dir", opt.dataDir}
	if opt.check {
		args = append(args, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0")
	}
	ctx, svc.cancel = context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, opt.binary, args...) //nolint:gosec // running the binary the developer names is the point
	cmd.Stderr = log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	ownGroup(cmd) // Ctrl-C reaches the tour alone, which passes it on once
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		svc.cancel()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		svc.cancel()
		return nil, fmt.Errorf("%w (run `make build` first)", err)
	}

	announced := make(chan addresses, 1)
	go func() {
		var at addresses
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if at.read(lines.Text()); at.complete() {
				break
			}
		}
		announced <- at
		_, _ = io.Copy(io.Discard, stdout)
		svc.err = cmd.Wait()
		close(svc.exited)
	}()
	if err := svc.awaitReady(ctx, announced); err != nil {
		_ = svc.stop()
		return nil, fmt.Errorf("%w\n%s", err, svc.logTail())
	}
	return svc, nil
}

// awaitReady waits for the addresses and then for /readyz to say yes.
func (s *service) awaitReady(ctx context.Context, announced <-chan addresses) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case s.at = <-announced:
	case <-ctx.Done():
		return fmt.Errorf("freshrelay said no addresses: %w", ctx.Err())
	}
	if !s.at.complete() {
		return errors.New("freshrelay ended without saying its addresses")
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := get(ctx, s.at.admin+"/readyz"); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.exited:
			return fmt.Errorf("freshrelay ended before it was ready: %w", s.err)
		case <-ctx.Done():
			return fmt.Errorf("freshrelay is not ready: %w", ctx.Err())
		}
	}
}

// stop asks the service to stop and waits until it has. Stopping because we asked is not an error.
func (s *service) stop() error {
	select {
	case <-s.exited:
	default:
		s.cancel()
		<-s.exited
	}
	s.cancel()
	if s.err != nil && !errors.Is(s.err, context.Canceled) { // exec says Canceled when the process ended well after our signal
		return fmt.Errorf("freshrelay did not stop cleanly: %w", s.err)
	}
	return nil
}

// logTail returns the last lines of the service's log, for an error message.
func (s *service) logTail() string {
	text, err := os.ReadFile(s.logFile)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) > 15 {
		lines = lines[len(lines)-15:]
	}
	return "its log ends with:\n  " + strings.Join(lines, "\n  ")
}

// get returns the body of a 200 answer; anything else is an error.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return body, nil
}

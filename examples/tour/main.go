// Command tour shows freshrelay at work: it starts the real binary with a sandbox Freshmarketer, sends the calls in
// examples/calls through the real HTTP endpoint, and prints the contacts they have become. Then it serves until Ctrl-C,
// or with -check compares the contacts with examples/expected-contacts.json and exits.
//
// It stands outside, like a user: it runs bin/freshrelay and speaks HTTP, and imports nothing of the product.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// startTimeout bounds how long the service may take from start to ready. It takes well under a second; a slow disk may not.
const startTimeout = 30 * time.Second

// sendTimeout bounds the examples' way from the door to their outcome.
const sendTimeout = 60 * time.Second

type options struct {
	binary   string
	dataDir  string
	calls    string
	expected string
	check    bool
}

func main() {
	var opt options
	flag.StringVar(&opt.binary, "binary", "bin/freshrelay", "the freshrelay `file` to run")
	flag.StringVar(&opt.dataDir, "data-dir", "data-sandbox", "`directory` for the log and the records; not used with -check")
	flag.StringVar(&opt.calls, "calls", "examples/calls/*.json", "the calls to send, a `pattern`")
	flag.StringVar(&opt.expected, "expected", "examples/expected-contacts.json", "what -check compares with, a `file`")
	flag.BoolVar(&opt.check, "check", false, "use free ports and a temporary directory, compare the contacts, exit")
	flag.Parse()

	// Also when the terminal is closed or `make run | head` has seen enough: the service is a group of its own and would
	// be left behind, holding its ports.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, opt, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tour:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, opt options, out io.Writer) error {
	if !opt.check {
		return tour(ctx, opt, nil, out)
	}
	// First of all, so that a mistake in the file is not reported as one of the service.
	expected, err := readExpected(opt.expected)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "freshrelay-demo-")
	if err != nil {
		return err
	}
	opt.dataDir = filepath.Join(dir, "data")
	return errors.Join(tour(ctx, opt, expected, out), os.RemoveAll(dir))
}

// tour goes the whole way; expected is what -check compares with.
func tour(ctx context.Context, opt options, expected []contact, out io.Writer) (err error) {
	calls, err := filepath.Glob(opt.calls)
	if err != nil || len(calls) == 0 {
		return errors.Join(fmt.Errorf("no calls match %s (run this from the top of the repository)", opt.calls), err)
	}

	svc, err := start(ctx, opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, svc.stop()) }()

	fmt.Fprintf(out, "freshrelay is ready. Sending %d files.\n\n", len(calls))
	err = send(ctx, opt, svc.at, calls, out)
	if interrupted(ctx, opt) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, svc.logTail())
	}

	contacts, err := fetchContacts(ctx, svc.at.sandbox)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe sandbox's contacts now:\n\n")
	printContacts(out, contacts)

	if opt.check {
		if diff := compare(expected, contacts); len(diff) > 0 {
			for _, line := range diff {
				fmt.Fprintln(out, "  DIFFERENT", line)
			}
			return fmt.Errorf("the contacts are not those of %s", opt.expected)
		}
		fmt.Fprintf(out, "The contacts are those of %s.\n", opt.expected)
		return nil
	}

	printWhereTo(out, svc)
	select {
	case <-ctx.Done():
		fmt.Fprintln(out, "\nstopping")
		return nil
	case <-svc.exited:
		return fmt.Errorf("freshrelay has stopped by itself\n%s", svc.logTail())
	}
}

// interrupted says that somebody pressed Ctrl-C, which ends a tour well and a check badly.
func interrupted(ctx context.Context, opt options) bool { return ctx.Err() != nil && !opt.check }

// send lets the product's own CLI post the calls and say what became of each.
func send(ctx context.Context, opt options, at addresses, calls []string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	args := append([]string{"send", "--sandbox", "--data-dir", opt.dataDir, "--url", at.ingest, "--admin-url", at.admin}, calls...)
	cmd := exec.CommandContext(ctx, opt.binary, args...) //nolint:gosec // running the binary the developer names is the point
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("freshrelay send: %w", err)
	}
	return nil
}

func printWhereTo(out io.Writer, svc *service) {
	fmt.Fprintf(out, `It goes on serving. Ctrl-C stops it.

  ingest    %s    Segment calls come in here
  admin     %s    /healthz /readyz /metrics
  sandbox   %s    /_sandbox/contacts /_sandbox/calls /_sandbox/faults
  log       %s

Try one yourself:

  curl -u wk_website: %s/v1/identify -H 'Content-Type: application/json' \
    -d '{"userId":"me","traits":{"email":"me@example.com","firstName":"Me","Industry":"Trying things"}}'

`, svc.at.ingest, svc.at.admin, svc.at.sandbox, svc.logFile, svc.at.ingest)
}

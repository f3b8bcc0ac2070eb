package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets the test binary stand in for bin/freshrelay: the tour starts it, and TOUR_FAKE says how it behaves.
func TestMain(m *testing.M) {
	if os.Getenv("TOUR_MAIN") != "" && (len(os.Args) < 2 || strings.HasPrefix(os.Args[1], "-")) {
		main()
		os.Exit(0)
	}
	if behaviour := os.Getenv("TOUR_FAKE"); behaviour != "" {
		os.Exit(fake(behaviour))
	}
	os.Exit(m.Run())
}

func fake(behaviour string) int {
	switch os.Args[1] {
	case "send":
		fmt.Println("sent", len(os.Args), "arguments")
		return 0
	case "serve":
	default:
		return 64
	}
	if behaviour == "dies" {
		fmt.Fprintln(os.Stderr, "the port is taken")
		return 1
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 65
	}
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/_sandbox/contacts" {
				fmt.Fprint(w, `{"contacts":[{"external_id":"1","id":7,"email":"a@example.com"}]}`)
			}
		}))
	}()
	for _, name := range []string{"ingest", "admin", "sandbox"} {
		fmt.Printf("%-9s http://%s\n", name, listener.Addr())
	}
	<-asked
	fmt.Fprintln(os.Stderr, "asked to stop")
	if behaviour == "unclean" {
		return 3
	}
	return 0
}

func fakeOptions(t *testing.T, behaviour, expected string) options {
	t.Helper()
	t.Setenv("TOUR_FAKE", behaviour)
	dir := t.TempDir()
	for name, text := range map[string]string{"call.json": "{}", "expected.json": expected} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return options{
		binary: os.Args[0], check: true, dataDir: filepath.Join(dir, "data"),
		calls: filepath.Join(dir, "call*.json"), expected: filepath.Join(dir, "expected.json"),
	}
}

const (
	asServed = `{"contacts":[{"external_id":"1","email":"a@example.com"}]}`
	another  = `{"contacts":[{"external_id":"1","email":"b@example.com"}]}`
)

func TestRunChecks(t *testing.T) {
	tests := []struct {
		name, behaviour, expected string
		wantErr                   string // part of it; "" for none
		wantOut                   string
	}{
		{"as expected", "serves", asServed, "", "The contacts are those of"},
		{"a difference fails", "serves", another, "the contacts are not those of", `DIFFERENT 1 email: is "a@example.com", expected "b@example.com"`},
		{"an unclean end fails", "unclean", asServed, "did not stop cleanly", "The contacts are those of"},
		{"a service that dies fails and shows its log", "dies", asServed, "the port is taken", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(t.Context(), fakeOptions(t, tt.behaviour, tt.expected), &out)
			if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("error %v, want %q", err, tt.wantErr)
			}
			if !strings.Contains(out.String(), tt.wantOut) {
				t.Errorf("printed:\n%s\nwant in it: %s", &out, tt.wantOut)
			}
		})
	}
}

// TestRunServesUntilInterrupted: without -check the tour ends well when it is told to stop, and its service with it.
func TestRunServesUntilInterrupted(t *testing.T) {
	opt := fakeOptions(t, "serves", asServed)
	opt.check = false
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	err := run(ctx, opt, writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "It goes on serving") {
			cancel() // as Ctrl-C does
		}
		return out.Write(p)
	}))
	if err != nil {
		t.Error(err)
	}
	if !strings.HasSuffix(out.String(), "stopping\n") {
		t.Errorf("printed:\n%s", &out)
	}
}

// TestNobodyIsLeftBehind: the service ends with the tour, also when nobody reads any more or the terminal is closed.
func TestNobodyIsLeftBehind(t *testing.T) {
	for _, name := range []string{"pipe closed", "terminal closed"} {
		t.Run(name, func(t *testing.T) {
			opt := fakeOptions(t, "serves", asServed)
			t.Setenv("TOUR_MAIN", "1")
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			tour := exec.Command(os.Args[0], "-binary", os.Args[0], "-data-dir", opt.dataDir, "-calls", opt.calls)
			tour.Stdout = write
			if name == "pipe closed" {
				read.Close() // its first line comes when the service runs
			}
			if err := tour.Start(); err != nil {
				t.Fatal(err)
			}
			write.Close()
			if name == "terminal closed" {
				_, err := read.Read(make([]byte, 1)) // the service runs then
				if err := errors.Join(err, tour.Process.Signal(syscall.SIGHUP)); err != nil {
					t.Fatal(err)
				}
			}
			_ = tour.Wait() // how it ends depends on what it was doing; it waits for its service
			log, err := os.ReadFile(filepath.Join(opt.dataDir, "serve.log"))
			if err != nil || !strings.Contains(string(log), "asked to stop") {
				t.Errorf("the service was not stopped: %q %v", log, err)
			}
			read.Close()
		})
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/freshrelay/freshrelay/queue"
)

// terminal is a pseudo-terminal: near is the program's end.
type terminal struct {
	near, far *os.File
	mu        sync.Mutex
	text      bytes.Buffer
	done      chan struct{}
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	far, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(far.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(far.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	near, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	tt := &terminal{near: near, far: far, done: make(chan struct{})}
	go func() {
		defer close(tt.done)
		buf := make([]byte, 4096)
		for {
			n, err := far.Read(buf)
			tt.mu.Lock()
			tt.text.Write(buf[:n])
			tt.mu.Unlock()
			if err != nil { // EIO once the near end is closed
				return
			}
		}
	}()
	t.Cleanup(func() { _ = far.Close() })
	return tt
}

// screen closes the program's end and returns all that was shown.
func (tt *terminal) screen() string {
	_ = tt.near.Close()
	<-tt.done
	tt.mu.Lock()
	defer tt.mu.Unlock()
	return tt.text.String()
}

// await waits until that is on the screen.
func (tt *terminal) await(t *testing.T, text string) {
	t.Helper()
	for {
		tt.mu.Lock()
		shown := strings.Contains(tt.text.String(), text)
		tt.mu.Unlock()
		if shown {
			return
		}
		select {
		case <-tt.done: // the program has ended
			t.Fatalf("never shown: %s\n%s", text, tt.screen())
		case <-time.After(time.Millisecond):
		}
	}
}

func (tt *terminal) run(r *rig, args ...string) int {
	p := *r.p
	p.stdin, p.stdout, p.stderr = tt.near, tt.near, tt.near
	return p.run(context.Background(), append([]string{"--admin-url", r.admin.URL}, args...))
}

func TestReplayAsksOnATerminal(t *testing.T) {
	for answer, want := range map[string]struct{ code, replayed int }{
		"n\n": {exitFailed, 0}, "\n": {exitFailed, 0}, "\x04": {exitFailed, 0}, "y\n": {exitOK, 2}, "YES\n": {exitOK, 2},
	} {
		r := newRig(t)
		r.list = []queue.Letter{aLetter(1, "invalid"), aLetter(2, "invalid")}
		tt := newTerminal(t)
		if _, err := io.WriteString(tt.far, answer); err != nil {
			t.Fatal(err)
		}
		code := tt.run(r, "dlq", "replay", "--all")
		screen := tt.screen()
		if code != want.code || len(r.replayed) != want.replayed {
			t.Errorf("%q: exit code %d, %d replayed\n%s", answer, code, len(r.replayed), screen)
		}
		wantParts(t, answer, screen, "Send 2 dead letters again? [y/N]")
		if code == exitOK {
			wantParts(t, answer, screen, "replaying", "2 dead letters taken up = 2 delivered")
		}
	}
	r := newRig(t)
	r.list = []queue.Letter{aLetter(1, "invalid")}
	tt := newTerminal(t)
	if code := tt.run(r, "dlq", "replay", "--all", "--yes"); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if screen := tt.screen(); strings.Contains(screen, "y/N") {
		t.Errorf("--yes asks:\n%s", screen)
	}
}

func TestStatusIsLoudOnATerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	r := newRig(t)
	tt := newTerminal(t)
	if code := tt.run(r, "status"); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	wantParts(t, "status", tt.screen(), "\x1b[1;31mPAUSED: key_refused\x1b[0m")
	t.Setenv("NO_COLOR", "1")
	tt = newTerminal(t)
	tt.run(r, "status")
	if screen := tt.screen(); strings.Contains(screen, "\x1b") {
		t.Errorf("colours although NO_COLOR is set: %q", screen)
	}
}

func TestInitAsksOnATerminal(t *testing.T) {
	p, _, _, account := newcomer(t)
	tt := newTerminal(t)
	p.stdin, p.stdout, p.stderr = tt.near, tt.near, tt.near
	done := make(chan int)
	go func() { done <- p.run(context.Background(), []string{"init", "--base-url", account}) }()
	for _, step := range [][2]string{
		{"before .myfreshworks.com", "acme"}, {"not shown", initKey}, {"Public address", "relay.example.com"}, {"Enterprise 5000", "2000"}, {"[clear]", ""},
	} {
		tt.await(t, step[0])
		for step[1] == initKey && tt.echoes(t) {
			time.Sleep(time.Millisecond)
		}
		if _, err := tt.far.WriteString(step[1] + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	code := <-done
	screen := tt.screen()
	if code != exitOK || !strings.Contains(screen, "https://relay.example.com/webhook/website") || !strings.Contains(screen, "2000 calls an hour") {
		t.Errorf("exit %d:\n%s", code, screen)
	}
	if strings.Contains(screen, initKey) {
		t.Error("the key is shown while it is typed")
	}
}

func TestInitEndsWithoutAnswers(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, tt *terminal, interrupt func()){
		"end of input": func(t *testing.T, tt *terminal, _ func()) {
			tt.await(t, "Freshmarketer account")
			if _, err := tt.far.WriteString("\x04"); err != nil {
				t.Fatal(err)
			}
		},
		"interrupt": func(t *testing.T, tt *terminal, interrupt func()) {
			if _, err := tt.far.WriteString("acme\n"); err != nil {
				t.Fatal(err)
			}
			tt.await(t, "not shown")
			for tt.echoes(t) {
				time.Sleep(time.Millisecond)
			}
			interrupt() // the test's process has no terminal that could signal it
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, _, _, _ := newcomer(t)
			tt := newTerminal(t)
			p.stdin, p.stdout, p.stderr = tt.near, tt.near, tt.near
			ctx, interrupt := context.WithCancel(t.Context())
			done := make(chan int)
			go func() { done <- p.run(ctx, []string{"init"}) }()
			end(t, tt, interrupt)
			if code := <-done; code == exitOK {
				t.Error("made something of no answers")
			}
			if !tt.echoes(t) {
				t.Error("the terminal does not show what is typed any more")
			}
			interrupt()
			if left, _ := os.ReadDir(p.dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			_, _ = tt.far.WriteString("\n") // ends a read that nobody waits for
		})
	}
}

// echoes says whether the terminal shows what is typed.
func (tt *terminal) echoes(t *testing.T) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(tt.near.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

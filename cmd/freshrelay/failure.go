package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/freshrelay/freshrelay/app/config"
)

// Exit codes. They are documented in --help.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2 // wrong usage or configuration
	exitUnreachable = 3 // the service cannot be reached
	exitPartial     = 4 // some of it was done
	exitRestart     = 5 // the service gave up while running; starting it again goes on
)

// failure is an error for the person at the terminal.
type failure struct {
	code int
	what string // what is wrong
	next string // what to do next
}

func (f *failure) Error() string { return f.what }

// mender is an error from below that knows its mend.
type mender interface {
	error
	Mend() string
}

// restarter is an error after which the service may be started again.
type restarter interface {
	mender
	Restart() bool
}

// fail says what is wrong and returns the exit code; nil is exitOK.
func (p *program) fail(err error) int {
	f := asFailure(err)
	if f == nil {
		return exitOK
	}
	fmt.Fprintln(p.stderr, "freshrelay: "+f.what)
	if f.next != "" {
		fmt.Fprintln(p.stderr, "  "+f.next)
	}
	return f.code
}

func asFailure(err error) *failure {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if wrong, ok := errors.AsType[*config.Error](err); ok {
		return &failure{exitUsage, wrong.Error(), "correct this and try again; nothing was started"}
	}
	if r, ok := errors.AsType[restarter](err); ok {
		return &failure{exitRestart, err.Error(), r.Mend()}
	}
	if m, ok := errors.AsType[mender](err); ok {
		return &failure{exitFailed, err.Error(), m.Mend()}
	}
	if errors.Is(err, context.Canceled) {
		return &failure{exitFailed, "interrupted", "run it again to go on"}
	}
	return &failure{exitFailed, err.Error(), "the log above may say more; see also: freshrelay --help"}
}

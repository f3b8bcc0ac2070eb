package app

import (
	"errors"
	"io/fs"

	"github.com/freshrelay/freshrelay/queue"
)

// startError is why the service cannot start, with what to do about it.
type startError struct {
	error

	mend string
}

func (e *startError) Unwrap() error { return e.error }

// Mend says what to do, for the person at the terminal.
func (e *startError) Mend() string { return e.mend }

// gaveUp is why a service ended that had been running. A new start goes on where it was.
type gaveUp struct{ error }

func (e *gaveUp) Unwrap() error { return e.error }

// Mend says what to do.
func (e *gaveUp) Mend() string {
	return "nothing that was accepted is lost: mend what the error names and start again, or let a supervisor do it"
}

// Restart says that a supervisor may start the service again.
func (e *gaveUp) Restart() bool { return true }

// mendStore adds what to do to an error of opening the store, where the error itself says only what is wrong.
func mendStore(err error) error {
	switch {
	case errors.Is(err, queue.ErrLocked):
		return &startError{err, "see how the other one is: freshrelay status"}
	case errors.Is(err, queue.ErrForeignAccount):
		return &startError{err, "nothing was changed in the directory"}
	case errors.Is(err, queue.ErrMoved):
		return &startError{err, "nothing was changed; see docs/cluster.md"}
	case errors.Is(err, queue.ErrDrift), errors.Is(err, queue.ErrPartitions):
		return &startError{err, "nothing was changed on the servers; see docs/cluster.md"}
	case errors.Is(err, fs.ErrPermission):
		return &startError{err, "let the user of the service own the directory, or name another one: data_dir (or --data-dir)"}
	}
	return err
}

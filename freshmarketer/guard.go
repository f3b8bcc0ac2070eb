package freshmarketer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

type guardKey struct{}

// Guarded returns a ctx for calls that may only be made as long as allowed says so. It is asked whenever bytes of the
// request are about to be written, so after any wait for a connection; with an error nothing whole is sent, and the call
// ends with KindCanceled and that error in its chain.
func Guarded(ctx context.Context, allowed func() error) context.Context {
	return context.WithValue(ctx, guardKey{}, allowed)
}

// withheldError says that a guard kept the request from being sent.
type withheldError struct{ error }

func (e withheldError) Unwrap() error { return e.error }

// guard makes the request's body ask before it is read. net/http reads it, also an empty one of unknown length, when the
// connection is there and before the request is complete; no server acts upon one that is cut short.
func guard(req *http.Request) {
	allowed, ok := req.Context().Value(guardKey{}).(func() error)
	if !ok {
		return
	}
	req.Body = guardedBody{req.Body, allowed}
	if again := req.GetBody; again != nil {
		req.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			return guardedBody{body, allowed}, err
		}
	}
}

type guardedBody struct {
	io.ReadCloser

	allowed func() error
}

func (b guardedBody) Read(p []byte) (int, error) {
	if err := b.allowed(); err != nil {
		return 0, withheldError{err}
	}
	return b.ReadCloser.Read(p)
}

func withheld(err error) bool {
	_, ok := errors.AsType[withheldError](err)
	return ok
}

// Timeout is how long one call takes at most.
func (c *Client) Timeout() time.Duration { return c.timeout }

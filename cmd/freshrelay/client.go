package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/freshrelay/freshrelay/admin"
)

// maxAnswer is far above any answer of the admin listener (bytes).
const maxAnswer = 256 << 20

// newHTTPClient returns the client for all requests of the command line. It follows no redirects: with them the token
// would go to wherever they point.
func newHTTPClient() *http.Client {
	return &http.Client{
		Timeout:       150 * time.Second, // more than the service takes for a request
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// client talks to the admin listener.
type client struct {
	http      *http.Client
	base      string // URL without a slash at the end
	token     string
	tokenFile string // for messages
}

func (c *client) get(ctx context.Context, path string, query url.Values, out any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, path, nil, out)
}

func (c *client) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	return c.do(ctx, http.MethodPost, path, body, out)
}

func (c *client) do(ctx context.Context, method, path string, in []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(in))
	if err != nil {
		return &failure{exitUsage, "not an address: " + c.base, "give the admin listener like --admin-url http://127.0.0.1:8081"}
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set(admin.ActorHeader, operator())
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return unreachable(ctx, err, c.base, "start it with `freshrelay serve`, or name its admin listener with --admin-url")
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return unreachable(ctx, err, c.base, "try again")
	}
	switch spoken := resp.Header.Get(admin.APIHeader); {
	case spoken == "":
		return c.stranger(resp.StatusCode)
	case spoken != admin.APIVersion:
		return &failure{exitFailed, "the service at " + c.base + " is of a version this command line does not understand", "use the freshrelay binary that runs there"}
	case resp.StatusCode != http.StatusOK:
		return c.refused(resp.StatusCode, body)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return c.stranger(resp.StatusCode)
	}
	return nil
}

// refused says what an answer other than 200 means.
func (c *client) refused(status int, body []byte) error {
	var p admin.Problem
	if err := json.Unmarshal(body, &p); err != nil {
		return c.stranger(status)
	}
	if status == http.StatusUnauthorized {
		return &failure{
			exitUsage, "the service at " + c.base + " does not accept the token in " + c.tokenFile,
			"name the data directory of that service: --data-dir or --token-file",
		}
	}
	if status == http.StatusBadRequest {
		return &failure{exitUsage, p.Error, p.Mend}
	}
	return &failure{exitFailed, p.Error, p.Mend}
}

func (c *client) stranger(status int) error {
	return &failure{
		exitUnreachable, fmt.Sprintf("what answers at %s is not freshrelay's admin listener (status %d)", c.base, status),
		"name the right address: --admin-url",
	}
}

// unreachable says that nobody answers, or that we were interrupted.
func unreachable(ctx context.Context, err error, base, next string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok { // its text repeats the URL, query and all
		err = wrapped.Err
	}
	return &failure{exitUnreachable, fmt.Sprintf("no freshrelay answers at %s (%v)", base, err), next}
}

// wait waits for the duration or until ctx ends; it returns the latter's cause.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// maxPoll is the longest pause between two looks at something that is awaited.
const maxPoll = 2 * time.Second

// longer lets pauses grow, so that a long wait costs the service little.
func longer(d time.Duration) time.Duration { return min(d*3/2, maxPoll) }

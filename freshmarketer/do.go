package freshmarketer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// maxAnswer bounds the bytes read of one answer. The largest real one, 100 contacts with all their fields, is well
// under 1 MiB.
const maxAnswer = 4 << 20

// call is one request: what is asked, and which values went into it and must not come back in an error.
type call struct {
	op, method, path string // path is below apiPath
	root             bool   // path is below the host itself
	query            url.Values
	body             any // nil: none
	sent             sent
	identifier       string // of an upsert
}

// answer is what came back: headers always, body as far as it could be read.
type answer struct {
	status int // 0: none came
	header http.Header
	body   []byte
	unsent bool // there was not even a connection
}

// errUnexpected is what decode functions return for a body that is JSON but not the answer of that call.
var errUnexpected = errors.New("the answer lacks what was asked for")

// do makes one call. A success is handed to decode; everything else becomes an *Error.
func (c *Client) do(ctx context.Context, cl call, decode func(answer) error) error {
	got, err := c.exchange(ctx, cl)
	if err != nil && (got.status < 300 || errors.Is(ctx.Err(), context.Canceled)) {
		return unanswered(ctx, cl, got, err)
	}
	// An error answer that was cut short is judged by its status and what arrived of its text.
	if got.status >= 300 {
		return classify(cl, got, c.labelsFor(cl), time.Now())
	}
	if err := decode(got); err != nil {
		return classifyUnreadable(cl, got, time.Now())
	}
	return nil
}

// labelsFor are the labels by which the API's texts may call the fields of the call.
func (c *Client) labelsFor(cl call) map[string]string {
	if labels := c.labels.Load(); labels != nil && strings.HasPrefix(cl.path, "/contacts") {
		return *labels
	}
	return nil
}

// exchange sends the request and reads the answer. An error with a status means that the body could not be read.
func (c *Client) exchange(ctx context.Context, cl call) (got answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := c.request(ctx, cl)
	if err != nil {
		return answer{}, err
	}
	start := time.Now()
	defer func() { c.onCall(cl.op, got.status, time.Since(start)) }()
	// A transport that does not know of the trace calls neither, and is not believed to have sent nothing.
	var asked, connected atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{unsent: asked.Load() && !connected.Load()}, err
	}
	defer resp.Body.Close()
	got = answer{status: resp.StatusCode, header: resp.Header}
	if limits, said := readLimits(resp.Header, time.Now()); said {
		c.onLimits(cl.op, limits)
	}
	got.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	c.onAnswer(cl.op, got.status, got.header, got.body)
	if len(got.body) > maxAnswer {
		return got, fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	return got, err
}

// request builds the HTTP request. Its errors are *Error already.
func (c *Client) request(ctx context.Context, cl call) (*http.Request, error) {
	var body io.Reader
	if cl.body != nil {
		encoded, err := encode(cl.body)
		if err != nil {
			return nil, notEncodable(cl.op)
		}
		body = bytes.NewReader(encoded)
	}
	target := c.base.JoinPath(cl.path)
	if cl.root {
		target.Path = strings.TrimSuffix(c.base.Path, apiPath) + cl.path
	}
	target.RawQuery = cl.query.Encode()
	req, err := http.NewRequestWithContext(ctx, cl.method, target.String(), body)
	if err != nil { // the text would repeat the URL and with it the values of the query
		return nil, refuse(cl.op, "the request's URL cannot be built")
	}
	if cl.body == nil {
		// With no body at all, net/http repeats a GET by itself when a kept connection breaks. That call would be
		// neither seen by OnCall nor counted against the quota.
		req.Body = unrepeatable{}
	}
	c.authorize(req.Header)
	// Without this an unauthenticated call is answered by a redirect to a sign-in page instead of 401.
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	guard(req)
	return req, nil
}

// unrepeatable is an empty body of which net/http does not know that it is empty.
type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }
func (unrepeatable) Close() error             { return nil }

// encode is json.Marshal without HTML escapes: a value echoed by the API then looks like the value we sent, and can be redacted.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// unanswered makes the error of a call without a whole answer. A cancelled ctx of the caller is told apart from our
// own timeout and from the network: stopping is not failing.
func unanswered(ctx context.Context, cl call, got answer, err error) error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	cause := withoutURL(err)
	kind := KindTemporary
	if errors.Is(ctx.Err(), context.Canceled) {
		kind, cause = KindCanceled, ctx.Err()
		if why := context.Cause(ctx); !errors.Is(why, context.Canceled) {
			cause = fmt.Errorf("%w: %w", ctx.Err(), why)
		}
	}
	if withheld(err) {
		kind, got.unsent = KindCanceled, true
	}
	return &Error{Op: cl.op, Kind: kind, Status: got.status, Text: cl.sent.redact(cause.Error()), Unsent: got.unsent, Err: cause}
}

// withoutURL strips *url.Error, however deep: its text is the URL, and a lookup's URL holds an email address.
func withoutURL(err error) error {
	for {
		var wrapped *url.Error
		if !errors.As(err, &wrapped) || wrapped.Err == nil {
			return err
		}
		err = wrapped.Err
	}
}

// acknowledged takes any body that does not say otherwise, for calls of whose answer nothing else matters. A page is none:
// somebody in front of the API answered.
func acknowledged(got answer) error {
	if body := readBody(got); body.html || body.loginFailed || body.hasErrors || len(body.codes) > 0 {
		return errUnexpected
	}
	return nil
}

// confirmed is acknowledged for a deletion, whose success is the word true: nothing at all, but for a 204, is not believed. It is
// asked for again then, and costs one call.
func confirmed(got answer) error {
	if got.status != http.StatusNoContent && len(bytes.TrimSpace(got.body)) == 0 {
		return errUnexpected
	}
	return acknowledged(got)
}

// decodeInto unmarshals the body into v and then asks whole whether what matters is there.
func decodeInto(v any, whole func() bool) func(answer) error {
	return func(got answer) error {
		if err := json.Unmarshal(got.body, v); err != nil {
			return err
		}
		if !whole() {
			return errUnexpected
		}
		return nil
	}
}

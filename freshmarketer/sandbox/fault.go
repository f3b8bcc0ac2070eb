package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is one way to misbehave: which calls it takes, and what happens to them. Exactly one of Next and Percent is
// given, and at least one of Status, Delay, Cut and DropAnswer. The zero values of the rest take every call.
//
// As JSON the keys are next, percent, seed, operation, match, match_body, skip, after ("10m"), for, first_attempts,
// status, headers, body, empty, done, delay ("2s"), cut and drop_answer; body may be a string or any JSON value.
type Fault struct {
	Next    int     // takes that many calls, then is gone
	Percent float64 // takes that share of the calls, 0 < p ≤ 100, until cleared
	Seed    uint64  // of Percent's dice, so that a run can be repeated

	Operation string // one or several operations, joined by "|"; "": all
	Match     string // a part of the path, e.g. a contact's id
	MatchBody string // a part of the request's body, e.g. a user's external id: one user's trouble

	Skip          int           // lets that many of these calls pass first
	After         time.Duration // takes none before that time since the fault was added
	For           time.Duration // and none later than that after its beginning; 0: no end
	FirstAttempts bool          // takes no call that was made before with the same body

	Status     int               // answer this instead of doing what was asked
	Headers    map[string]string // of that answer, e.g. Retry-After
	Body       string            // of that answer; "": the API's own body for that status
	Empty      bool              // that answer has no body at all
	Done       bool              // what was asked is done before that answer, as behind a gateway that gives up too early
	Delay      time.Duration     // wait before anything happens, or, with DropAnswer or Done, between the effect and what follows
	Cut        bool              // cut the connection before anything happens, or, with Status, in the middle of the answer
	DropAnswer bool              // do what was asked, then cut the connection instead of answering
}

// faultJSON is Fault on the wire.
type faultJSON struct {
	Next       int               `json:"next,omitempty"`
	Percent    float64           `json:"percent,omitempty"`
	Seed       uint64            `json:"seed,omitempty"`
	Operation  string            `json:"operation,omitempty"`
	Match      string            `json:"match,omitempty"`
	MatchBody  string            `json:"match_body,omitempty"`
	Skip       int               `json:"skip,omitempty"`
	After      span              `json:"after,omitempty"`
	For        span              `json:"for,omitempty"`
	First      bool              `json:"first_attempts,omitempty"`
	Status     int               `json:"status,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`
	Body       json.RawMessage   `json:"body,omitempty"`
	Empty      bool              `json:"empty,omitempty"`
	Done       bool              `json:"done,omitempty"`
	Delay      span              `json:"delay,omitempty"`
	Cut        bool              `json:"cut,omitempty"`
	DropAnswer bool              `json:"drop_answer,omitempty"`
}

func (f faultJSON) fault() Fault {
	fault := Fault{
		Next: f.Next, Percent: f.Percent, Seed: f.Seed, Operation: f.Operation, Match: f.Match, MatchBody: f.MatchBody,
		Skip: f.Skip, After: time.Duration(f.After), For: time.Duration(f.For), FirstAttempts: f.First,
		Status: f.Status, Headers: f.Headers, Body: string(f.Body), Empty: f.Empty, Done: f.Done, Delay: time.Duration(f.Delay), Cut: f.Cut, DropAnswer: f.DropAnswer,
	}
	var text string
	if json.Unmarshal(f.Body, &text) == nil {
		fault.Body = text
	}
	return fault
}

// MarshalJSON writes the wire form.
func (f Fault) MarshalJSON() ([]byte, error) {
	wire := faultJSON{
		Next: f.Next, Percent: f.Percent, Seed: f.Seed, Operation: f.Operation, Match: f.Match, MatchBody: f.MatchBody,
		Skip: f.Skip, After: span(f.After), For: span(f.For), First: f.FirstAttempts,
		Status: f.Status, Headers: f.Headers, Empty: f.Empty, Done: f.Done, Delay: span(f.Delay), Cut: f.Cut, DropAnswer: f.DropAnswer,
	}
	switch {
	case f.Body == "":
	case json.Valid([]byte(f.Body)):
		wire.Body = json.RawMessage(f.Body)
	default:
		text, err := json.Marshal(f.Body)
		if err != nil {
			return nil, err
		}
		wire.Body = text
	}
	return json.Marshal(wire)
}

func (f Fault) validate() error {
	var errs []error
	if (f.Next > 0) == (f.Percent > 0) || f.Next < 0 || f.Percent < 0 || f.Percent > 100 {
		errs = append(errs, errors.New("give either next (1 or more calls) or percent (more than 0, at most 100)"))
	}
	if f.Status == 0 && f.Delay <= 0 && !f.Cut && !f.DropAnswer {
		errs = append(errs, errors.New("give at least one of status, delay, cut, drop_answer"))
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		errs = append(errs, fmt.Errorf("status: %d is not between 200 and 599", f.Status))
	}
	if f.DropAnswer && (f.Status != 0 || f.Cut) {
		errs = append(errs, errors.New("drop_answer: does not go together with status or cut, which prevent the effect"))
	}
	if f.Status == 0 && (f.Body != "" || len(f.Headers) > 0 || f.Empty || f.Done) {
		errs = append(errs, errors.New("headers, body, empty, done: need a status"))
	}
	if f.Empty && f.Body != "" {
		errs = append(errs, errors.New("empty: does not go together with body"))
	}
	if f.Skip < 0 || f.After < 0 || f.For < 0 || f.Delay < 0 {
		errs = append(errs, errors.New("skip, after, for, delay: must not be negative"))
	}
	for _, op := range f.operations() {
		if !slices.Contains(operations(), op) {
			errs = append(errs, fmt.Errorf("operation: %q is none of %s", op, strings.Join(operations(), ", ")))
		}
	}
	return errors.Join(errs...)
}

func (f Fault) operations() []string {
	if f.Operation == "" {
		return nil
	}
	return strings.Split(f.Operation, "|")
}

// takes reports whether the fault is meant for this call.
func (f Fault) takes(rq request) bool {
	return (f.Operation == "" || slices.Contains(f.operations(), rq.op)) &&
		strings.Contains(rq.path, f.Match) && strings.Contains(string(rq.body), f.MatchBody)
}

// action says in a word or two what the fault does, for the call log; "" if it is the zero fault.
func (f Fault) action() string {
	var parts []string
	if f.Delay > 0 {
		parts = append(parts, "delay "+f.Delay.String())
	}
	if f.Status != 0 {
		parts = append(parts, "status "+strconv.Itoa(f.Status))
	}
	if f.Done {
		parts = append(parts, "done")
	}
	if f.Cut {
		parts = append(parts, "cut")
	}
	if f.DropAnswer {
		parts = append(parts, "drop_answer")
	}
	return strings.Join(parts, ", ")
}

func (f Fault) cutsAtOnce() bool { return f.Cut && f.Status == 0 }

// stall waits for Delay and reports whether the client is still there.
func (f Fault) stall(ctx context.Context) bool {
	if f.Delay <= 0 {
		return true
	}
	timer := time.NewTimer(f.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// write answers with Status. With Cut it promises more than it sends and cuts the connection.
func (f Fault) write(w http.ResponseWriter) {
	body := f.Body
	if body == "" && !f.Empty {
		body = defaultBody(f.Status)
	}
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	if strings.HasPrefix(body, "<") {
		header.Set("Content-Type", "text/html; charset=utf-8")
	}
	if f.Status >= 300 && f.Status < 400 {
		header.Set("Location", loginPath)
	}
	if f.Cut {
		header.Set("Content-Length", strconv.Itoa(len(body)+100))
	}
	for name, value := range f.Headers {
		header.Set(name, value)
	}
	w.WriteHeader(f.Status)
	// Ignoring the errors: the client has gone, or the status allows no body.
	_, _ = w.Write([]byte(body))
	if f.Cut {
		_ = http.NewResponseController(w).Flush()
		abort()
	}
}

// defaultBody is what the API sends with a status. Source: recorded answers.
func defaultBody(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return `{"login":"failed","message":"Incorrect or expired API key"}`
	case status == http.StatusForbidden:
		return `{"errors":{"code":403,"message":["You are not authorized to perform this action."]}}`
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status < 400:
		return ""
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity:
		return `{"errors":{"code":` + strconv.Itoa(status) + `,"message":["Invalid or missing attributes"]}}`
	}
	return `{"error_code":` + strconv.Itoa(status) + `}`
}

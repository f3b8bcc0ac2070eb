package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/queue"
)

// APIHeader is on every JSON answer, so that a client can tell this listener from whatever else answers on a port. Its
// value changes when old clients would misread what they get.
const (
	APIHeader  = "Freshrelay-Api"
	APIVersion = "1"
)

// maxBody is room for the ids of some 50,000 letters (bytes).
const maxBody = 4 << 20

// handler is an http.Handler that can fail: a *problem goes out as it is, any other error as one of ours.
type handler func(w http.ResponseWriter, r *http.Request) error

// problem is an error for the caller.
type problem struct {
	code       int
	what, mend string
}

func (p *problem) Error() string { return p.what + "; " + p.mend }

// Problem is how an error looks on the wire.
type Problem struct {
	Error string `json:"error"` // what is wrong
	Mend  string `json:"mend"`  // what to do about it
}

func get(h handler) handler  { return only(http.MethodGet, h) }
func post(h handler) handler { return only(http.MethodPost, h) }

// byMethod answers GET (and HEAD) by one handler and POST by another.
func byMethod(read, write handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			return read(w, r)
		case http.MethodPost:
			return write(w, r)
		}
		w.Header().Set("Allow", "GET, POST")
		return &problem{http.StatusMethodNotAllowed, "this path does not take " + r.Method, "use GET or POST"}
	}
}

// only lets one method through (and HEAD where GET is).
func only(method string, h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
			return h(w, r)
		}
		w.Header().Set("Allow", method)
		return &problem{http.StatusMethodNotAllowed, "this path does not take " + r.Method, "use " + method}
	}
}

// open answers without asking for the token.
func (s *server) open(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		if err := h(w, r.WithContext(ctx)); err != nil {
			s.fail(w, r, err)
		}
	})
}

// fail answers with the error. The log gets the route and not the path: a query may hold a userId.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = problemOf(err)
		log := s.Logger.Error
		if p.code < http.StatusInternalServerError { // the caller's mistake is nobody's alarm
			log = s.Logger.Debug
		}
		log("admin request failed", zap.String("route", r.Pattern), zap.Int("status", p.code), zap.Error(err))
	}
	if p.code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	_ = answer(w, p.code, Problem{Error: p.what, Mend: p.mend})
}

// problemOf says what an error from below means to the caller.
func problemOf(err error) *problem {
	if p := replayProblem(err); p != nil {
		return p
	}
	switch {
	case errors.Is(err, queue.ErrNoLetter):
		return &problem{
			http.StatusNotFound, "no such dead letter", "it may have been delivered meanwhile; see: freshrelay dlq list",
		}
	case errors.Is(err, queue.ErrFull):
		return &problem{
			http.StatusServiceUnavailable, "the store is full",
			"let what waits be delivered or give it more room (nats.max_bytes), then try again",
		}
	case errors.Is(err, queue.ErrMoved):
		return &problem{http.StatusServiceUnavailable, "the store has moved", "stop this process and start it with the configuration that freshrelay migrate printed"}
	case errors.Is(err, queue.ErrStuck):
		return &problem{http.StatusServiceUnavailable, "the store is stuck", "look at the service's log; it ends by itself and is to be started again"}
	case errors.Is(err, queue.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return &problem{
			http.StatusServiceUnavailable, "the store does not answer now", "try again in a moment; if it stays so, look at the service's log",
		}
	default:
		return &problem{http.StatusInternalServerError, "this failed inside freshrelay", "look at the service's log"}
	}
}

// answer writes v as JSON. It fails only before anything is written; a connection that breaks later has nobody left to
// be told.
func answer(w http.ResponseWriter, code int, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set(APIHeader, APIVersion)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = b.WriteTo(w)
	return nil
}

// body reads a JSON object into v. Keys it does not know are refused: a misspelt filter must not select everything.
func body(w http.ResponseWriter, r *http.Request, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("there is more than one JSON value")
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{
			http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit), "send fewer ids at once",
		}
	}
	return badRequest("the body is not what this path takes: "+strings.TrimPrefix(err.Error(), "json: "),
		"send one JSON object with the documented keys")
}

// queryOf returns the query after checking that every parameter is one of these: a misspelt one would do nothing.
func queryOf(r *http.Request, allowed ...string) (map[string]string, error) {
	out := make(map[string]string)
	for name, values := range r.URL.Query() {
		if !slices.Contains(allowed, name) {
			return nil, badRequest(fmt.Sprintf("there is no parameter %q here", name), "use: "+strings.Join(allowed, ", "))
		}
		if len(values) > 1 {
			return nil, badRequest(fmt.Sprintf("the parameter %q is given more than once", name), "give it once")
		}
		out[name] = values[0]
	}
	return out, nil
}

func badRequest(what, mend string) error { return &problem{http.StatusBadRequest, what, mend} }

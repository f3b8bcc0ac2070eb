package app

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"sync"
)

// maxCAAnswer is far above any answer about an order (bytes).
const maxCAAnswer = 64 << 10

// caWords listens to what a CA says about a challenge it could not pass. autocert goes on to the next kind of challenge
// then, and in the end knows only that there was none left; the one who has to mend DNS or a firewall needs to know why.
type caWords struct {
	next http.RoundTripper

	mu   sync.Mutex
	last string
}

// RoundTrip implements http.RoundTripper.
func (w *caWords) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	head, err := io.ReadAll(io.LimitReader(resp.Body, maxCAAnswer))
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	w.listen(head)
	return resp, nil
}

// listen takes the reason out of an authorization that failed.
// Source: RFC 8555, sections 7.1.4 and 8.
func (w *caWords) listen(answer []byte) {
	var authorization struct {
		Status     string `json:"status"`
		Challenges []struct {
			Error struct {
				Detail string `json:"detail"`
			} `json:"error"`
		} `json:"challenges"`
	}
	if json.Unmarshal(answer, &authorization) != nil || authorization.Status != "invalid" {
		return // certificates and everything that went well
	}
	for _, challenge := range authorization.Challenges {
		if detail := challenge.Error.Detail; detail != "" {
			w.mu.Lock()
			w.last = detail
			w.mu.Unlock()
		}
	}
}

// take returns what was said since the last time, "" if nothing.
func (w *caWords) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	said := w.last
	w.last = ""
	return said
}

package sandbox

import (
	"encoding/json"
	"maps"
	"net/http"
)

// answer is what a call is answered with, and what it did.
type answer struct {
	status    int
	header    http.Header
	body      any    // nil: an empty body
	text      string // instead of body, not JSON
	contactID int64
	effect    bool // a contact was written
}

func (a answer) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	if a.text != "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(a.status)
		// Ignoring the error: the client has gone, and nobody is left to tell.
		_, _ = w.Write([]byte(a.text))
		return
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	writeJSON(w, a.status, a.body)
}

// mergeHeaders adds b to a, which may be nil.
func mergeHeaders(a, b http.Header) http.Header {
	if a == nil {
		return b
	}
	maps.Copy(a, b)
	return a
}

// refuse is the API's canonical error body. Source: recorded answers, {"errors":{"code":400,"message":[…]}}.
func (s *Sandbox) refuse(status int, messages ...string) answer {
	return answer{status: status, body: errorBody(status, messages)}
}

func errorBody(status int, messages []string) map[string]any {
	return map[string]any{"errors": map[string]any{"code": status, "message": messages}}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	encoded, written := body.(json.RawMessage)
	var err error
	if !written {
		encoded, err = json.Marshal(body)
	}
	if err != nil { // only values read from JSON get here, so this is a bug of the sandbox
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	// Ignoring the error: the client has gone, and nobody is left to tell.
	_, _ = w.Write(encoded)
}

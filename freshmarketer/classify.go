package freshmarketer

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Texts by which the API tells, inside a 400, what the status does not. Compared in lower case.
// Source: Freshworks CRM error texts seen in client code and connector documentation. A bare "429" is not among them:
// error texts repeat the email address, and addresses contain numbers.
var (
	throttleTexts = []string{"response_code :: 429", "too many requests"}          //nolint:gochecknoglobals // a list nobody writes to
	conflictTexts = []string{"not unique", "already exists", "already been taken"} //nolint:gochecknoglobals // the same
)

// codeNotUnique is the number that goes with "Email is not unique" and "Contact is not unique", whose texts are localised.
// Source: seen in client code.
const codeNotUnique = 3002

// classify makes the error of an answer that is not a success.
func classify(cl call, got answer, labels map[string]string, now time.Time) *Error {
	body := readBody(got)
	e := &Error{
		Op:         cl.op,
		Status:     got.status,
		RetryAfter: retryAfter(got.header, now),
		Kind:       kindOf(cl, got.status, body),
		Text:       cl.sent.redact(body.text),
	}
	if e.Text == "" {
		e.Text = http.StatusText(got.status)
	}
	if e.Kind == KindConflict || e.Kind == KindInvalid {
		e.Field = cl.sent.fieldNamedIn(e.Text, labels)
	}
	e.IdentifierDoubt = e.Kind == KindInvalid && cl.identifier != "" && cl.identifier != "emails" &&
		(e.Field == "" || e.Field == cl.identifier || strings.Contains(strings.ToLower(body.text), "identifier"))
	return e
}

// classifyUnreadable makes the error of a success that is not the answer of the call.
func classifyUnreadable(cl call, got answer, now time.Time) *Error {
	body := readBody(got)
	e := &Error{
		Op: cl.op, Status: got.status, RetryAfter: retryAfter(got.header, now), Kind: KindTemporary,
		Text: "the answer could not be read",
	}
	switch {
	case body.html:
		e.Kind, e.Text = KindMisrouted, body.text
	case body.loginFailed:
		e.Kind, e.Text = KindAuth, cl.sent.redact(body.text)
	case body.has(http.StatusTooManyRequests):
		e.Kind, e.Text = KindThrottled, cl.sent.redact(body.text)
	case body.hasErrors:
		e.Text = cl.sent.redact(body.text)
	}
	return e
}

// kindOf decides by status first and by text where the API hides the real one. 405 means "too many jobs" on the bulk
// endpoint only; on the single calls it is a status the API is not known to send.
func kindOf(cl call, status int, body errorBody) Kind {
	switch {
	case body.loginFailed, status == http.StatusUnauthorized:
		return KindAuth
	case status < 400: // only 3xx come here
		return KindMisrouted
	case status == http.StatusTooManyRequests, body.has(http.StatusTooManyRequests):
		return KindThrottled
	case status == http.StatusMethodNotAllowed && cl.op == OpBulkUpsert:
		return KindThrottled
	case status >= 500, status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		return KindTemporary
	case status == http.StatusForbidden:
		return KindPermission
	case status == http.StatusNotFound && cl.op == OpSendEvent && !body.hasErrors:
		return KindUnsupported
	case status == http.StatusNotFound && body.hasErrors:
		return KindGone
	case status == http.StatusNotFound:
		return KindMisrouted
	case status == http.StatusBadRequest && body.html:
		return KindMisrouted // a proxy's page: the API itself never refuses a change in HTML
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity:
		if body.has(codeNotUnique) {
			return KindConflict
		}
		return kindOfRefusal(cl.sent, body.text)
	}
	return KindUnknown
}

func kindOfRefusal(s sent, text string) Kind {
	switch {
	case s.says(text, throttleTexts):
		return KindThrottled
	case s.says(text, conflictTexts):
		return KindConflict
	}
	return KindInvalid
}

// errorBody is what can be learnt from the body of an error.
type errorBody struct {
	text        string // the messages, not redacted
	html        bool
	hasErrors   bool // a JSON object with "errors": the API itself speaks, not something in front of it
	loginFailed bool
	codes       []string // the numbers it gives: error_code, and code inside "errors"
}

func (b errorBody) has(code int) bool { return slices.Contains(b.codes, strconv.Itoa(code)) }

// readBody knows the shapes seen: {"errors":{"code","message":[…]}} with message also a bare string,
// {"error_code":429}, {"login":"failed","message":null}, HTML, text and nothing.
func readBody(got answer) errorBody {
	trimmed := bytes.TrimSpace(bytes.TrimPrefix(got.body, []byte("\xef\xbb\xbf")))
	if bytes.HasPrefix(trimmed, []byte("<")) || strings.Contains(got.header.Get("Content-Type"), "text/html") {
		return errorBody{html: true, text: "an HTML page instead of JSON"}
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(trimmed, &object) != nil {
		return errorBody{text: string(trimmed)}
	}
	var body errorBody
	raw, ok := object["errors"]
	body.hasErrors = ok && string(raw) != "null"
	var login string
	body.loginFailed = json.Unmarshal(object["login"], &login) == nil && login == "failed"
	body.codes = codesIn(object)

	var texts []string
	for _, key := range []string{"errors", "message", "error", "description"} {
		texts = appendTexts(texts, object[key])
	}
	if len(texts) == 0 && len(body.codes) > 0 {
		texts = append(texts, "error_code "+body.codes[0])
	}
	body.text = strings.Join(texts, "; ")
	return body
}

// codesIn are the numbers that say what is wrong, whatever the language of the texts.
func codesIn(object map[string]json.RawMessage) (codes []string) {
	var inner map[string]json.RawMessage
	_ = json.Unmarshal(object["errors"], &inner) // ignoring the error: a list or a text has none
	for _, raw := range []json.RawMessage{object["error_code"], inner["code"], inner["error_code"]} {
		var code text
		if json.Unmarshal(raw, &code) == nil && strings.Trim(string(code), "0") != "" && isID(string(code)) {
			codes = append(codes, string(code))
		}
	}
	return codes
}

// appendTexts collects the strings of a JSON value; of an object only those under "message".
func appendTexts(texts []string, raw json.RawMessage) []string {
	var (
		one  string
		list []json.RawMessage
		obj  struct {
			Message json.RawMessage `json:"message"`
		}
	)
	switch {
	case len(raw) == 0:
	case json.Unmarshal(raw, &one) == nil:
		if one != "" {
			texts = append(texts, one)
		}
	case json.Unmarshal(raw, &list) == nil:
		for _, item := range list {
			texts = appendTexts(texts, item)
		}
	case json.Unmarshal(raw, &obj) == nil:
		texts = appendTexts(texts, obj.Message)
	}
	return texts
}

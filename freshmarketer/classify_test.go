package freshmarketer_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
)

const testKey = "k3y-of-the-account"

// clientOf returns a client whose every call is answered by handler.
func clientOf(t *testing.T, handler http.HandlerFunc) *freshmarketer.Client {
	t.Helper()
	client, err := freshmarketer.New(freshmarketer.Config{BaseURL: sandboxtest.BaseURL, APIKey: testKey, HTTPClient: sandboxtest.Serve(t, handler)})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// reply is a canned answer.
type reply struct {
	status int
	header map[string]string
	body   string
}

func (r reply) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	for name, value := range r.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(r.status)
	_, _ = io.WriteString(w, r.body)
}

func TestKindOfEveryAnswer(t *testing.T) {
	t.Parallel()
	const (
		invalid = `{"errors":{"code":400,"message":["Invalid contact status provided."]}}`
		page    = "<!DOCTYPE html><html><title>Sign in</title></html>"
	)
	html := map[string]string{"Content-Type": "text/html; charset=utf-8"}
	tests := []struct {
		name   string
		answer reply
		want   freshmarketer.Kind
	}{
		{"no key", reply{401, nil, `{"login":"failed","message":null}`}, freshmarketer.KindAuth},
		{"bad key", reply{401, nil, `{"login":"failed","message":"Incorrect or expired API key"}`}, freshmarketer.KindAuth},
		{"401 without a body", reply{401, nil, ``}, freshmarketer.KindAuth},
		{"login failed with another status", reply{400, nil, `{"login":"failed"}`}, freshmarketer.KindAuth},
		{"login failed with 200", reply{200, nil, `{"login":"failed","message":null}`}, freshmarketer.KindAuth},

		{"forbidden", reply{403, nil, `{"errors":{"code":403,"message":["not authorized"]}}`}, freshmarketer.KindPermission},
		{"older forbidden", reply{403, nil, `{"errors":{"message":"Access Denied"}}`}, freshmarketer.KindPermission},

		{"429", reply{429, nil, `Too many requests`}, freshmarketer.KindThrottled},
		{"429 as JSON", reply{429, nil, `{"error_code":429}`}, freshmarketer.KindThrottled},
		{"429 in the body only", reply{400, nil, `{"error_code":429}`}, freshmarketer.KindThrottled},
		{"429 in the body of a 200", reply{200, nil, `{"error_code":429}`}, freshmarketer.KindThrottled},
		{"hidden 429", reply{400, nil, `{"errors":{"code":400,"message":["UCR contact fetch failure :: response_code :: 429 :: response :: Too many requests"]}}`}, freshmarketer.KindThrottled},
		{"hidden 429 as the code of the errors, in Dutch", reply{400, nil, `{"errors":{"code":429,"message":["Te veel verzoeken"]}}`}, freshmarketer.KindThrottled},
		{"the same in a 200", reply{200, nil, `{"errors":{"code":"429","message":"Te veel verzoeken"}}`}, freshmarketer.KindThrottled},
		{"hidden 429 as plain text", reply{400, nil, `Too Many Requests`}, freshmarketer.KindThrottled},
		{"a 429 that is part of an address", reply{400, nil, `{"errors":{"code":400,"message":["429@x.test is an invalid email address."]}}`}, freshmarketer.KindInvalid},

		{"email exists", reply{400, nil, `{"errors":{"code":400,"message":["a@b.test already exists."]}}`}, freshmarketer.KindConflict},
		{"not unique", reply{400, nil, `{"errors":{"code":400,"message":["MobileNumber is not unique"]}}`}, freshmarketer.KindConflict},
		{"taken, message as text", reply{400, nil, `{"errors":{"code":400,"message":"Name has already been taken"}}`}, freshmarketer.KindConflict},
		{"taken, 422", reply{422, nil, `{"errors":["Email is Not Unique"]}`}, freshmarketer.KindConflict},
		{"a clash by its number, in Spanish", reply{400, nil, `{"error_code":3002,"message":"El correo no es único"}`}, freshmarketer.KindConflict},
		{"the same inside the errors", reply{400, nil, `{"errors":{"code":400,"error_code":3002,"message":["El contacto no es único"]}}`}, freshmarketer.KindConflict},
		{"numbers that are part of a text", reply{400, nil, `{"errors":{"code":400,"message":["3002 and 429 are bad"]},"error_code":400}`}, freshmarketer.KindInvalid},
		{"exists in Dutch cannot be known", reply{400, nil, `{"errors":{"code":400,"message":["a@b.test bestaat al."]}}`}, freshmarketer.KindInvalid},

		{"invalid", reply{400, nil, invalid}, freshmarketer.KindInvalid},
		{"invalid, no body", reply{400, nil, ``}, freshmarketer.KindInvalid},
		{"invalid, body true", reply{400, nil, `true`}, freshmarketer.KindInvalid},
		{"422", reply{422, nil, `{"error_code":422}`}, freshmarketer.KindInvalid},
		{"400 of a proxy", reply{400, html, page}, freshmarketer.KindMisrouted},

		{"gone", reply{404, nil, `{"errors":{"code":404,"message":["not in the CRM"]}}`}, freshmarketer.KindGone},
		{"bare 404", reply{404, nil, ``}, freshmarketer.KindMisrouted},
		{"404 page", reply{404, html, page}, freshmarketer.KindMisrouted},
		{"classic 404", reply{404, nil, `{"error_code":404}`}, freshmarketer.KindMisrouted},
		{"errors is null", reply{404, nil, `{"errors":null}`}, freshmarketer.KindMisrouted},
		{"sign-in redirect", reply{302, map[string]string{"Location": "/crm/sales/login"}, ``}, freshmarketer.KindMisrouted},
		{"moved", reply{301, map[string]string{"Location": "https://elsewhere.test/"}, page}, freshmarketer.KindMisrouted},
		{"temporary redirect", reply{307, map[string]string{"Location": "/crm/sales/api/contacts/2"}, ``}, freshmarketer.KindMisrouted},
		{"300 without a location", reply{300, nil, ``}, freshmarketer.KindMisrouted},
		{"page with 200", reply{200, html, page}, freshmarketer.KindMisrouted},
		{"page with 200 that says it is JSON", reply{200, map[string]string{"Content-Type": "application/json"}, "\n" + page}, freshmarketer.KindMisrouted},

		{"500", reply{500, nil, `{"error_code":500}`}, freshmarketer.KindTemporary},
		{"502 page", reply{502, html, page}, freshmarketer.KindTemporary},
		{"503", reply{503, nil, ``}, freshmarketer.KindTemporary},
		{"504", reply{504, nil, ``}, freshmarketer.KindTemporary},
		{"599", reply{599, nil, ``}, freshmarketer.KindTemporary},
		{"408", reply{408, nil, ``}, freshmarketer.KindTemporary},
		{"425", reply{425, nil, ``}, freshmarketer.KindTemporary},
		{"empty 200", reply{200, nil, ``}, freshmarketer.KindTemporary},
		{"200 cut inside the JSON", reply{200, nil, `{"contact":{"id":1`}, freshmarketer.KindTemporary},
		{"200 shorter than promised", reply{200, map[string]string{"Content-Length": "99"}, `{"contact":{"id":1}}`}, freshmarketer.KindTemporary},
		{"200 true", reply{200, nil, `true`}, freshmarketer.KindTemporary},
		{"200 without an id", reply{200, nil, `{"contact":{"email":"a@b.test"}}`}, freshmarketer.KindTemporary},
		{"200 with an error", reply{200, nil, invalid}, freshmarketer.KindTemporary},

		{"405 on a single call", reply{405, nil, ``}, freshmarketer.KindUnknown},
		{"409", reply{409, nil, ``}, freshmarketer.KindUnknown},
		{"410", reply{410, nil, ``}, freshmarketer.KindUnknown},
		{"413", reply{413, nil, ``}, freshmarketer.KindUnknown},
		{"418", reply{418, nil, ``}, freshmarketer.KindUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := clientOf(t, tt.answer.ServeHTTP).GetContact(t.Context(), "1")
			var e *freshmarketer.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if e.Kind != tt.want || e.Status != tt.answer.status || e.Op != freshmarketer.OpGetContact {
				t.Errorf("got kind %q, status %d, op %q (%v), want kind %q, status %d", e.Kind, e.Status, e.Op, err, tt.want, tt.answer.status)
			}
			if freshmarketer.KindOf(err) != tt.want {
				t.Errorf("KindOf = %q, want %q", freshmarketer.KindOf(err), tt.want)
			}
		})
	}
}

// A value that looks like one of the API's own texts must not change the verdict: nobody may stop everyone's delivery,
// or look like a clash, by calling themselves so.
func TestSentValuesDoNotClassify(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value, text string
		want              freshmarketer.Kind
	}{
		{"throttle text as a name", "Too many requests", "too many requests is not in required length", freshmarketer.KindInvalid},
		{"throttle text in a name", "x response_code :: 429 y", "'X response_code :: 429 Y' is bad", freshmarketer.KindInvalid},
		{"conflict text as a name", "already exists", "already exists is not in required length", freshmarketer.KindInvalid},
		{"a word of the text as a name", "requests", "Too many requests", freshmarketer.KindThrottled},
		{"throttle text as a name, throttled", "too many requests", "UCR contact fetch failure :: response_code :: 429 :: response :: Too many requests", freshmarketer.KindThrottled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client := clientOf(t, reply{400, nil, `{"errors":{"code":400,"message":["` + tt.text + `"]}}`}.ServeHTTP)
			_, err := client.UpdateContact(t.Context(), "1", freshmarketer.ContactWrite{Fields: freshmarketer.Fields{"first_name": tt.value}})
			if got := freshmarketer.KindOf(err); got != tt.want {
				t.Errorf("kind %q, want %q (%v)", got, tt.want, err)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const date = "Mon, 02 Mar 2026 09:15:00 GMT"
	tests := []struct {
		name   string
		header map[string]string
		want   time.Duration
	}{
		{"nothing", nil, 0},
		{"seconds", map[string]string{"Retry-After": "8"}, 8 * time.Second},
		{"zero", map[string]string{"Retry-After": "0"}, 0},
		{"a Unix time, by the server's clock", map[string]string{"Retry-After": "1772443050", "Date": date}, 150 * time.Second},
		{"a Unix time in milliseconds", map[string]string{"Retry-After": "1772443050000", "Date": date}, 150 * time.Second},
		{"absurd", map[string]string{"Retry-After": "9999999999999"}, 7 * 24 * time.Hour},
		{"negative", map[string]string{"Retry-After": "-5"}, 0},
		{"a word", map[string]string{"Retry-After": "soon"}, 0},
		{"date, by the server's clock", map[string]string{"Retry-After": "Mon, 02 Mar 2026 09:17:30 GMT", "Date": date}, 150 * time.Second},
		{"date gone by", map[string]string{"Retry-After": "Mon, 02 Mar 2026 09:14:00 GMT", "Date": date}, 0},
		{"date far off", map[string]string{"Retry-After": "Mon, 02 Mar 2099 09:14:00 GMT", "Date": date}, 7 * 24 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := clientOf(t, reply{429, tt.header, ``}.ServeHTTP).Probe(t.Context())
			var e *freshmarketer.Error
			if !errors.As(err, &e) || e.RetryAfter != tt.want {
				t.Errorf("got %+v, want RetryAfter %s", e, tt.want)
			}
		})
	}
}

func TestCanceledIsNotFailed(t *testing.T) {
	t.Parallel()
	stopping := errors.New("stopping")
	ctx, cancel := context.WithCancelCause(t.Context())
	client := clientOf(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel(stopping)
		<-r.Context().Done()
	})
	_, err := client.GetContact(ctx, "1")
	if freshmarketer.KindOf(err) != freshmarketer.KindCanceled || !errors.Is(err, context.Canceled) || !errors.Is(err, stopping) {
		t.Errorf("got %v, want kind canceled that is context.Canceled and its cause", err)
	}
}

package freshmarketer

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Kind says what sort of trouble an Error is. It is a closed list and fit for a metric label.
type Kind string

const (
	// KindAuth: the key is missing, wrong or expired. Nothing will work until it is replaced.
	KindAuth Kind = "auth"
	// KindPermission: the key's user may not do this.
	KindPermission Kind = "permission"
	// KindThrottled: the account's quota is used up; see RetryAfter.
	KindThrottled Kind = "throttled"
	// KindConflict: a value that must be unique belongs to another contact. Only known English texts are recognised;
	// in other languages a clash arrives as KindInvalid and can be confirmed by a lookup.
	KindConflict Kind = "conflict"
	// KindInvalid: the API refuses this change as it is; the same change will be refused again.
	KindInvalid Kind = "invalid"
	// KindGone: the contact does not exist (any more).
	KindGone Kind = "gone"
	// KindMisrouted: whatever answered is not the API of an account: a redirect, a web page, a bare 404.
	KindMisrouted Kind = "misrouted"
	// KindUnsupported: the account has no such call. Only SendEvent answers so: its endpoint is not documented.
	KindUnsupported Kind = "unsupported"
	// KindTemporary: network trouble, a timeout, a 5xx, or a success whose answer could not be read. The call may have
	// had its effect.
	KindTemporary Kind = "temporary"
	// KindCanceled: the caller's ctx was cancelled. Not a failure of the call, which may have had its effect.
	KindCanceled Kind = "canceled"
	// KindUnknown: none of the above, e.g. a status the API is not known to send.
	KindUnknown Kind = "unknown"
)

// Error is the only type of error the calls of a Client return.
type Error struct {
	Op         string        // one of the Op… constants
	Kind       Kind          // what sort of trouble
	Status     int           // HTTP status, 0 if there was no answer
	RetryAfter time.Duration // what the Retry-After header says, 0 if it says nothing
	Field      string        // API name of the sent field that the text names, a hint; "" if it cannot be told

	// IdentifierDoubt says that an upsert by something else than an address was refused in a way that does not speak of
	// another field: perhaps this account's API does not take that identifier. No text is known for it, so this is a
	// doubt: it is confirmed by a lookup, and an upsert by address that is taken with the same values.
	IdentifierDoubt bool
	Text            string // what the API or the network said, redacted, at most 200 runes
	Unsent          bool   // no connection was made, or the request was withheld: it surely had no effect
	Err             error  // the cause, if there was no whole answer; ctx errors are found here by errors.Is
}

// Error gives operation, kind, status and redacted text.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("freshmarketer: " + e.Op + ": " + string(e.Kind))
	if e.Status != 0 {
		b.WriteString(" (status " + strconv.Itoa(e.Status) + ")")
	}
	if e.Text != "" {
		b.WriteString(": " + e.Text)
	}
	return b.String()
}

// MayHaveEffect says that the call may have done what was asked although it failed: the request left, and no answer
// says that it was refused. What cannot be repeated must be looked up or left alone then.
func (e *Error) MayHaveEffect() bool {
	switch {
	case e.Unsent, e.Kind == KindThrottled, e.Kind == KindAuth:
		return false
	case e.Status == 0: // no answer, or never sent because of what it is
		return e.Kind != KindInvalid
	}
	return e.Status < 300 || e.Status >= 500 || e.Status == http.StatusRequestTimeout
}

// Unwrap returns the cause, so that errors.Is(err, context.Canceled) works.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of err: KindUnknown if it is not an *Error of this package, "" if it is nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindUnknown
}

// refuse is the error of a call that is not worth sending.
func refuse(op, text string) *Error { return &Error{Op: op, Kind: KindInvalid, Text: text} }

// maxRetryAfter only keeps absurd values from overflowing; how long to believe a server is the caller's decision.
const maxRetryAfter = 7 * 24 * time.Hour

// retryAfter reads the header's two forms, seconds and an HTTP date (RFC 9110, 10.2.3), and a Unix time. A date is compared with the
// server's own Date where there is one, because our clock may differ from theirs.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		return untilReset(int64(seconds), h, now)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if served, err := http.ParseTime(h.Get("Date")); err == nil {
		now = served
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// notEncodable is the error of a write whose values are not JSON. The encoder's own text is left out: it can repeat a value.
func notEncodable(op string) *Error {
	return refuse(op, fmt.Sprintf("a value of %s cannot be written as JSON", op))
}

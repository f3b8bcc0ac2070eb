package worker

import (
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/freshrelay/freshrelay/freshmarketer"
)

// Reasons of dead letters.
const (
	ReasonInvalid        = "invalid"          // the API refuses the change as it is
	ReasonEmailConflict  = "email_conflict"   // the address belongs to another user's contact
	ReasonExhausted      = "exhausted"        // it was tried for retry.max_age; it is tried again by itself
	ReasonAliasConflict  = "alias_conflict"   // both users of an alias call have a contact
	ReasonNoAccount      = "no_account"       // the company's account could not be made; it is tried again by itself
	ReasonUnknownContact = "unknown_contact"  // an identify of the activity's user is a dead letter; it is tried again by itself
	ReasonUnreadable     = "unreadable"       // the stored bytes are not an event
	ReasonRecordTooLarge = "record_too_large" // what is to be remembered of its user has outgrown a commit
)

// Retry says how long a user's trouble is retried before the event is set aside.
type Retry struct {
	Initial time.Duration // first wait
	Max     time.Duration // longest wait
	MaxAge  time.Duration // from the first failure, not counting the time when everything was held
}

// newBackOff doubles from initial to limit with ±20 % of jitter and never gives up by itself.
func newBackOff(initial, limit time.Duration) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(initial), backoff.WithMaxInterval(limit),
		backoff.WithMultiplier(2), backoff.WithRandomizationFactor(0.2), backoff.WithMaxElapsedTime(0))
}

// Action is what to do about a failed change.
type Action int

// Actions. Hold and Retry change nothing about the event; SetAside ends its turn.
const (
	ActionHold      Action = iota // wait for the gate, count nothing
	ActionRetry                   // wait in the lane, then try again
	ActionProbe                   // find out whether the trouble is the account's or this user's
	ActionDropField               // the API refuses one field: leave it out with a reason and send the rest
	ActionSplit                   // the API refuses a merged change: try a part of it
	ActionSetAside                // make it a dead letter
	ActionRecreate                // the contact is gone: forget it and map again
)

// Failure is all that a decision rests on.
type Failure struct {
	Kind   freshmarketer.Kind
	Counts bool // the gate says that it is this user's trouble
	Probed bool // a probe has just shown that the account works
	Known  bool // the contact's id is remembered
	// Recreated: the contact was found gone in this very turn before, and found or made anew. An account can show a contact, or
	// answer that its userId is taken, and yet find none to update: then it is trouble like any other.
	Recreated bool
	Merged    int           // events in the change
	Age       time.Duration // of the user's trouble
	// Field is the field that the API names, if the change can do without it; "" otherwise. Whoever asks leaves it empty
	// for what a contact is found or made by, and for what is not (any more) in the change.
	Field   string
	Dropped int // fields of this change that were dropped before
}

// maxDropped bounds the calls that a change is worth which the API refuses field by field. The name is only a hint: it
// is read out of a text.
const maxDropped = 5

// Decide is the retry policy: it only looks at its arguments. Unknown trouble is retried; what is final is listed.
func Decide(f Failure, r Retry) Action {
	switch f.Kind {
	case freshmarketer.KindThrottled, freshmarketer.KindAuth, freshmarketer.KindCanceled:
		return ActionHold
	case freshmarketer.KindGone:
		if f.Known && !f.Recreated {
			return ActionRecreate
		}
	case freshmarketer.KindInvalid, freshmarketer.KindConflict:
		switch {
		case f.Field != "" && f.Dropped < maxDropped:
			return ActionDropField // before splitting: it costs one call, and the call that was refused still arrives
		case f.Merged > 1:
			return ActionSplit
		}
		return ActionSetAside
	}
	switch needsProbe := f.Kind == freshmarketer.KindPermission || f.Kind == freshmarketer.KindMisrouted; {
	case !f.Counts:
		return ActionHold
	case !f.Probed && (needsProbe || f.Age >= r.MaxAge):
		return ActionProbe
	case f.Age >= r.MaxAge:
		return ActionSetAside
	}
	return ActionRetry
}

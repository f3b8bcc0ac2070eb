package metrics

import "slices"

// Other is the label value for whatever is not on a closed list. It should stay at 0: a count here means that one
// package uses a word that this one does not know.
const Other = "other"

// codeNone is the code label of an API call that got no answer.
const codeNone = "none"

// Outcomes of an event.
const (
	OutcomeDelivered = "delivered" // the contact is as the event wants it
	OutcomeDiscarded = "discarded" // nothing can be done with it, by a rule we state
	OutcomeDead      = "dead"      // set aside as a dead letter
	OutcomeDropped   = "dropped"   // not stored at all: nobody asked for this type of call
)

// Reasons why a request is turned away at the door.
const (
	RejectedMalformed    = "malformed"     // the body is not the JSON we need
	RejectedInvalid      = "invalid"       // JSON, but not a call of the Segment spec
	RejectedUnauthorized = "unauthorized"  // no key, or one that no source has
	RejectedSignature    = "bad_signature" // X-Signature does not match the body
	RejectedTooLarge     = "too_large"     // body, batch or event above the limit
	RejectedEncoding     = "encoding"      // a Content-Encoding or charset we cannot read
	RejectedNotFound     = "not_found"     // no such path or source
	RejectedMethod       = "method"        // not a POST
	RejectedAborted      = "aborted"       // the sender went away or was too slow
	RejectedRateLimited  = "rate_limited"  // the source sends more events than it may; the sender should repeat
	RejectedOverloaded   = "overloaded"    // more is being sent at once than there is memory for; the sender should repeat
	RejectedFull         = "full"          // the store is full; the sender should repeat
	RejectedUnavailable  = "unavailable"   // the store does not take events now; the sender should repeat
)

// Reasons why sending is held.
const (
	PausedThrottled     = "throttled"     // the API's rate limit is reached
	PausedKeyRefused    = "key_refused"   // the API does not accept the key
	PausedOutage        = "outage"        // the API fails for everybody
	PausedMisconfigured = "misconfigured" // domain, base URL or permissions are wrong
	PausedCatalogue     = "catalogue"     // the account's fields could not be read yet
	PausedOperator      = "operator"      // somebody said: freshrelay pause
	PausedObserve       = "observe"       // delivery.mode is observe: nothing is written
	PausedActivities    = "activities"    // the account lacks something that activities need; contacts go on
	PausedCanary        = "canary"        // delivery.mode is canary: only the listed users are written
)

// Results of a request at the door.
const (
	ResultStored  = "stored"  // 200: everything in it is on disk, or was dropped by a rule we state
	ResultRefused = "refused" // 4xx: the sender must mend something
	ResultFailed  = "failed"  // 5xx: the sender should repeat it
)

// Ways of an attempt.
const (
	WaySingle = "single"
	WayBulk   = "bulk"
)

// Outcomes of an attempt.
const (
	AttemptDone     = "done"      // the change is in the account
	AttemptRetry    = "retry"     // it failed and comes again after a wait
	AttemptHeld     = "held"      // it met trouble that is everybody's: it costs the user nothing
	AttemptChanged  = "changed"   // it failed and is tried again at once in another form
	AttemptSetAside = "set_aside" // it failed for good: a dead letter
)

// Outcomes of a bulk.
const (
	BulkDone    = "done"    // each row has an answer, and all are in the account
	BulkPartly  = "partly"  // rows failed, or nobody tells which: they go one by one
	BulkRefused = "refused" // the API took none of it
	BulkUnclear = "unclear" // no answer came: it is waited until it cannot be at work any more
)

// Writes to the broker.
const (
	WritePack   = "pack"   // events that came in
	WriteCommit = "commit" // records and counters
)

// Pauses returns the values of the label reason of the metric paused.
func Pauses() []string { return closedLists().pauses }

// lists holds the closed lists of label values.
type lists struct {
	types, outcomes, rejections, pauses, operations, streams, windows []string
	results, ways, attempts, bulks, writes, levels                    []string

	reasons map[string][]string // by outcome; what each means and its mend stand in package admin
	codes   []string            // statuses with a series from the start; any other makes its own when it comes
}

func closedLists() lists {
	return lists{
		types:    []string{"identify", "track", "page", "screen", "group", "account", "alias", "alias_previous", "delete", Other},
		outcomes: []string{OutcomeDelivered, OutcomeDiscarded, OutcomeDead, OutcomeDropped, Other},
		rejections: []string{
			RejectedMalformed, RejectedInvalid, RejectedUnauthorized, RejectedSignature, RejectedTooLarge,
			RejectedEncoding, RejectedNotFound, RejectedMethod, RejectedAborted, RejectedRateLimited,
			RejectedOverloaded, RejectedFull, RejectedUnavailable,
			Other,
		},
		pauses: []string{PausedThrottled, PausedKeyRefused, PausedOutage, PausedMisconfigured, PausedCatalogue, PausedOperator, PausedObserve, PausedCanary, PausedActivities, Other},
		operations: []string{
			"create_contact", "upsert_contact", "update_contact", "get_contact", "delete_contact", "lookup_contacts", "contact_fields",
			"contact_filters", "contact_view", "forget_contact", "bulk_upsert", "job_status",
			"upsert_account", "get_account", "update_account", "account_fields", "create_activity", "list_activities", "selector",
			"send_event", Other,
		},
		windows:  []string{"hour", "minute", Other},
		results:  []string{ResultStored, ResultRefused, ResultFailed},
		ways:     []string{WaySingle, WayBulk, Other},
		attempts: []string{AttemptDone, AttemptRetry, AttemptHeld, AttemptChanged, AttemptSetAside, Other},
		bulks:    []string{BulkDone, BulkPartly, BulkRefused, BulkUnclear, Other},
		writes:   []string{WritePack, WriteCommit, Other},
		levels:   []string{"debug", "info", "warn", "error", Other},
		streams:  []string{"events", "state", "dead", "journal", "audit", Other},
		reasons: map[string][]string{
			OutcomeDelivered: {Other},
			OutcomeDiscarded: {
				"missing_user_id", "missing_email", "integrations_disabled", "duplicate", "stale", "no_contact", "not_forwarded",
				"missing_group_id", "missing_group_name", "no_contact_yet", "no_account", "link_limit",
				"unknown_contact", "contact_gone", "no_name", "name_too_long", "reserved_name", "no_events",
				"erased", "suppressed", "missing_previous_id", "unknown_previous", "aliased",
				"by_operator", "expired", "not_live",
				Other,
			},
			OutcomeDead: {"invalid", "exhausted", "email_conflict", "alias_conflict", "no_account", "unknown_contact", "unreadable", "record_too_large", "unknown_outcome", Other},
			OutcomeDropped: {
				"not_forwarded", "screen", "invalid_type", "not_an_object", "too_large", "too_complex", "batch_overflow",
				"unsigned", "repeated", Other,
			},
			Other: {Other},
		},
		codes: []string{
			"200", "201", "400", "401", "403", "404", "409", "422", "429", "500", "502", "503", "504", codeNone,
		},
	}
}

// Types returns the values of the label type.
func Types() []string { return closedLists().types }

// Reasons returns the reasons known for an outcome, so that the packages which decide on reasons can test that
// theirs are among them.
func Reasons(outcome string) []string { return closedLists().reasons[outcome] }

// Operations returns the values of the label operation.
func Operations() []string { return closedLists().operations }

// known returns value if the list has it and Other if not.
func known(list []string, value string) string {
	if slices.Contains(list, value) {
		return value
	}
	return Other
}

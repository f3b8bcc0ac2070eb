package mapping

// Reason says why a call was discarded or a trait left out. It is one of the constants below, so it may be a metric's
// label.
type Reason string

// Reasons why a whole call is discarded.
const (
	ReasonNotForwarded         Reason = "not_forwarded"         // not an identify
	ReasonIntegrationsDisabled Reason = "integrations_disabled" // its integrations object says: not for Freshmarketer
	ReasonDuplicate            Reason = "duplicate"             // its message id was seen in the last 24 hours
	ReasonMissingUserID        Reason = "missing_user_id"       // the destination requires a userId
	ReasonMissingEmail         Reason = "missing_email"         // the destination requires traits.email
	ReasonStale                Reason = "stale"                 // newer calls have said more about all it says
	ReasonNoContact            Reason = "no_contact"            // there is none, and none is to be created; the worker finds out

	// Of track and page calls alone.
	ReasonUnknownContact Reason = "unknown_contact" // the user has no contact: no identify came before; the worker finds out
	ReasonContactGone    Reason = "contact_gone"    // the account does not have the user's contact any more; the worker finds out
	ReasonNoName         Reason = "no_name"         // a track call without an event
	ReasonNameTooLong    Reason = "name_too_long"   // more than 50 characters
	ReasonReservedName   Reason = "reserved_name"   // Freshmarketer has an event of that name
	ReasonNoEvents       Reason = "no_events"       // the account does not take events; the worker finds out
)

// Reasons why a group call is discarded.
const (
	ReasonMissingGroupID   Reason = "missing_group_id"   // it names no company
	ReasonMissingGroupName Reason = "missing_group_name" // a sales account is found by its name, and none is known yet
	ReasonNoContactYet     Reason = "no_contact_yet"     // the link waits for the user's contact
	ReasonNoAccount        Reason = "no_account"         // the link waits for the account; the worker finds out
	ReasonLinkLimit        Reason = "link_limit"         // a contact belongs to so many accounts already that it can have no more
)

// Reasons why a call of somebody who was erased is discarded.
const (
	ReasonErased     Reason = "erased"     // it came before the call that erased its user
	ReasonSuppressed Reason = "suppressed" // it came after it
)

// Reasons about alias calls.
const (
	ReasonMissingPreviousID Reason = "missing_previous_id" // it does not say which two users are one
	ReasonUnknownPrevious   Reason = "unknown_previous"    // the previousId has no contact that could be renamed
	ReasonAliased           Reason = "aliased"             // the call's userId was the previousId of an alias call
)

// Reasons why a trait is left out of an otherwise good call.
const (
	ReasonUnmapped        Reason = "unmapped"         // no field has this label
	ReasonNoSuchField     Reason = "no_such_field"    // the explicit map names a field the account does not have
	ReasonShadowed        Reason = "shadowed"         // another trait of the call fits the field better
	ReasonGuarded         Reason = "guarded"          // the field needs an explicit line in the map
	ReasonDerived         Reason = "derived"          // Freshworks computes the field
	ReasonIdentity        Reason = "identity"         // the field holds an id and is not for traits
	ReasonWouldSubscribe  Reason = "would_subscribe"  // it could subscribe somebody who unsubscribed
	ReasonRequired        Reason = "required"         // the account does not allow the field to be empty
	ReasonPartialEmail    Reason = "partial_email"    // a partial call never changes a known contact's email
	ReasonTooLong         Reason = "too_long"         // more characters than the field takes
	ReasonNotAChoice      Reason = "not_a_choice"     // the dropdown has no such value
	ReasonNotScalar       Reason = "not_scalar"       // an object or array for a field with one value
	ReasonUnsupportedType Reason = "unsupported_type" // a type of field that is not written
	ReasonAddOnly         Reason = "add_only"         // the field's list is added to and never emptied

	// Of the attributes of an event.
	ReasonAttributeName     Reason = "attribute_name"      // a property's name has more than 50 characters
	ReasonAttributeType     Reason = "attribute_type"      // earlier events had a value of another type there
	ReasonTooManyAttributes Reason = "too_many_attributes" // more than 100

	ReasonRefused Reason = "refused" // Freshmarketer refused what the call says about the field

	ReasonNotEmail    Reason = "not_coercible:email"
	ReasonNotNumber   Reason = "not_coercible:number"
	ReasonNotCheckbox Reason = "not_coercible:checkbox"
	ReasonNotDate     Reason = "not_coercible:date"
	ReasonNotDatetime Reason = "not_coercible:datetime"
	ReasonNotPhone    Reason = "not_coercible:phone"
	ReasonNotTimeZone Reason = "not_coercible:time_zone"
)

// DiscardReasons returns every reason for which a call is discarded.
func DiscardReasons() []Reason {
	return []Reason{
		ReasonNotForwarded, ReasonIntegrationsDisabled, ReasonDuplicate,
		ReasonMissingUserID, ReasonMissingEmail, ReasonStale, ReasonNoContact,
		ReasonMissingGroupID, ReasonMissingGroupName, ReasonNoContactYet, ReasonNoAccount, ReasonLinkLimit,
		ReasonUnknownContact, ReasonContactGone, ReasonNoName, ReasonNameTooLong, ReasonReservedName, ReasonNoEvents,
		ReasonErased, ReasonSuppressed,
		ReasonMissingPreviousID, ReasonUnknownPrevious, ReasonAliased,
	}
}

// LeftOutReasons returns every reason for which Fold leaves a trait out.
func LeftOutReasons() []Reason {
	return []Reason{
		ReasonUnmapped, ReasonNoSuchField, ReasonShadowed, ReasonGuarded, ReasonDerived, ReasonIdentity,
		ReasonWouldSubscribe, ReasonRequired, ReasonPartialEmail, ReasonTooLong, ReasonNotAChoice, ReasonNotScalar,
		ReasonUnsupportedType, ReasonAddOnly, ReasonAttributeName, ReasonAttributeType, ReasonTooManyAttributes, ReasonRefused, ReasonNotEmail, ReasonNotNumber, ReasonNotCheckbox, ReasonNotDate,
		ReasonNotDatetime, ReasonNotPhone, ReasonNotTimeZone,
	}
}

package admin

import "maps"

// About says what a reason is a reason for.
type About string

// What there are reasons for.
const (
	AboutDiscard About = "discarded" // a call was knowingly not delivered
	AboutDead    About = "dead"      // a call was set aside
	AboutPause   About = "paused"    // nothing is being sent
	AboutLeftOut About = "left_out"  // a trait did not reach a field
	AboutWaiting About = "waiting"   // a call waits
	AboutDropped About = "dropped"   // a call was answered with success and not stored
)

// Advice is what a reason means and what to do about it.
type Advice struct {
	Meaning string
	Mend    string
}

// Advise explains a reason. Every reason the program gives is in the table; one that is not (from a newer version's
// store) gets a sentence that says so.
func Advise(about About, reason string) Advice {
	if a, ok := table()[about][reason]; ok {
		return a
	}
	return Advice{
		Meaning: "This version of freshrelay does not know the reason.",
		Mend:    "Look it up in the release notes of the version that wrote it.",
	}
}

// table holds the sentences, once, for status, for dlq show and for send.
func table() map[About]map[string]Advice {
	return map[About]map[string]Advice{
		AboutDiscard: both(discardAdvice(), activityAdvice()),
		AboutDead:    deadAdvice(),
		AboutPause:   pauseAdvice(),
		AboutLeftOut: leftOutAdvice(),
		AboutWaiting: waitingAdvice(),
		AboutDropped: droppedAdvice(),
	}
}

func both(a, b map[string]Advice) map[string]Advice {
	maps.Copy(a, b)
	return a
}

func discardAdvice() map[string]Advice {
	return map[string]Advice{
		"missing_user_id": {
			"The call has no userId. A contact is found again by it.",
			"Call identify with the userId once the visitor is known; anonymous calls cannot become contacts.",
		},
		"missing_email": {
			"The call has no traits.email. Freshmarketer creates no contact without one.",
			"Send email among the traits of every identify call, not only in the first.",
		},
		"integrations_disabled": {
			"The call's integrations object says that it is not for Freshmarketer.",
			"Remove All: false, or add Freshmarketer: true, where the call is made; if it is meant so, there is nothing to do.",
		},
		"duplicate": {
			"A call of this user with the same messageId was already taken in the last 24 hours.",
			"Nothing to do: Segment and its libraries repeat calls. If different calls share an id, give each its own.",
		},
		"no_contact": {
			"There is no contact for the call, and contacts.create is false.",
			"Nothing to do if only existing contacts are wanted. Otherwise make the contact, or set contacts.create: true.",
		},
		"stale": {
			"Newer calls of this user have already said more about everything it says.",
			"Nothing to do. If it happens a lot, look at the clocks of the senders (timestamp).",
		},
		"missing_group_id": {
			"The group call has no groupId, so it names no company.",
			"Send a groupId with every group call.",
		},
		"missing_group_name": {
			"The group call has no traits.name, and a sales account is found and made by its name.",
			"Send name among the traits of group calls, at least in the first of each company.",
		},
		"no_contact_yet": {
			"The user has no contact yet that could belong to the account.",
			"Nothing to do: it is remembered, and the link is made together with the contact, by the first identify that makes one.",
		},
		"no_account": {
			"There is no sales account for the company, because no group call has told its name.",
			"Send name among the traits of group calls. The link is made with the user's next call once the account is there.",
		},
		"link_limit": {
			"The contact belongs to ten accounts, and can have no more.",
			"Take away what it does not belong to any more, in Freshmarketer; the link is tried again after mapping.resend_after.",
		},
		"missing_previous_id": {
			"The alias call does not say which two users are one: it needs a userId and another previousId.",
			"Send both where alias is called.",
		},
		"unknown_previous": {
			"The previousId of the alias call has no contact, so there is nothing to do.",
			"Nothing to do. It is so for every visitor who was anonymous before.",
		},
		"aliased": {
			"The call's userId was the previousId of an alias call: its contact belongs to the new userId.",
			"Send the new userId.",
		},
		"erased": {
			"Its user was erased, and it came before that.",
			"Nothing to do.",
		},
		"suppressed": {
			"Its user was erased (freshrelay forget, or a delete call), so nothing of the user is taken.",
			"Nothing to do. If the user may come again: freshrelay forget --undo <userId>",
		},
		"by_operator": {
			"It was a dead letter, and somebody gave it up with freshrelay dlq discard.",
			"Nothing to do; who and why is in: freshrelay audit",
		},
		"expired": {
			"It was a dead letter for longer than dead.retention.",
			"Look through dead letters more often (freshrelay dlq list --group), or keep them longer.",
		},
		"not_live": {
			"It waited for as long as delivery.observe_for allows while delivery.mode did not write its user. A delete call becomes a dead letter; all but the contact is erased.",
			"To wait longer, raise delivery.observe_for; to deliver calls, set delivery.mode to live. A delete call then comes again by itself.",
		},
		"not_forwarded": {
			"This type of call, or this event or page, is not sent to Freshmarketer.",
			"Nothing to do. To send track and page calls on, name them under sources[].forward; to save traffic, switch the type off in Segment.",
		},
	}
}

// activityAdvice is about discarded track and page calls.
func activityAdvice() map[string]Advice {
	return map[string]Advice{
		"unknown_contact": {
			"The user of the track or page call has no contact: no identify of that userId came before it, nor within a minute.",
			"Call identify with the userId before the first track.",
		},
		"contact_gone": {
			"Freshmarketer does not have the user's contact any more, so the track or page call has nobody to be about.",
			"Nothing to do if it was deleted on purpose; the next identify with a change makes it anew.",
		},
		"no_name": {
			"The track call does not say which event it is about.",
			"Give it the event's name where the call is made.",
		},
		"name_too_long": {
			"The event's name has more than 50 characters, which Freshmarketer does not take.",
			"Shorten the name where the call is made, or set activities.as to activity.",
		},
		"reserved_name": {
			"Freshmarketer has an event of its own by that name.",
			"Give the event another name where the call is made, or set activities.as to activity.",
		},
		"no_events": {
			"The account takes no events: the undocumented address answers 404, which a plan without custom events may explain.",
			"Set activities.as to activity. Calls wait until it has answered so for half an hour, and are discarded then; it is tried again once a day and after a restart.",
		},
	}
}

func droppedAdvice() map[string]Advice {
	const smaller = "Send it in smaller parts."
	return map[string]Advice{
		"not_forwarded": {
			"The door drops it: no list of its source names this event or page.",
			"Nothing to do if it is meant so. To send it on, name it under sources[].forward.",
		},
		"screen": {
			"The door drops it: Freshmarketer has no use for screen calls.",
			"Nothing to do. To save traffic, switch screen calls off for this destination in Segment.",
		},
		"invalid_type":   {"The door drops it: it has no type, or an unknown one.", "Correct the type where the call is made."},
		"not_an_object":  {"The door drops it: it is no JSON object.", "Correct it where the call is made."},
		"too_large":      {"The door drops it: it is larger than a call may be.", smaller},
		"too_complex":    {"The door drops it: it is nested too deep, or has too many keys.", smaller},
		"batch_overflow": {"The door drops it: it is beyond the 2,500 calls of a batch.", smaller},
		"unsigned": {
			"The door drops it: a delete or alias call in a webhook's batch where no signature covers it.",
			"Send it alone, or give the source a batch_token and let the webhook send it.",
		},
		"repeated": {"The door drops it: the same call was taken a moment ago.", "Nothing to do."},
	}
}

func deadAdvice() map[string]Advice {
	return map[string]Advice{
		"unknown_outcome": {
			"An activity or event was sent, no clear answer came, and the account could not tell whether it was recorded.",
			"Look at the contact in Freshmarketer. If it is not there: freshrelay dlq replay <id>; if it is: freshrelay dlq discard <id>",
		},
		"invalid": {
			"Freshmarketer refuses the change as it is; the field and its error text say why.",
			"Correct the value where it is sent, or the field in Freshmarketer, then: freshrelay dlq replay <id>",
		},
		"email_conflict": {
			"The email belongs to a contact of another userId, and one contact belongs to one userId.",
			"Merge or correct the two contacts in Freshmarketer, or the email where it is sent, then: freshrelay dlq replay <id>",
		},
		"exhausted": {
			"It was tried for as long as retry.max_age allows and failed each time.",
			"See the last error. It is tried again by itself with growing pauses; to try at once: freshrelay dlq replay --reason exhausted",
		},
		"alias_conflict": {
			"Both users of the alias call have a contact; the error names the ids of both.",
			"Merge the two contacts in Freshmarketer, or delete the older one, then: freshrelay dlq replay <id>",
		},
		"no_account": {
			"The sales account of the company could not be made, or is gone, so the contact could not be linked to it.",
			"See the company's own letter (freshrelay dlq list --type account). The link is tried again by itself; to try at once: freshrelay dlq replay --reason no_account",
		},
		"unknown_contact": {
			"The user of the track or page call has no contact, and an identify of that user, which would have made it, is a dead letter.",
			"See the identify's own letter (freshrelay dlq list --type identify). This one is tried again by itself; to try at once, after the identify's: freshrelay dlq replay --reason unknown_contact",
		},
		"unreadable": {
			"What is stored is not an event this version can read.",
			"Update freshrelay if an older version was started on a newer store; otherwise report a bug, without the event's content.",
		},
		"record_too_large": {
			"What is remembered of its user (which fields were set, when and by which source) would be larger than 512 KB.",
			"See whether the user gets thousands of different fields, and leave out what is not needed (mapping.traits); then: freshrelay dlq replay <id>",
		},
	}
}

func pauseAdvice() map[string]Advice {
	return map[string]Advice{
		"throttled": {
			"The account's API quota is used up.",
			"Nothing to do: sending goes on when Freshmarketer says so. If it happens daily, ask for a larger quota.",
		},
		"key_refused": {
			"Freshmarketer does not accept the API key.",
			"Put a valid key into freshmarketer.api_key or its file and restart; what waits is sent then.",
		},
		"outage": {
			"The Freshmarketer API fails or does not answer.",
			"Nothing to do: it is asked again at intervals. If it stays so, see the Freshworks status page and your network.",
		},
		"misconfigured": {
			"What answers is not the API of an account this key may use.",
			"Check freshmarketer.domain (and base_url), and that the key's user may read and write contacts; then restart.",
		},
		"operator": {
			"Somebody has paused sending.",
			"When it is to go on: freshrelay resume",
		},
		"activities": {
			"The account lacks something that track and page calls need; contacts go on.",
			"See the detail: make the type of sales activities or correct activities.type or activities.owner; without events set activities.as to activity.",
		},
		"observe": {
			"delivery.mode is observe: nothing is written, calls wait, and the journal says what would be done.",
			"To deliver what waits and what comes, set delivery.mode to live (or canary) and restart.",
		},
		"canary": {
			"delivery.mode is canary: only the users in delivery.canary are written, the calls of all others wait.",
			"To deliver what waits and what comes, set delivery.mode to live and restart.",
		},
		"catalogue": {
			"The account's contact fields could not be read yet, so traits cannot be matched.",
			"Nothing to do while the API does not answer or fails: it is tried again by itself. If it refuses, check that the key's user may read the contact fields (Admin Settings).",
		},
	}
}

func leftOutAdvice() map[string]Advice {
	const coerce = "Send it in the form the field needs, or map it to a text field."
	return map[string]Advice{
		"unmapped": {
			"no field has this label",
			"Add a contact field with this label in Freshmarketer, or a line under mapping.traits.",
		},
		"no_such_field":          {"mapping.traits names a field the account does not have", "Correct the line under mapping.traits."},
		"shadowed":               {"another trait of the call fits the field better", "Send one of the two, or map this one to another field."},
		"guarded":                {"the field is written only by an explicit line", "Add a line under mapping.traits if you want it written."},
		"derived":                {"Freshworks computes the field", "Nothing to do."},
		"identity":               {"the field holds an id and is not for traits", "Map the trait to another field."},
		"would_subscribe":        {"it could subscribe somebody who unsubscribed", "Change subscriptions in Freshmarketer."},
		"required":               {"the account does not allow the field to be empty", "Send a value, or make the field optional in Freshmarketer."},
		"partial_email":          {"an Engage call does not change a known contact's email", "Send the new email with an ordinary identify."},
		"too_long":               {"it has more characters than the field takes", "Shorten it, or map it to a text area."},
		"not_a_choice":           {"the dropdown has no such choice", "Add the choice in Freshmarketer, or send one it has."},
		"not_scalar":             {"an object or array, and the field takes one value", "Map a dotted path into it under mapping.traits."},
		"unsupported_type":       {"fields of this type are not written", "Map the trait to a field of another type."},
		"attribute_name":         {"the property's name has more than 50 characters", "Shorten it where the call is made."},
		"attribute_type":         {"earlier events had a value of another type there, and Freshmarketer keeps to the first", "Send the property with one type."},
		"too_many_attributes":    {"the event has more than 100 properties", "Send fewer, or map the rest to a contact's fields with identify."},
		"refused":                {"Freshmarketer refused the value; the rest of the contact was written", "Correct the value where it is sent, or the field in Freshmarketer."},
		"email_conflict":         {"the address belongs to another contact; the rest of this one was written", "Merge or correct the two contacts in Freshmarketer, or the email where it is sent."},
		"add_only":               {"the field's list is added to and never emptied", "Remove what should go in Freshmarketer."},
		"sent_not_stored":        {"Freshmarketer took it and kept the old value", "Look at the field's choices and type in Freshmarketer."},
		"not_coercible:email":    {"it is not an email address", coerce},
		"not_coercible:number":   {"it is not a number", coerce},
		"not_coercible:checkbox": {"it is neither true nor false", coerce},
		"not_coercible:date":     {"it is not a date", coerce},
		"not_coercible:datetime": {"it is not a date with a time", coerce},
		"not_coercible:phone":    {"it is not a phone number", coerce},
		"not_coercible:time_zone": {
			"it is no time zone that the account knows", "Send a tzdata name such as Europe/Berlin, or a name of the field's list.",
		},
	}
}

package mapping

import (
	"maps"
	"slices"
	"time"
)

const (
	// maxAliased bounds the alias calls that are remembered of a previousId: the newest, unless one is known to have come off.
	maxAliased = 16
	// MaxPrevious bounds Record.Previous: forgetting the user makes a call for each.
	MaxPrevious = 200
)

// Alias is what the previousId of an alias call remembers of it.
type Alias struct {
	To       string `json:"t"`           // token of the call's userId
	Message  uint64 `json:"m,omitempty"` // hash of its message id
	Received int64  `json:"r,omitempty"` // in unix seconds
	Pos      uint64 `json:"p,omitempty"` // log position of its first half
	// Said are hashes of the message ids of all calls that said it, the newest of them.
	Said []uint64 `json:"s,omitempty"`
	// Over says that the call has had its turn in the lane of its userId, or that it is not waited for any more.
	Over bool `json:"o,omitempty"`
}

// previous takes in the half of an alias call that is about the previousId: from here on its contact may be another's.
func (f *folder) previous(c *Call) Outcome {
	ev := &c.Event
	message := hashMessage(ev.Source, ev.MessageID)
	switch {
	case ev.Disabled:
		return Outcome{Reason: ReasonIntegrationsDisabled}
	case !c.Replay && ev.MessageID != "" && f.rec.Ring.has(message, ev.Received):
		return Outcome{Reason: ReasonDuplicate}
	}
	if ev.MessageID != "" { // whether it does anything or not: the other half asks whether it has had its turn
		f.rec.Ring.add(message, ev.Received)
	}
	at := slices.IndexFunc(f.rec.Aliased, func(a Alias) bool { return a.To == c.Heir })
	switch {
	case !f.known, f.rec.Given && at < 0:
		return Outcome{Reason: ReasonUnknownPrevious}
	case f.rec.Given: // said once more
		f.rec.Aliased[at].say(message)
		return Outcome{Delivered: true}
	}
	alias := Alias{To: c.Heir, Message: message, Received: unixSeconds(ev.Received), Pos: c.Pos}
	if at >= 0 {
		alias.Said = f.rec.Aliased[at].Said
		f.rec.Aliased = slices.Delete(f.rec.Aliased, at, at+1)
	}
	alias.say(message)
	f.rec.Aliased = append(f.rec.Aliased, alias)
	f.rec.Aliased = f.rec.Aliased[max(0, len(f.rec.Aliased)-maxAliased):]
	return Outcome{Delivered: true}
}

// say adds a call.
func (a *Alias) say(message uint64) {
	a.Said = append(slices.Clone(a.Said), message)
	a.Said = a.Said[max(0, len(a.Said)-maxAliased):]
}

// GivenTo says whether one of r.Aliased came off, as far as the record of its userId tells; user is the token of r's own.
func (r *Record) GivenTo(user string, alias Alias, heir *Record) bool {
	if !slices.Contains(heir.Previous, user) {
		return false
	}
	// The heir's record may tell of an earlier time: the user has got a contact since, by an alias call of its own, and this one is newer.
	if taken, known := heir.Taken[user]; known {
		return taken >= alias.Pos
	}
	return !heir.AliasedTo(user) || !slices.Contains(r.Previous, alias.To) // all that records of former programs tell
}

// Contested says that the contact may be another userId's by now: it is looked at before it is written.
func (r *Record) Contested() bool { return len(r.Aliased) > 0 || r.Marked }

// AliasedTo says whether an alias call to the user of a token had its first half when there was a contact to be given.
func (r *Record) AliasedTo(token string) bool {
	return slices.ContainsFunc(r.Aliased, func(a Alias) bool { return a.To == token })
}

// Offered says whether such a call is about the contact that the user has now: what stays of one from before the user was erased, and
// let come again, is not.
func (r *Record) Offered(token string) bool {
	return r.AliasedTo(token) && (r.Allowed == 0 || r.aliasedAt(token) > r.Allowed)
}

// OfferedBy says whether it was that call that offered it: another to the same user may have come when there was a contact.
func (r *Record) OfferedBy(token, source, messageID string) bool {
	return r.Offered(token) && slices.ContainsFunc(r.Aliased, func(a Alias) bool {
		return a.To == token && slices.Contains(a.Said, hashMessage(source, messageID))
	})
}

// aliasedAt is the log position of that call's first half, 0 without one.
func (r *Record) aliasedAt(token string) uint64 {
	for _, a := range r.Aliased {
		if a.To == token {
			return a.Pos
		}
	}
	return 0
}

// Heard says whether the record, that of the userId of an alias call, tells that the call has had its turn. Erasing forgets the
// message ids from before, so of somebody erased since then it is believed.
func (r *Record) Heard(a Alias, now time.Time) bool {
	received := time.Unix(a.Received, 0)
	erased := r.Pos > a.Pos && (r.Suppressed != 0 || r.Allowed > a.Pos)
	return erased || now.Sub(received) > ringMinutes*time.Minute || r.Ring.has(a.Message, received)
}

// TakeOver is the record of a user, of whom no contact was known, once the contact of a previous id has become its own. What
// newer calls of the user said of fields stays newer; what was sent to the contact stays known. self and token are those of
// the user and of the previous id.
func (r Record) TakeOver(previous Record, self, token string) Record {
	out := r.Clone()
	out.Inherit(previous, self, token)
	out.ContactID, out.Aliased, out.Given, out.Marked = previous.ContactID, nil, false, false
	fields := maps.Clone(previous.Fields)
	for name, own := range r.Fields {
		if f, ok := fields[name]; !ok || f.Before(own.Clock) {
			if fields == nil {
				fields = map[string]FieldRecord{}
			}
			own.Hash, own.Sent = hashUnknown, 0
			fields[name] = own
		}
	}
	out.Fields = fields
	out.Replaced = maps.Clone(previous.Replaced)
	for src, own := range r.Replaced {
		if out.Replaced[src].Before(own) {
			if out.Replaced == nil {
				out.Replaced = map[string]Clock{}
			}
			out.Replaced[src] = own
		}
	}
	out.Links = maps.Clone(previous.Links)
	for company, own := range r.Links {
		if _, ok := out.Links[company]; !ok {
			out.setLink(company, own)
		}
	}
	return out
}

// Inherit makes a previous id, and those that were its own, ids of the user that has the record: its contact is this user's, or gone.
func (r *Record) Inherit(previous Record, self, token string) {
	r.Previous, r.Taken = slices.Clone(r.Previous), maps.Clone(r.Taken)
	for _, id := range append(slices.Clone(previous.Previous), token) {
		if id == self {
			continue
		}
		if !slices.Contains(r.Previous, id) {
			r.Previous = append(r.Previous, id)
		}
		at := previous.Taken[id]
		if id == token {
			at = previous.aliasedAt(self)
		}
		if at > r.Taken[id] {
			if r.Taken == nil {
				r.Taken = map[string]uint64{}
			}
			r.Taken[id] = at
		}
	}
}

// Part is for a previous id that is another person than the user after all.
func (r *Record) Part(token string) {
	r.Previous = slices.DeleteFunc(slices.Clone(r.Previous), func(id string) bool { return id == token })
	r.Taken = maps.Clone(r.Taken)
	delete(r.Taken, token)
}

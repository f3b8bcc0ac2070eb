package mapping

import "maps"

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
	if !f.known {
		return Outcome{Reason: ReasonUnknownPrevious}
	}
	f.rec.Aliased = true
	return Outcome{Delivered: true}
}

// TakeOver is the record of a user, of whom no contact was known, once the contact of a previous id has become its own. What
// newer calls of the user said of fields stays newer; what was sent to the contact stays known.
func (r Record) TakeOver(previous Record) Record {
	out := r.Clone()
	out.ContactID, out.Aliased = previous.ContactID, false
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

package mapping

import (
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/segment"
)

// accountName is the field that a sales account is found by. Source: Freshworks CRM API, "Upsert an account".
const accountName = "name"

// NewAccountCatalogue prepares the fields of sales accounts. An account has no address of its own that would find it: a field
// for one is a field like any other.
func NewAccountCatalogue(fields []Field) *Catalogue {
	fields = slices.Clone(fields)
	for i := range fields {
		if fields[i].Name == accountName && !fields[i].Custom {
			fields[i].Required = true // whatever the metadata says: without a name there is no account
		}
	}
	return newCatalogue(fields, true)
}

// FoldAccount is Fold for the waiting calls of one company. A group call says what it carries and nothing about what it
// leaves out, so it never empties a field but by null. Result.Record.ContactID is the account's id, and a change of an
// account that is not known has the field name. It is found or made by the first name, which the next try of the same calls has
// again, whatever calls have come meanwhile: else a company that is renamed in that moment would get two accounts.
// Source: Segment docs, Spec: Group ("omitting a key keeps the old value").
func FoldAccount(cat *Catalogue, opt Options, rec Record, calls []Call, now time.Time) Result {
	if cat == nil {
		cat = NewAccountCatalogue(nil)
	}
	opt.Traits, opt.OnCreate = opt.AccountTraits, nil
	f := newFolder(cat, &opt, rec, now)
	f.again = slices.ContainsFunc(calls, func(c Call) bool { return c.Again })
	outcomes := make([]Outcome, len(calls))
	for i := range calls {
		outcomes[i] = f.account(&calls[i])
	}
	change := f.change()
	change.MadeAs = f.madeAs
	return Result{Change: change, Record: f.rec, Outcomes: outcomes}
}

func (f *folder) account(c *Call) Outcome {
	ev := &c.Event
	message := hashMessage(ev.Source, ev.MessageID)
	switch {
	case ev.Type != segment.Account || !f.opt.Accounts:
		return Outcome{Reason: ReasonNotForwarded}
	case !c.Replay && ev.MessageID != "" && f.rec.Ring.has(message, ev.Received):
		return Outcome{Reason: ReasonDuplicate}
	}
	// Whatever becomes of it: the link of its user asks whether it has had its turn.
	if ev.MessageID != "" {
		f.rec.Ring.add(message, ev.Received)
	}
	if ev.Disabled {
		return Outcome{Reason: ReasonIntegrationsDisabled}
	}
	r := read(f.cat, f.opt, ev.Traits)
	r.refuse(c.Refused)
	if !f.known && r.accountName() == nil {
		return r.outcome(Outcome{Reason: ReasonMissingGroupName})
	}
	f.rec.Broken = false
	a := application{f: f, r: &r, src: ev.Source, clock: c.clock()}
	a.apply()
	if len(a.out.Fields) > 0 && a.effects == 0 && f.known {
		return r.outcome(Outcome{Reason: ReasonStale, Fields: a.out.Fields})
	}
	if !f.known {
		a.createWithName()
		f.madeAs, _ = r.accountName().value.(string)
	}
	f.known = true
	a.out.Delivered = true
	return r.outcome(a.out)
}

// accountName is what the call says about the name, nil without one that can be used.
func (r *reading) accountName() *carried {
	i, ok := r.cat.byName[accountName]
	if !ok {
		return nil
	}
	if c := r.get(i); c != nil && !c.refused && c.value != nil {
		return c
	}
	return nil
}

// createWithName is createWithEmail for the name of an account that is found or made anew.
func (a *application) createWithName() {
	i := slices.IndexFunc(a.out.Fields, func(o FieldOutcome) bool { return o.Name == accountName && o.Action == ActionHeld })
	if i < 0 {
		return
	}
	a.out.Fields = slices.Delete(a.out.Fields, i, i+1)
	c := a.r.accountName()
	is := a.f.rec.field(accountName)
	is.Clock, is.Src = a.clock, ""
	a.store(&a.f.cat.fields[c.field], c, is, c.value)
}

// Settled says whether a call of a company has had its turn: its message id is remembered, or a later call's position is.
func (r *Record) Settled(source, messageID string, received time.Time, position uint64) bool {
	return r.Pos > position || r.Ring.has(hashMessage(source, messageID), received)
}

// Knows says whether a call's message id is remembered.
func (r *Record) Knows(source, messageID string, received time.Time) bool {
	return r.Ring.has(hashMessage(source, messageID), received)
}

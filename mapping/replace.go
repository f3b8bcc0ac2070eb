package mapping

import (
	"maps"
	"slices"
)

// What a call does to a field, in whatever order calls arrive.
//
// A field ends as it would had the calls come by their clocks: with the value of the newest call that carries it, unless
// that call is an ordinary one and a newer ordinary one of its source leaves the field out; then it is empty. So a field
// remembers the clock and source of the newest call that carries it, and a source the clock of its newest ordinary call.
// Both only ever grow, and that is why order does not matter.
//
// One consequence is easily missed. A late ordinary call that is older than its source's newest sets nothing, but it
// still is the newest to carry a field that only older calls of others had set. It had taken that field over before it
// was left out, so the field is emptied, not left with the older value.

// application is one call being applied.
type application struct {
	f        *folder
	r        *reading
	src      string
	clock    Clock
	ordinary bool
	out      Outcome
	effects  int // fields set, emptied or found to be right; without any the call is stale
}

func (a *application) apply() {
	for i := range a.r.fields {
		c := &a.r.fields[i]
		switch {
		case c.refused:
		case c.field == emailField:
			a.applyEmail(c)
		case a.f.cat.fields[c.field].kind == kindTags:
			a.add(c)
		default:
			a.applyField(c)
		}
	}
	if a.ordinary {
		if a.f.opt.clear() {
			a.emptyOmitted()
		}
		a.noteOmitted()
	}
}

// applyEmail sets the email, except that a partial call, or one that has it only by fallback, just gives one to a contact
// it creates. That one counts as older than any ordinary call's, whichever comes first.
func (a *application) applyEmail(c *carried) {
	fl := &a.f.cat.fields[emailField]
	if !a.ownsEmail(c) && a.f.known {
		if c.rank != byFallback && a.f.rec.field(emailName).Hash != hashValue(c.value) {
			a.r.leaveOut(c.trait, fl.Name, ReasonPartialEmail)
		}
		return
	}
	if a.emailClock(c).Before(a.f.rec.field(emailName).Clock) {
		a.report(fl, c, ActionHeld)
		return
	}
	a.storeEmail(c)
}

func (a *application) ownsEmail(c *carried) bool { return a.ordinary && c.rank != byFallback }

func (a *application) emailClock(c *carried) Clock {
	if a.ownsEmail(c) {
		return a.clock
	}
	return Clock{}
}

func (a *application) storeEmail(c *carried) {
	is := a.f.rec.field(emailName)
	is.Clock, is.Src = a.emailClock(c), ""
	if a.ownsEmail(c) {
		is.Src = a.src
	}
	a.store(&a.f.cat.fields[emailField], c, is, c.value)
	a.f.email, _ = c.value.(string)
}

// add joins a list with what the contact has. It takes nothing away, so calls may come in any order and none is held.
func (a *application) add(c *carried) {
	fl := &a.f.cat.fields[c.field]
	is := a.f.rec.field(fl.Name)
	if is.Before(a.clock) {
		is.Clock, is.Src = a.clock, ""
		if a.ordinary {
			is.Src = a.src
		}
	}
	a.store(fl, c, is, c.value)
}

// createWithEmail gives a contact that the call creates its email after all, if that was held: a newer call had set
// another one, but on a contact that is gone, and only its hash is left. An older address is better than none. It takes
// its own clock along, so any call in between still improves on it.
func (a *application) createWithEmail() {
	i := slices.IndexFunc(a.out.Fields, func(o FieldOutcome) bool { return o.Name == emailName && o.Action == ActionHeld })
	if i < 0 {
		return
	}
	a.out.Fields = slices.Delete(a.out.Fields, i, i+1)
	a.storeEmail(a.r.get(emailField))
}

// applyField sets or empties a field that the call carries.
func (a *application) applyField(c *carried) {
	fl := &a.f.cat.fields[c.field]
	is := a.f.rec.field(fl.Name)
	if a.clock.Before(is.Clock) {
		a.report(fl, c, ActionHeld)
		return
	}
	replaced := a.replaced(fl, is)
	is.Clock, is.Src = a.clock, ""
	if a.ordinary {
		is.Src = a.src
	}
	switch {
	case !replaced:
		a.store(fl, c, is, c.value)
	case is.Hash != hashEmpty:
		a.store(fl, c, is, nil)
	default:
		a.f.rec.setField(fl.Name, is)
		a.report(fl, c, ActionHeld)
	}
}

// replaced reports whether a newer ordinary call of the same source has left the field out.
func (a *application) replaced(fl *field, is FieldRecord) bool {
	if !a.ordinary || !a.f.opt.clear() || !fl.emptiedByOmission() {
		return false
	}
	omitted, ok := is.Omitted[a.src]
	if !ok {
		omitted = a.f.rec.Replaced[a.src]
	}
	return a.clock.Before(omitted)
}

// emptiedByOmission reports whether leaving the field out may empty it. Required fields are spared because the API would
// refuse the whole contact.
func (f *field) emptiedByOmission() bool {
	return f.access == open && f.kind != kindEmail && f.kind != kindUnsupported && !f.Required
}

// store gives a field its value, and notes it for sending unless the contact is known to have it.
func (a *application) store(fl *field, c *carried, is FieldRecord, value any) {
	a.effects++
	hash := hashValue(value)
	if is.Hash == hash && a.f.fresh(is.Sent) {
		a.f.rec.setField(fl.Name, is)
		a.report(fl, c, ActionUnchanged)
		return
	}
	is.Hash, is.Sent = hash, a.f.now
	action := ActionSet
	if value == nil {
		action = ActionEmptied
		if !a.f.known {
			is.Sent = 0 // creating a contact sends no empty fields
		}
	}
	a.f.rec.setField(fl.Name, is)
	a.f.put(fl, c, value)
	a.report(fl, c, action)
}

// report notes what became of a field; c is nil where the call left it out.
func (a *application) report(fl *field, c *carried, action Action) {
	if a.out.Fields == nil {
		a.out.Fields = make([]FieldOutcome, 0, len(a.r.fields))
	}
	out := FieldOutcome{Name: fl.Name, Label: fl.Label, Action: action}
	if c != nil {
		out.Trait, out.Rule = shortName(c.trait), c.rank.rule()
	}
	a.out.Fields = append(a.out.Fields, out)
}

// emptyOmitted empties the fields that ordinary calls of this source set before and this one leaves out. What is empty
// already is left alone, so a value somebody has typed there since then stays.
func (a *application) emptyOmitted() {
	var names []string
	for name, is := range a.f.rec.Fields {
		if is.Src != a.src || is.Hash == hashEmpty || !is.Before(a.clock) {
			continue
		}
		i, ok := a.f.cat.byName[name]
		if ok && a.f.cat.fields[i].emptiedByOmission() && a.r.get(i) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fl := &a.f.cat.fields[a.f.cat.byName[name]]
		a.store(fl, nil, a.f.rec.field(name), nil) // the clock stays: the call did not carry the field
	}
}

// noteOmitted remembers that this source has left fields out. Usually the clock of its newest call says it for all of
// them; a field for which that call carried a value that could not be used needs a note of its own.
func (a *application) noteOmitted() {
	last := a.f.rec.Replaced[a.src]
	newest := last.Before(a.clock)
	for name, is := range a.f.rec.Fields {
		if omitted, noted := is.Omitted[a.src]; noted {
			a.renote(name, is, omitted, newest)
		}
	}
	if !newest {
		return
	}
	for i := range a.r.fields {
		c := &a.r.fields[i]
		fl := &a.f.cat.fields[c.field]
		if !c.refused || !fl.emptiedByOmission() {
			continue
		}
		is := a.f.rec.field(fl.Name)
		if _, noted := is.Omitted[a.src]; !noted {
			is.Omitted = with(is.Omitted, a.src, last)
			a.f.rec.setField(fl.Name, is)
		}
	}
	if a.f.rec.Replaced == nil {
		a.f.rec.Replaced = make(map[string]Clock)
	}
	a.f.rec.Replaced[a.src] = a.clock
}

// renote brings a field's own note up to date: the newest call makes it needless, whether it leaves the field out or
// sets it; an older one that leaves the field out may move it; one whose value cannot be used says nothing.
func (a *application) renote(name string, is FieldRecord, omitted Clock, newest bool) {
	carried, refused := false, false
	if i, ok := a.f.cat.byName[name]; ok {
		if c := a.r.get(i); c != nil {
			carried, refused = true, c.refused
		}
	}
	switch {
	case refused:
		return
	case newest:
		is.Omitted = without(is.Omitted, a.src)
	case !carried && omitted.Before(a.clock):
		is.Omitted = with(is.Omitted, a.src, a.clock)
	default:
		return
	}
	a.f.rec.setField(name, is)
}

// with and without copy: records share these maps.
func with(m map[string]Clock, key string, c Clock) map[string]Clock {
	m = maps.Clone(m)
	if m == nil {
		m = make(map[string]Clock, 1)
	}
	m[key] = c
	return m
}

func without(m map[string]Clock, key string) map[string]Clock {
	if len(m) == 1 {
		return nil
	}
	m = maps.Clone(m)
	delete(m, key)
	return m
}

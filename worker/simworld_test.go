package worker_test

import (
	"maps"
	"slices"
	"time"
)

// world is the oracle of the simulation of all calls: what the account should hold, as docs/calls.md and docs/contract.md have
// it. It takes the calls in the order of the log, as they are sent, and each value with its clock. It knows nothing of lanes,
// records, retries or restarts.
type world struct {
	people map[string]*person // by userId
	firms  map[string]*firm   // by groupId
	tracks map[string]*happening
	maybe  map[string]bool // message ids of alias calls that may be letters
}

// person is a userId.
type person struct {
	contact *simContact     // its own; nil: there is none, it is erased, or another userId's
	heir    string          // the userId to which an alias call gave the contact, for good; ""
	firms   map[string]bool // that it was said to belong to
	erased  bool
	life    int               // counts how often an erased user was let come again
	letters map[string]string // of alias calls that only people can decide, by message id: their previousId
	old     bool              // what it said before its contact was given away is remembered, and may be newer than late calls
	busy    bool              // is about to be erased or let come again, as an id of another userId
	lately  bool              // was erased since nothing waited last: letters that name it may go with those from before
	mixed   bool              // was erased in the request that is being put together
}

// simContact is a contact as it should be.
type simContact struct {
	former []string // userIds that it had before
	said   stamped  // what its newest identify says, by trait
	seq    int64    // of that call
	firms  map[string]bool
	gone   bool
}

// stamped is what the call with the newest clock says.
type stamped struct {
	at     time.Time
	traits map[string]any
}

// firm is a company: each field has a clock of its own.
type firm struct {
	there  bool // some call has named it
	fields map[string]stampedValue
}

type stampedValue struct {
	at    time.Time
	value any
}

// happening is a track call.
type happening struct {
	user    string
	owner   string      // of the contact, when it came
	contact *simContact // nil: there was none when it came
	seq     int64       // of the newest identify that came before it
	never   bool        // it must not be made
	perhaps bool        // it may end as a discard: the user has no contact, or was erased later
	moved   bool        // the user has got another contact since
}

func newWorld() *world {
	return &world{people: map[string]*person{}, firms: map[string]*firm{}, tracks: map[string]*happening{}, maybe: map[string]bool{}}
}

func (w *world) person(user string) *person {
	if w.people[user] == nil {
		w.people[user] = &person{firms: map[string]bool{}, letters: map[string]string{}}
	}
	return w.people[user]
}

// takes says whether the user's calls are heard.
func (p *person) takes() bool { return !p.erased && p.heir == "" }

// of is the userId to which alias calls gave the user's contact, or itself, and its contact.
func (w *world) of(user string) (owner string, c *simContact) {
	for w.person(user).heir != "" {
		user = w.person(user).heir
	}
	return user, w.person(user).contact
}

// ids are the other userIds that alias calls made one with the user, and whose contact is the user's.
func (w *world) ids(user string) (ids []string) {
	for id, p := range w.people {
		for p.heir != "" && p.heir != user {
			p = w.person(p.heir)
		}
		if p.heir == user {
			ids = append(ids, id)
		}
	}
	return ids
}

func (w *world) identify(user string, at time.Time, seq int64, traits map[string]any) {
	p := w.person(user)
	if !p.takes() {
		return
	}
	if p.contact == nil {
		p.contact = &simContact{firms: maps.Clone(p.firms)}
	}
	if c := p.contact; !at.Before(c.said.at) { // of the same moment, the later in the log counts
		c.said, c.seq = stamped{at, traits}, seq
	}
}

// group takes both halves of a group call. traits are those that the account has fields for; nil empties one.
func (w *world) group(user, company string, at time.Time, traits map[string]any) {
	if w.firms[company] == nil {
		w.firms[company] = &firm{fields: map[string]stampedValue{}}
	}
	if f := w.firms[company]; f.there || traits["name"] != nil {
		f.there = true
		for trait, v := range traits {
			if is, ok := f.fields[trait]; !ok || !at.Before(is.at) {
				f.fields[trait] = stampedValue{at, v}
			}
		}
	}
	if user == "" {
		return
	}
	p := w.person(user)
	if !p.takes() {
		return
	}
	p.firms[company] = true
	if p.contact != nil {
		p.contact.firms[company] = true
	}
}

// alias says that two userIds are one person.
func (w *world) alias(previous, user, id string) {
	old, p := w.person(previous), w.person(user)
	switch {
	case p.erased, !old.takes(), old.contact == nil:
		return
	case p.contact != nil:
		if w.maybe[id] = old.lately; !old.lately {
			p.letters[id] = previous
		}
		return
	}
	c := old.contact
	c.former = append(c.former, previous)
	maps.Copy(c.firms, p.firms)
	maps.Copy(p.firms, c.firms)
	p.contact, p.heir = c, ""
	old.contact, old.heir, old.old = nil, user, true
	for _, h := range w.tracks { // one that still waits finds the contact that the user has now
		h.moved = h.moved || h.user == user
		h.perhaps = h.perhaps || p.life > 0 && h.contact == c // or that the user was let come again after it was sent
	}
}

// forget erases a user, and the ids that are one with it.
func (w *world) forget(user string) {
	if c := w.person(user).contact; c != nil {
		c.gone = true
	}
	ids := w.ids(user)
	for _, id := range append(ids, user) {
		p := w.person(id)
		*p = person{erased: true, heir: p.heir, old: p.old, life: p.life, firms: map[string]bool{}, letters: map[string]string{}, busy: p.busy || id != user, lately: true, mixed: true}
	}
	for _, p := range w.people { // and what alias calls said of them
		maps.DeleteFunc(p.letters, func(_, previous string) bool { return previous == user || slices.Contains(ids, previous) })
	}
	for _, h := range w.tracks {
		h.perhaps = h.perhaps || h.user == user || slices.Contains(ids, h.user) || h.contact != nil && h.contact.gone
	}
}

// undo lets an erased user come again.
func (w *world) undo(user string) {
	ids := w.ids(user)
	for _, id := range append(ids, user) {
		p := w.person(id)
		p.erased, p.life, p.busy = false, p.life+1, p.busy || id != user
	}
}

func (w *world) track(user, title string) {
	p := w.person(user)
	owner, c := w.of(user)
	h := &happening{user: user, owner: owner, contact: c, never: p.erased && !p.busy, perhaps: c == nil || p.mixed || p.busy}
	if p.contact != nil { // those of another id do not wait for what came before for it
		h.seq = p.contact.seq
	}
	w.tracks[title] = h
}

// sent is for the end of a request.
func (w *world) sent() {
	for _, p := range w.people {
		p.mixed = false
	}
}

// settled is for a moment at which nothing waits any more.
func (w *world) settled() {
	for _, p := range w.people {
		p.busy, p.lately = false, false
	}
}

// contacts are those that should be there, by userId.
func (w *world) contacts() map[string]*simContact {
	all := map[string]*simContact{}
	for user, p := range w.people {
		if p.contact != nil {
			all[user] = p.contact
		}
	}
	return all
}

// links are the companies that the contact should be linked to.
func (w *world) links(c *simContact) []string {
	var all []string
	for company := range c.firms {
		if w.firms[company].there {
			all = append(all, company)
		}
	}
	slices.Sort(all)
	return all
}

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
}

// person is a userId.
type person struct {
	contact *simContact     // nil: there is none, or it is erased
	firms   map[string]bool // that it was said to belong to
	given   bool            // an alias call has made its contact another userId's
	erased  bool
	life    int             // counts how often an erased user was let come again
	letters map[string]bool // message ids of alias calls that only people can decide
	last    time.Time       // the newest clock of its calls
	busy    bool            // its calls would race with an alias call in another lane, which may take any order
	late    bool            // has made calls since everything was settled last
	retired bool            // makes no calls any more
	mixed   bool            // was erased in the request that is being put together
}

// simContact is a contact as it should be.
type simContact struct {
	owner  string
	former []string // userIds that it had before
	said   stamped  // what its newest identify says, by trait
	seq    int64    // of that call
	firms  map[string]bool
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
	contact *simContact // nil: there was none when it came
	seq     int64       // of the newest identify that came before it
	never   bool        // it must not be made
	perhaps bool        // it may end as a discard: the user has no contact, or was erased later
	moved   bool        // the user has got another contact since
}

func newWorld() *world {
	return &world{people: map[string]*person{}, firms: map[string]*firm{}, tracks: map[string]*happening{}}
}

func (w *world) person(user string) *person {
	if w.people[user] == nil {
		w.people[user] = &person{firms: map[string]bool{}, letters: map[string]bool{}}
	}
	return w.people[user]
}

// away says that the user's contact belongs to another userId.
func (p *person) away(user string) bool { return p.contact != nil && p.contact.owner != user }

func (w *world) identify(user string, at time.Time, seq int64, traits map[string]any) {
	p := w.person(user)
	if p.late = true; p.erased || p.away(user) {
		return
	}
	if p.contact == nil {
		p.contact = &simContact{owner: user, firms: maps.Clone(p.firms)}
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
	if p.late = true; p.erased || p.away(user) {
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
	old.late, p.late, old.busy = true, true, true
	switch {
	case p.erased, old.erased, old.contact == nil, old.away(previous):
		return
	case p.contact != nil && !p.away(user):
		p.letters[id] = true
		return
	}
	c := old.contact
	c.owner, c.former = user, append(c.former, previous)
	for company := range p.firms {
		c.firms[company] = true
	}
	for company := range c.firms {
		p.firms[company] = true
	}
	p.contact, old.given = c, true
	for _, h := range w.tracks { // one that still waits finds the contact that the user has now
		h.moved = h.moved || h.user == user
	}
}

// forget erases a user.
func (w *world) forget(user string) {
	p := w.person(user)
	if c := p.contact; c != nil && c.owner == user {
		for _, former := range c.former {
			if f := w.person(former); f.contact == c {
				f.retired = true // its next call would make the contact anew, with whatever it still had to say
			}
		}
		c.owner = ""
	}
	for _, h := range w.tracks {
		h.perhaps = h.perhaps || h.user == user || h.contact != nil && h.contact.owner == ""
	}
	*p = person{erased: true, life: p.life, firms: map[string]bool{}, letters: map[string]bool{}, last: p.last, busy: p.busy, late: true, mixed: true}
}

// undo lets an erased user come again.
func (w *world) undo(user string) {
	p := w.person(user)
	if p.late = true; !p.erased {
		return
	}
	p.erased = false
	p.life++
}

func (w *world) track(user, title string) {
	p := w.person(user)
	p.late = true
	h := &happening{user: user, contact: p.contact, never: p.erased, perhaps: p.contact == nil || p.contact.owner == "" || p.mixed}
	if p.contact != nil && !p.away(user) {
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
		p.busy, p.late = false, false
	}
}

// mayForget says whether it is certain what erasing the user does to those whose contact it has by an alias call.
func (w *world) mayForget(user string) bool {
	p := w.person(user)
	return p.contact == nil || !slices.ContainsFunc(p.contact.former, func(former string) bool { return w.person(former).late })
}

// contacts are those that should be there, by userId.
func (w *world) contacts() map[string]*simContact {
	all := map[string]*simContact{}
	for user, p := range w.people {
		if p.contact != nil && p.contact.owner == user {
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

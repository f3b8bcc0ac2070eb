package mapping

import (
	"slices"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/segment"
)

// Fold turns the record and the waiting calls of one user, in the order of the log, into one change. Folding calls
// together leaves the contact and the record as folding them one by one would, but for when a value was last sent.
// now decides only which unchanged values are sent again. rec is not changed.
func Fold(cat *Catalogue, opt Options, rec Record, calls []Call, now time.Time) Result {
	if cat == nil {
		cat = NewCatalogue(nil)
	}
	f := newFolder(cat, &opt, rec, now)
	f.again = slices.ContainsFunc(calls, func(c Call) bool { return c.Again })
	outcomes := make([]Outcome, len(calls))
	for i := range calls {
		outcomes[i] = f.call(&calls[i])
	}
	f.linked(outcomes)
	return Result{Change: f.change(), Record: f.rec, Outcomes: outcomes}
}

// folder is a fold under way. rec is always as it would be had every change so far been sent.
type folder struct {
	cat    *Catalogue
	opt    *Options
	before Record // as it was, without hashes if the contact is unknown
	rec    Record
	now    int64
	resend int64 // seconds
	known  bool  // there is a contact, or an earlier call of this fold creates it
	again  bool  // the contact may hold what some of the calls say, though the record does not know of it

	userID  string
	email   string // the contact's as far as the calls tell it
	pending []FieldChange
	wanted  map[string]bool // links that the calls speak of
	madeAs  string          // of a company: Change.MadeAs
}

func newFolder(cat *Catalogue, opt *Options, rec Record, now time.Time) *folder {
	if rec.ContactID == "" {
		rec.ForgetContact() // on our copy: what was sent went to a contact we do not know any more
	}
	return &folder{
		cat: cat, opt: opt, before: rec, rec: rec.Clone(), known: rec.ContactID != "",
		now: unixSeconds(now), resend: int64(opt.resendAfter() / time.Second),
	}
}

func (f *folder) call(c *Call) Outcome {
	ev := &c.Event
	message := hashMessage(ev.Source, ev.MessageID)
	switch {
	case f.rec.Suppressed != 0:
		if ev.Type == segment.Previous && ev.MessageID != "" {
			f.rec.Ring.add(message, ev.Received) // the other half asks whether it has had its turn
		}
		return Outcome{Reason: ReasonSuppressed}
	case ev.Type == segment.Previous && f.opt.Aliases:
		return f.previous(c)
	case f.rec.Given && (ev.Type == segment.Identify || ev.Type == segment.Group && f.opt.Accounts):
		return Outcome{Reason: ReasonAliased}
	case ev.Type == segment.Group && f.opt.Accounts:
		return f.link(c)
	case ev.Type != segment.Identify:
		return Outcome{Reason: ReasonNotForwarded}
	case ev.Disabled:
		return Outcome{Reason: ReasonIntegrationsDisabled}
	case !c.Replay && ev.MessageID != "" && f.rec.Ring.has(message, ev.Received):
		return Outcome{Reason: ReasonDuplicate}
	}
	// Without a userId nobody can say what earlier calls of this person carried, so leaving a trait out says nothing.
	anonymous := strings.TrimSpace(ev.UserID) == ""
	if anonymous && f.opt.WithoutUserID != ByEmail {
		return Outcome{Reason: ReasonMissingUserID}
	}
	partial := ev.Partial || anonymous
	r := read(f.cat, f.opt, ev.Traits)
	r.refuse(c.Refused)
	hasEmail := r.hasEmail() || f.opt.EmailFallback && r.fallback(ev)
	if anonymous { // the lane was chosen by its address, and all of the lane's calls must mean one contact
		hasEmail = hasEmail && r.get(emailField).value == f.opt.address(ev)
	}
	if !hasEmail && (anonymous || !partial || !f.known) {
		return r.outcome(Outcome{Reason: ReasonMissingEmail})
	}
	if ev.MessageID != "" {
		f.rec.Ring.add(message, ev.Received)
	}
	if !anonymous {
		f.userID = ev.UserID
	}
	a := application{f: f, r: &r, src: ev.Source, clock: c.clock(), ordinary: !partial}
	a.apply()
	if len(a.out.Fields) > 0 && a.effects == 0 {
		return r.outcome(Outcome{Reason: ReasonStale, Fields: a.out.Fields})
	}
	if anonymous && f.email == "" { // the address is what finds the contact, so it goes along
		f.email, _ = r.get(emailField).value.(string)
	}
	if !f.known {
		a.createWithEmail()
	}
	f.known, f.rec.Broken = true, false
	a.out.Delivered = true
	return r.outcome(a.out)
}

func (r *reading) outcome(o Outcome) Outcome {
	o.LeftOut, o.More, o.Unmapped = r.leftOut, r.more, r.unknown
	return o
}

// put notes that a field is to have this value, the last one counts.
func (f *folder) put(fl *field, c *carried, value any) {
	change := FieldChange{Name: fl.Name, Label: fl.Label, Type: fl.Type, Custom: fl.Custom, Value: value, Add: fl.kind == kindTags}
	if c != nil {
		change.Trait = shortName(c.trait)
	}
	for i := range f.pending {
		if f.pending[i].Name == fl.Name {
			if change.Add {
				change.Value = joined(f.pending[i].Value, value)
			}
			f.pending[i] = change
			return
		}
	}
	f.pending = append(f.pending, change)
}

// joined is the union of two lists that are to be added.
func joined(a, b any) any {
	list, _ := a.([]string)
	more, _ := b.([]string)
	list = slices.Clone(list)
	for _, item := range more {
		if !slices.Contains(list, item) {
			list = append(list, item)
		}
	}
	return list
}

func (f *folder) fresh(sent int64) bool { return sent != 0 && f.now-sent < f.resend }

// change settles what is to be sent: of what the calls did to a field only where it ended counts.
func (f *folder) change() Change {
	created := f.before.ContactID == "" && f.known
	fields := make([]FieldChange, 0, len(f.pending))
	for _, p := range f.pending {
		was, is := f.before.field(p.Name), f.rec.field(p.Name)
		nothing := created && f.madeAs == "" // an account is found by its name, and may hold what an earlier try wrote
		if nothing && p.Value == nil || !created && !p.Add && !f.again && was.Hash == is.Hash && f.fresh(was.Sent) {
			is.Sent = was.Sent // a new contact has nothing to empty; a value that came back is there already
			f.rec.setField(p.Name, is)
			continue
		}
		fields = append(fields, p)
	}
	slices.SortFunc(fields, byFieldName)
	c := Change{UserID: f.userID, Email: f.email, Fields: fields, Links: f.links()}
	if created {
		c.Defaults = f.defaults(fields)
	}
	return c
}

func byFieldName(a, b FieldChange) int { return strings.Compare(a.Name, b.Name) }

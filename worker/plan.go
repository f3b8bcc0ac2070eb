package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// planner says what would become of calls, without doing it. There is one for all who ask: mapping explain, the dry run of a
// replay, and what is journaled and reported in the modes that do not write. It goes by the rules of turn. What only the account
// can tell it takes for granted: that nothing is refused, and that what is remembered is still there.
type planner struct {
	options    mapping.Options
	deletion   Deletion
	activities mapping.Activities
	updateOnly bool
	customs    func(op string) CustomFields
	now        time.Time

	contacts *mapping.Catalogue
	accounts *mapping.Catalogue // nil: not known
	noFields string             // why a company's call becomes a dead letter while accounts are not known; "": nobody can say what it does
	// younger are the fields, if they have been read anew since, because a call names some that are not there. It may be nil.
	younger func(company bool, have *mapping.Catalogue) (*mapping.Catalogue, error)

	token tokens // under which a lane is remembered
	// record is what is remembered of a user or company; of a lane of activities, with that.
	record func(ctx context.Context, user string, activities bool) (mapping.Record, error)
	// again says that the calls will have been read anew when they are delivered, as those that wait for another mode are by a start: what
	// they say may be in the account already, so it is looked at once more.
	again bool
	// waiting is what waits in a user's lane of contacts; nil: nothing does, or it does not matter.
	waiting func(user string) []queue.Item
	// aside says whether an identify of a user is a dead letter. nil: none is.
	aside func(ctx context.Context, user string) (bool, error)
	// look reads a contact; ok is false if it cannot be read now. nil: nothing is asked of the account.
	look func(ctx context.Context, id string) (c freshmarketer.Contact, there, ok bool)
	// kinds and events are what the pool knows of the account; nil: nothing is.
	kinds  *kinds
	events *events

	lanes map[string]*sideLane
	depth int
}

// plan is what would become of calls that are one change.
type plan struct {
	calls    []call         // with their outcomes, see fate
	before   mapping.Record // of their lane
	result   mapping.Result
	requests []mapping.Request // in order, if nothing is refused
	note     string            // what is to be said besides; it holds no values
	unknown  bool              // nobody can say

	company, activity bool
	renames, erases   bool // the contact
}

// imaginedID stands for the id of a contact or account that only a planned change would make. The API's ids are never 0.
const imaginedID = "0"

// lane plans the calls of one user or company, in the order of the log, and returns the record as it then is.
func (pl *planner) lane(ctx context.Context, user string, record mapping.Record, calls []call) ([]plan, mapping.Record, error) {
	var list []plan
	for len(calls) > 0 {
		n, err := pl.head(ctx, user, record, calls)
		if err != nil {
			return nil, record, err
		}
		if record, err = pl.given(ctx, user, record, calls[0].item); err != nil {
			return nil, record, err
		}
		step, err := pl.change(ctx, user, record, calls[:n])
		if err != nil {
			return nil, record, err
		}
		list, record, calls = append(list, step), step.result.Record, calls[n:]
	}
	return list, record, nil
}

// head is how many of the calls are one change, as a turn takes them: an alias call is one by itself, and so is its half about the
// previousId, and a delete call ends one.
func (pl *planner) head(ctx context.Context, user string, record mapping.Record, calls []call) (int, error) {
	calls = calls[:min(len(calls), maxMerge)]
	if i := aliasIn(calls, segment.Previous, pl.options); i >= 0 {
		calls = calls[:max(1, i)]
	}
	switch i := aliasIn(calls, segment.Alias, pl.options); {
	case i == 0:
		return 1, nil
	case i > 0:
		calls = calls[:i]
	}
	i := pl.deletion.in(calls)
	if i < 0 {
		return len(calls), nil
	}
	_, nobody, err := calls[i].erasesNobody(record, pl.heirs(ctx, user, calls[i].item))
	if (nobody || calls[i].named() != "") && i > 0 {
		return i, err
	}
	return i + 1, err
}

// besides gives the records of other users, as they are once what waits before a position is done.
func (pl *planner) besides(before uint64) records {
	return func(ctx context.Context, user string) (mapping.Record, error) { return pl.beside(ctx, user, before) }
}

// all stands for a mode in which everybody is written, as the one will be in which the calls are delivered.
func all(string) bool { return true }

// heirs are those of a user, as they are once what waits before a position is done.
func (pl *planner) heirs(ctx context.Context, user string, before uint64) func(mapping.Record) ([]string, mapping.Record, error) {
	return func(r mapping.Record) ([]string, mapping.Record, error) {
		return pl.besides(before).heirs(ctx, user, r, all)
	}
}

// given notes that an alias call has given the user's contact away, as turn.given does.
func (pl *planner) given(ctx context.Context, user string, record mapping.Record, before uint64) (mapping.Record, error) {
	if len(record.Aliased) == 0 || record.Given || record.Suppressed != 0 {
		return record, nil
	}
	record = record.Clone()
	to, _, _, err := pl.besides(before).heir(ctx, user, &record, all)
	record.Given = to != ""
	return record, err
}

// change plans the calls of one head.
func (pl *planner) change(ctx context.Context, user string, record mapping.Record, calls []call) (plan, error) {
	switch {
	case aliasIn(calls, segment.Alias, pl.options) == 0:
		return pl.alias(ctx, user, record, calls)
	case pl.deletion.hears(&calls[len(calls)-1]):
		return pl.erase(ctx, user, record, calls)
	case record.Suppressed != 0:
		suppress(calls)
	}
	return pl.fold(ctx, record, calls)
}

// fold plans calls that are mapped.
func (pl *planner) fold(ctx context.Context, record mapping.Record, calls []call) (plan, error) {
	p := plan{calls: calls, before: record}
	p.company = slices.ContainsFunc(calls, func(c call) bool { return c.received.Type == segment.Account })
	fold, fields := mapping.Fold, pl.contacts
	if p.company {
		fold, fields = mapping.FoldAccount, pl.accounts
		if fields == nil && pl.options.Accounts {
			return pl.withoutFields(p), nil
		}
	}
	list := toMap(calls, pl.token)
	for i := range list {
		list[i].Again = pl.again
	}
	p.result = fold(fields, pl.options, record, list, pl.now)
	if pl.younger != nil && p.result.Puzzled() {
		newer, err := pl.younger(p.company, fields)
		if err != nil {
			return p, err
		}
		if newer != fields {
			p.result = fold(newer, pl.options, record, list, pl.now)
		}
	}
	mappedTo(calls, p.result)
	links, err := pl.links(ctx, &p)
	if err != nil {
		return p, err
	}
	switch {
	case p.company:
		p.requests, p.note = plannedAccount(p.result.Change, record.ContactID, pl.customs(freshmarketer.OpUpdateAccount))
	default:
		p.requests, p.note = pl.plannedContact(p.result.Change, record, links)
	}
	if p.result.Record.ContactID == "" && !p.result.Change.Empty() {
		p.result.Record.ContactID = imaginedID
	}
	if !p.delivers() {
		p.note = ""
	} else if p.note == "" && calls[0].received.Type == segment.Previous {
		p.note = "its contact may be another's from here on; what the call does to it is said with the userId's half"
	}
	return p, nil
}

// delivers says whether any of the calls would be delivered.
func (p *plan) delivers() bool {
	return slices.ContainsFunc(p.calls, func(c call) bool { return c.fate("").outcome == queue.Delivered })
}

// withoutFields plans calls of a company while the fields of sales accounts are not known.
func (pl *planner) withoutFields(p plan) plan {
	p.note, p.unknown = "the fields of sales accounts cannot be read", pl.noFields == ""
	p.result.Record = p.before.Clone()
	for i := range p.calls {
		if c := &p.calls[i]; c.mapped() {
			c.outcome, c.aside = mapping.Outcome{Delivered: true}, pl.noFields
			p.result.Record.Remember(c.received.Source, c.received.MessageID, c.received.At)
			p.result.Record.Broken = !p.unknown
		}
	}
	return p
}

// links settles which of the change's links are made.
func (pl *planner) links(ctx context.Context, p *plan) (links plannedLinks, _ error) {
	if len(p.result.Change.Links) == 0 {
		return links, nil
	}
	wanted := p.result.Change.Links
	p.result.Change.Links = slices.Clone(wanted)
	for _, company := range wanted {
		at := speaking(p.calls, company, pl.token.company)
		before := p.calls[len(p.calls)-1].item
		if len(at) > 0 {
			before = p.calls[at[len(at)-1]].item
		}
		record, err := pl.beside(ctx, company, before)
		switch {
		case err != nil:
			return links, err
		case p.before.Links[company].Sent != 0 && record.ContactID != "":
			links.there++
		case record.ContactID != "":
			links.accounts = append(links.accounts, record.ContactID)
		case pl.accounts == nil && pl.noFields == "":
			links.accounts = append(links.accounts, imaginedID) // nobody can say
		default:
			unlink(&p.result, p.calls, at, company, record.Broken)
		}
	}
	return links, nil
}

// alias plans an alias call, the only one of calls.
func (pl *planner) alias(ctx context.Context, user string, record mapping.Record, calls []call) (plan, error) {
	c, p := &calls[0], plan{calls: calls, before: record}
	p.result.Record = record.Clone()
	p.result.Record.Remember(c.received.Source, c.received.MessageID, c.received.At)
	if reason := c.judgeAlias(record); reason != "" {
		c.outcome.Reason = reason
		return p, nil
	}
	token := pl.token(segment.Received{UserID: c.event.PreviousID}.Lane())
	old, err := pl.beside(ctx, token, c.item)
	if err != nil {
		return p, err
	}
	was := old.Clone() // what is noted in it stays here
	heir, _, _, err := pl.besides(c.item).heir(ctx, token, &was, all)
	if err != nil {
		return p, err
	}
	joined := p.result.Record.Clone()
	joined.Inherit(old, user, token)
	v := c.judgeBoth(record, joined, old, user, heir)
	c.outcome, c.aside = mapping.Outcome{Delivered: v.reason == "", Reason: v.reason}, v.aside
	switch {
	case v.needless:
		p.note, p.result.Record = "the contact is the userId's already", joined
		return p, nil
	case v != aliasVerdict{}:
		return p, nil
	}
	renamed := pl.plannedRename(ctx, c, old.ContactID, record)
	p.requests, p.note = renamed.requests, renamed.note
	switch {
	case renamed.gone:
		c.outcome = mapping.Outcome{Reason: mapping.ReasonUnknownPrevious}
	case renamed.both:
		c.aside, p.result.Record = ReasonAliasConflict, apart(p.result.Record, token)
	default:
		p.renames = true
		p.result.Record.ForgetContact()
		p.result.Record = p.result.Record.TakeOver(old, user, token)
	}
	return p, nil
}

// erase plans a head that ends with a delete call.
func (pl *planner) erase(ctx context.Context, user string, record mapping.Record, calls []call) (plan, error) {
	last, p := &calls[len(calls)-1], plan{calls: calls, before: record}
	if last.named() != "" {
		last.outcome.Delivered, p.result.Record = true, record.Clone()
		p.result.Record.Remember(last.received.Source, last.received.MessageID, last.received.At)
		p.note = "dead letters of alias calls go that name a user who is erased"
		return p, nil
	}
	outcome, nobody, err := last.erasesNobody(record, pl.heirs(ctx, user, last.item))
	if nobody || err != nil {
		last.outcome, p.result.Record = outcome, last.notErasedBy(record, outcome)
		if outcome.Delivered {
			p.note = "the user may come again"
		}
		return p, err
	}
	for i := range calls[:len(calls)-1] {
		calls[i].drop(mapping.ReasonErased)
	}
	last.outcome.Delivered = true
	left := leftOf(record)
	left.ContactID = ""
	left.Remember(last.received.Source, last.received.MessageID, last.received.At)
	p.erases, p.result.Record = true, *left
	p.note = "what is kept of the user here goes too, dead letters and journal included"
	if n := len(record.Previous); n > 0 {
		p.note += fmt.Sprintf("; and so does that of %d other userIds, which alias calls made one with it", n)
	}
	if last.heir() == "" { // else its contact is the other's to erase
		p.requests = pl.plannedErasure(last.event.UserID, record.ContactID)
	}
	return p, nil
}

package worker

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/segment"
)

const (
	// maxLinked is how many accounts a contact can have. Source: a connector's documentation.
	maxLinked = 10
	// linkFirst and linkMax are the waits between two looks at a company's record while its account is being made.
	linkFirst, linkMax = 100 * time.Millisecond, 5 * time.Second
	// linkAgain is how long a dead letter waits for its company's, which may be sent again in the same job.
	linkAgain = time.Minute
)

// awaiting is what a look for a company's account found.
type awaiting int

const (
	accountThere  awaiting = iota
	accountComing          // the company's entry has not had its turn
	accountNot             // it has had its turn and gave no account
	accountBroken          // it was set aside, or cannot be made at present
)

// findAccounts looks for the accounts that the change's links are to. With wait the lane comes again later: the account is
// being made. Other users never wait, and what stands before the group call in this lane goes first. Where there is no
// account to wait for, the link is taken out of the change.
func (t *turn) findAccounts() (wait bool, _ error) {
	t.links, t.linkFailure = nil, nil
	for i := range t.calls {
		t.calls[i].aside = ""
	}
	change := &t.result.Change
	change.Links = slices.Clone(change.Links)
	for _, company := range slices.Clone(change.Links) {
		id, found, err := t.findAccount(company)
		if err != nil {
			return false, err
		}
		if id != "" {
			if t.links == nil {
				t.links = map[string]string{}
			}
			t.links[company] = id
			continue
		}
		at := t.speaks(company)
		switch {
		case len(at) == 0: // spoken of earlier, and still there is none
		case found == accountComing:
			if t.await(at[0]) {
				return true, nil
			}
			found = accountBroken
		}
		unlink(&t.result, t.calls, at, company, found == accountBroken)
	}
	return false, nil
}

// unlink takes a link out of a change because there is no account to link to. at are the calls that want it; broken says that
// the account may come by a replay, and that they are to be sent again then.
func unlink(result *mapping.Result, calls []call, at []int, company string, broken bool) {
	result.Change.Links = slices.DeleteFunc(result.Change.Links, func(c string) bool { return c == company })
	result.Record.Unlink(company)
	if broken && len(at) > 0 {
		result.Record.ForgetLink(company)
	}
	for _, i := range at {
		if broken {
			calls[i].aside = ReasonNoAccount
		} else {
			calls[i].outcome = mapping.Outcome{Reason: mapping.ReasonNoAccount}
		}
	}
}

// speaks are the indexes of the calls that want the link to a company.
func (t *turn) speaks(company string) []int { return speaking(t.calls, company, t.p.company) }

func speaking(calls []call, company string, of func(segment.Event) string) []int {
	var at []int
	for i, c := range calls {
		if c.mapped() && c.outcome.Delivered && of(c.event) == company {
			at = append(at, i)
		}
	}
	return at
}

// findAccount looks for the account of a company, in memory and then in the company's record.
func (t *turn) findAccount(company string) (id string, _ awaiting, _ error) {
	if id = t.p.accounts.id(company); id != "" {
		return id, accountThere, nil
	}
	record, err := t.p.remembered(t.callCtx, company)
	if err != nil {
		return "", accountComing, err
	}
	if id = record.ContactID; id != "" {
		t.p.accounts.know(company, id)
		return id, accountThere, nil
	}
	found := accountNot
	for _, i := range t.speaks(company) {
		switch c := t.calls[i]; {
		case c.letter != nil && t.lane.awaited.age(t.p.gate.idleFor()) < linkAgain:
			found = accountComing // its own entry may be a letter that is sent again as well
		case c.letter == nil && !record.Settled(c.received.Source, c.received.MessageID, c.received.At, c.position):
			found = accountComing
		}
	}
	switch {
	case t.p.accounts.stuck(), !t.p.mode.writes(company) && found == accountComing:
		return "", accountBroken, nil
	case found == accountNot && record.Broken:
		return "", accountBroken, nil
	}
	return "", found, nil
}

// await gives the lane back for a while because the call needs an account that is not there yet. It returns false when that
// has lasted for as long as a user's trouble may.
func (t *turn) await(call int) bool {
	l, held := t.lane, t.p.gate.idleFor()
	if at := t.itemOf(call); at > 0 && !l.unsettled() && l.limit == 0 {
		l.limit = at // what came before needs no account
		t.part.backlog.giveBack(l)
		return true
	}
	if l.awaited == nil {
		l.awaited = &trouble{waits: newBackOff(linkFirst, linkMax), since: time.Now(), heldAt: held}
	}
	if l.awaited.age(held) >= t.p.cfg.Retry.MaxAge {
		return false
	}
	t.part.retryLater(l, l.awaited.waits.NextBackOff())
	return true
}

// itemOf is the index of a call's item in the head.
func (t *turn) itemOf(call int) int {
	for i, it := range t.items {
		if it.Position == t.calls[call].item {
			return i
		}
	}
	return 0
}

// link adds the change's accounts to those that the contact has, and corrects the record where one could not be added.
// Writing replaces the whole list, so it is read first; what is there already costs no write.
func (t *turn) link(record *mapping.Record) error {
	if len(t.links) == 0 {
		return nil
	}
	contact, err := t.call(freshmarketer.OpGetContact, func(ctx context.Context) (freshmarketer.Contact, error) {
		return t.p.cfg.Client.GetContact(ctx, record.ContactID, freshmarketer.IncludeAccounts)
	})
	if err != nil {
		return err
	}
	if err := t.ours(contact); err != nil {
		return err
	}
	links := slices.Clone(contact.Accounts)
	var added []string
	for _, company := range t.inOrder() {
		id := t.links[company]
		switch {
		case slices.ContainsFunc(links, func(l freshmarketer.AccountLink) bool { return l.ID == id }):
		case len(links) >= maxLinked:
			record.LinkFull(company)
			for _, i := range t.speaks(company) {
				t.calls[i].outcome = mapping.Outcome{Reason: mapping.ReasonLinkLimit}
			}
		default:
			links, added = append(links, freshmarketer.AccountLink{ID: id}), append(added, company)
		}
	}
	if len(added) == 0 {
		return nil
	}
	_, err = t.put(record.ContactID, freshmarketer.ContactWrite{Fields: freshmarketer.Fields{"sales_accounts": onePrimary(links)}})
	if refusedBy(err) {
		return t.linkRefused(record, added, err)
	}
	return err
}

// inOrder are the companies to link to, those that were spoken of first coming first: there may not be room for all.
func (t *turn) inOrder() []string {
	since := map[string]int{} // of earlier turns: 0
	for company := range t.links {
		if at := t.speaks(company); len(at) > 0 {
			since[company] = at[0] + 1
		}
	}
	return slices.SortedFunc(maps.Keys(t.links), func(a, b string) int {
		return cmp.Or(cmp.Compare(since[a], since[b]), cmp.Compare(a, b))
	})
}

// onePrimary keeps the first primary link, or makes the first link one: the API wants exactly one.
func onePrimary(links []freshmarketer.AccountLink) []freshmarketer.AccountLink {
	first := max(0, slices.IndexFunc(links, func(l freshmarketer.AccountLink) bool { return l.Primary }))
	for i := range links {
		links[i].Primary = i == first
	}
	return links
}

// linkRefused sets the calls aside whose links the API refuses; what else the turn has written stays. An account that is
// gone is not relied on any more: the company's next call finds or makes it anew.
func (t *turn) linkRefused(record *mapping.Record, added []string, refused error) error {
	t.linkFailure = apiError(refused)
	t.p.log.Info("the API refuses a link to an account", zap.String("lane", t.lane.user), zap.Int("links", len(added)))
	var gone []string
	for _, company := range added {
		_, err := t.accountCall(freshmarketer.OpGetAccount, func(ctx context.Context) (freshmarketer.Account, error) {
			return t.p.cfg.Client.GetAccount(ctx, t.links[company])
		})
		switch {
		case freshmarketer.KindOf(err) == freshmarketer.KindGone:
			t.p.accounts.know(company, "")
			gone = append(gone, company)
		case err != nil:
			return err
		}
	}
	if len(gone) == 0 {
		t.linksAside(record, added, ReasonInvalid)
		return nil
	}
	t.linksAside(record, gone, ReasonNoAccount)
	return t.link(record) // without them
}

// linksAside makes dead letters of the calls that want these links.
func (t *turn) linksAside(record *mapping.Record, companies []string, reason string) {
	for _, company := range companies {
		for _, i := range t.speaks(company) {
			t.calls[i].aside = reason
		}
		record.ForgetLink(company)
		delete(t.links, company)
	}
}

package worker_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
	"github.com/freshrelay/freshrelay/worker"
)

// accountFields are the fields that the traits of a simulation's group calls reach.
var accountFields = map[string]string{"Segment": "cf_segment", "Seats": "cf_seats", "employees": "number_of_employees"}

// check compares the account with the world. all says that every user has made a call since every company was named.
func (s *callsSim) check(all bool) {
	s.t.Helper()
	rough, unlinked := s.rough()
	accounts := s.checkAccounts(rough)
	live := map[string]sandbox.Contact{}
	for _, c := range s.box.Contacts() {
		if other, twice := live[c.ExternalID]; twice || c.ExternalID == "" {
			s.t.Errorf("contacts %d and %d are both of %q", c.ID, other.ID, c.ExternalID)
		}
		live[c.ExternalID] = c
	}
	want := s.world.contacts()
	for user, c := range live {
		if want[user] == nil && !rough[user] {
			s.t.Errorf("%s has contact %d, and should have none", user, c.ID)
		}
	}
	for user, c := range want {
		got, there := live[user]
		switch {
		case rough[user] || slices.ContainsFunc(c.former, func(f string) bool { return rough[f] }):
		case !there:
			s.t.Errorf("%s has no contact", user)
		default:
			s.checkValues(user, c, got)
			if !unlinked[user] && !slices.ContainsFunc(c.former, func(f string) bool { return unlinked[f] }) {
				s.checkLinks(user, c, got, accounts, all)
			}
		}
	}
	s.neverBackwards("cf_seq")
	s.checkLetters(rough)
	s.checkActivities(rough)
}

// rough are the lanes, as userIds and groupIds, in which some call was set aside for a time. It is sent again by itself then, but
// what comes later does not wait for it, so it may find another world. Of those in unlinked it was only a link.
func (s *callsSim) rough() (rough, unlinked map[string]bool) {
	rough, unlinked = map[string]bool{}, map[string]bool{}
	look := func(name, lane string) {
		lines, err := s.store.Journal(s.t.Context(), queue.JournalQuery{User: s.store.User(lane)})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range lines {
			if e.Outcome == queue.Dead && slices.Contains(comeAgain, e.Reason) {
				unlinked[name] = true
				rough[name] = rough[name] || e.Reason == worker.ReasonExhausted
			}
		}
	}
	for user := range s.world.people {
		look(user, user)
	}
	for company := range s.world.firms {
		look(company, segment.GroupLane(company))
	}
	maps.DeleteFunc(rough, func(_ string, is bool) bool { return !is })
	if len(rough) > 0 {
		s.t.Logf("set aside for a time: %v", slices.Sorted(maps.Keys(rough)))
	}
	return rough, unlinked
}

// checkAccounts returns the ids of the companies' accounts. A company may have two if its first name was set aside while nobody knew
// whether the account had been made by it, and the next call gave another: the later one counts then.
func (s *callsSim) checkAccounts(rough map[string]bool) map[string]string {
	s.t.Helper()
	ids := map[string]string{}
	for _, a := range s.box.SalesAccounts() {
		company, _, _ := strings.Cut(a.Name, " ")
		f := s.world.firms[company]
		switch {
		case ids[company] != "" && !rough[company]:
			s.t.Errorf("%s has two accounts", company)
		case f == nil || !f.there:
			s.t.Errorf("%s has an account, and should have none", company)
		}
		ids[company] = fmtID(a.ID)
		if rough[company] || s.t.Failed() {
			continue
		}
		if name := f.fields["name"].value; a.Name != name {
			s.t.Errorf("%s is called %s, want %s", company, a.Name, name)
		}
		for trait, field := range accountFields {
			got := a.Fields[field]
			if v, ok := a.Custom[field]; ok {
				got = v
			}
			if want := f.fields[trait].value; fmt.Sprint(got) != fmt.Sprint(want) {
				s.t.Errorf("%s: %s is %v, want %v", company, field, got, want)
			}
		}
	}
	for company, f := range s.world.firms {
		if f.there && ids[company] == "" && !rough[company] {
			s.t.Errorf("%s has no account", company)
		}
	}
	return ids
}

func (s *callsSim) checkValues(user string, c *simContact, got sandbox.Contact) {
	s.t.Helper()
	want := map[string]any{"cf_seq": c.seq}
	for trait, field := range simFields {
		if v := c.said.traits[trait]; v != nil {
			want[field] = v
		}
	}
	if fmt.Sprint(got.Custom) != fmt.Sprint(want) {
		s.t.Errorf("%s has %v, want %v", user, got.Custom, want)
	}
}

// checkLinks: no company that nobody spoke of, and all that were spoken of, up to ten, one of them primary.
func (s *callsSim) checkLinks(user string, c *simContact, got sandbox.Contact, accounts map[string]string, all bool) {
	s.t.Helper()
	shown, err := s.client().GetContact(s.t.Context(), fmtID(got.ID), freshmarketer.IncludeAccounts)
	if err != nil {
		s.t.Fatal(err)
	}
	wanted := s.world.links(c)
	primary := 0
	for _, l := range shown.Accounts {
		if !slices.ContainsFunc(wanted, func(company string) bool { return accounts[company] == l.ID }) {
			s.t.Errorf("%s is linked to account %s, and nobody said so", user, l.ID)
		}
		if l.Primary {
			primary++
		}
	}
	if n := len(shown.Accounts); n > 0 && primary != 1 || n > 10 || all && n != min(10, len(wanted)) {
		s.t.Errorf("%s has %d links, %d of them primary, want those to %v", user, n, primary, wanted)
	}
}

// checkLetters: what only people can decide is a letter, and nothing else is.
func (s *callsSim) checkLetters(rough map[string]bool) {
	s.t.Helper()
	want := map[string]bool{}
	for user, p := range s.world.people {
		if !rough[user] {
			for id := range p.letters {
				want[id] = true
			}
		}
	}
	for _, l := range s.letters() {
		if l.Reason != worker.ReasonUnknownOutcome && !want[l.MessageID] && !s.world.maybe[l.MessageID] && len(rough) == 0 {
			s.t.Errorf("a letter that should not be: %+v", l)
		}
		delete(want, l.MessageID)
	}
	if len(want) > 0 && len(rough) == 0 {
		s.t.Errorf("alias calls of two contacts are no letters: %v", slices.Sorted(maps.Keys(want)))
	}
}

// checkActivities: each is made once, for the user's contact, and after what came before it for that contact; or a letter says that
// it may have been. An event that has crossed a change of its contact's address says nothing of the contact.
func (s *callsSim) checkActivities(rough map[string]bool) {
	s.t.Helper()
	unknown, made := map[string]bool{}, map[string]bool{}
	for _, l := range s.letters() {
		unknown["T"+strings.TrimPrefix(l.MessageID, "m")] = l.Reason == worker.ReasonUnknownOutcome
	}
	for _, a := range s.made() {
		h := s.world.tracks[a.title]
		if h.never || made[a.title] {
			s.t.Errorf("%s of %s was made: never %v, twice %v", a.title, h.user, h.never, made[a.title])
		}
		made[a.title] = true
		if h.contact == nil || h.moved || rough[h.user] || a.email != "" && a.contactID == 0 && s.crossed(a) {
			continue
		}
		seq, owners := s.whenMade(a)
		if seq < h.seq || !slices.Contains(owners, h.owner) {
			s.t.Errorf("%s of %s was made when its contact, that of %v, had seq %d, and not %d", a.title, h.user, owners, seq, h.seq)
		}
	}
	for title, h := range s.world.tracks {
		if !made[title] && !h.never && !h.perhaps && !unknown[title] && !rough[h.user] {
			s.t.Errorf("%s of %s was not made", title, h.user)
		}
	}
}

// whenMade says how far the contact of an activity was then, and whose it has been.
func (s *callsSim) whenMade(a made) (seq int64, owners []string) {
	for _, snap := range s.box.History(a.contactID) {
		owners = append(owners, snap.Contact.ExternalID)
		if snap.N < a.n {
			_, _ = fmt.Sscan(fmt.Sprint(snap.Contact.Custom["cf_seq"]), &seq)
		}
	}
	return seq, owners
}

// dump shows what was sent and what became of it.
func (s *callsSim) dump() {
	s.t.Helper()
	for _, line := range s.sent {
		s.t.Log(line)
	}
	lanes := map[string]string{}
	for user := range s.world.people {
		lanes[user] = user
	}
	for company := range s.world.firms {
		lanes[company] = segment.GroupLane(company)
	}
	for _, name := range slices.Sorted(maps.Keys(lanes)) {
		lines, _ := s.store.Journal(s.t.Context(), queue.JournalQuery{User: s.store.User(lanes[name])})
		for _, e := range lines {
			s.t.Logf("%s: %s %s %s %s %s pos %d contact %s calls %v", name, e.At.Format("15:04:05.000"), e.Type, e.MessageID, e.Outcome, e.Reason, e.Position, e.ContactID, told(e.Calls))
		}
	}
	for _, l := range s.letters() {
		s.t.Logf("letter %+v", l)
	}
	for _, e := range s.box.Events() {
		s.t.Logf("event %d %s %s contact %d", e.N, e.At.Format("15:04:05.000"), e.Name, e.ContactID)
	}
	for _, c := range s.box.Contacts() {
		for _, snap := range s.box.History(c.ID) {
			s.t.Logf("contact %d %s %s %s %v", c.ID, snap.At.Format("15:04:05.000"), snap.Operation, snap.Contact.ExternalID, snap.Contact.Custom)
		}
	}
}

func told(calls []queue.JournalCall) (list []string) {
	for _, c := range calls {
		list = append(list, fmt.Sprintf("%s %s %d %s", c.At.Format(time.TimeOnly), c.Operation, c.Status, c.Error))
	}
	return list
}

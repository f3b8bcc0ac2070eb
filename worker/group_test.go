package worker_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
	"github.com/freshrelay/freshrelay/worker"
)

// group makes the entries of a group call as the door stores them.
func (r *rig) group(user, company string, traits map[string]any) []queue.Entry {
	return r.groupAt(user, company, time.Now(), traits)
}

func (r *rig) groupAt(user, company string, at time.Time, traits map[string]any) []queue.Entry {
	r.t.Helper()
	r.n++
	call := map[string]any{"type": "group", "groupId": company, "messageId": fmt.Sprint("m", r.n), "traits": traits, "timestamp": at.UTC().Format(time.RFC3339Nano)}
	if user != "" {
		call["userId"] = user
	}
	body, err := json.Marshal(call)
	if err != nil {
		r.t.Fatal(err)
	}
	link := segment.Received{
		Source: "website", Surface: segment.SurfaceWebhook, At: time.Now().UTC(), Type: segment.Group, MessageID: fmt.Sprint("m", r.n), UserID: user, Body: body,
	}
	var entries []queue.Entry
	if account, ok := link.Account(); ok {
		entries = append(entries, queue.Entry{UserID: account.Lane(), Data: account.Encode()})
	}
	if user != "" {
		entries = append(entries, queue.Entry{UserID: user, Data: link.Encode()})
	}
	return entries
}

// groups is bubble with group calls forwarded.
func groups(t *testing.T, opt sandbox.Options, body func(t *testing.T, r *rig)) {
	t.Helper()
	bubble(t, opt, func(t *testing.T, r *rig) {
		r.mapping.Accounts = true
		r.restart()
		body(t, r)
	})
}

// count is a counter of the ledger.
func count(l queue.Ledger, typ, outcome, reason string) int64 {
	return l.Counts[queue.Count{Type: typ, Outcome: outcome, Reason: reason}]
}

// account is the only sales account with the name.
func (r *rig) account(name string) sandbox.SalesAccount {
	r.t.Helper()
	var found []sandbox.SalesAccount
	for _, a := range r.box.SalesAccounts() {
		if a.Name == name {
			found = append(found, a)
		}
	}
	if len(found) != 1 {
		r.t.Fatalf("%d accounts are called %s", len(found), name)
	}
	return found[0]
}

// linked are the ids of the accounts that the user's contact belongs to; the primary one comes first.
func (r *rig) linked(user string) []string {
	r.t.Helper()
	c, err := r.client().GetContact(r.t.Context(), fmtID(r.contact(user).ID), freshmarketer.IncludeAccounts)
	if err != nil {
		r.t.Fatal(err)
	}
	var ids []string
	for _, l := range c.Accounts {
		if l.Primary {
			ids = append([]string{l.ID}, ids...)
		} else {
			ids = append(ids, l.ID)
		}
	}
	return ids
}

func TestGroupMakesAccountAndLink(t *testing.T) {
	groups(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(append([]queue.Entry{r.identify("u1", nil)}, r.group("u1", "g1", map[string]any{
			"name": "Acme", "employees": 42, "website": "https://acme.test", "Tier": "Growth", "email": "office@acme.test", "owner_id": 3,
		})...)...)
		l := r.drain(time.Minute)
		if l.Accepted != 3 || l.Delivered != 3 || count(l, "account", queue.Delivered, "") != 1 || count(l, "group", queue.Delivered, "") != 1 {
			t.Errorf("%+v", l)
		}
		a := r.account("Acme")
		if fmt.Sprint(a.Fields["number_of_employees"]) != "42" || a.Custom["cf_tier"] != "Growth" || a.Fields["owner_id"] != nil {
			t.Errorf("%+v", a)
		}
		if got := r.linked("u1"); len(got) != 1 || got[0] != fmtID(a.ID) {
			t.Error("links", got)
		}
		if c := r.contact("u1"); len(r.box.Contacts()) != 1 || c.Email != "u1@example.test" {
			t.Errorf("the company's address made or changed a contact: %+v", r.box.Contacts())
		}
		n := r.box.Calls()[len(r.box.Calls())-1].N
		r.publish(r.group("u1", "g1", map[string]any{"name": "Acme", "employees": 42})...)
		r.drain(time.Minute)
		if again := r.calls(n); len(again) != 0 {
			t.Error("nothing has changed, and yet", again)
		}
	})
}

// TestGroupWithoutAccount: what a group call needs and does not have.
func TestGroupWithoutAccount(t *testing.T) {
	groups(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("u1", nil))
		r.publish(r.group("u1", "nameless", map[string]any{"plan": "x"})...)
		r.publish(r.group("stranger", "g1", map[string]any{"name": "Acme"})...)
		r.publish(r.group("u1", "", map[string]any{"name": "None"})...)
		l := r.drain(time.Minute)
		for _, want := range []struct{ typ, outcome, reason string }{
			{"account", queue.Discarded, "missing_group_name"},
			{"group", queue.Discarded, "no_account"},
			{"account", queue.Delivered, ""},
			{"group", queue.Discarded, "no_contact_yet"},
			{"group", queue.Discarded, "missing_group_id"},
		} {
			if count(l, want.typ, want.outcome, want.reason) != 1 {
				t.Errorf("%+v: %+v", want, l.Counts)
			}
		}
		// Both links are remembered: one is made with the contact, the other with the user's next call after the account.
		r.publish(r.identify("stranger", nil))
		r.publish(r.group("", "nameless", map[string]any{"name": "Found"})...)
		r.drain(time.Minute)
		r.publish(r.identify("u1", map[string]any{"city": "Porto"}))
		r.drain(time.Minute)
		if got := r.linked("stranger"); len(got) != 1 || got[0] != fmtID(r.account("Acme").ID) {
			t.Error("links of the stranger", got)
		}
		if got := r.linked("u1"); len(got) != 1 || got[0] != fmtID(r.account("Found").ID) {
			t.Error("links of u1", got)
		}
	})
}

func TestGroupOff(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.group("u1", "g1", map[string]any{"name": "Acme"})...)
		l := r.drain(time.Minute)
		if count(l, "account", queue.Discarded, "not_forwarded") != 1 || count(l, "group", queue.Discarded, "not_forwarded") != 1 || len(r.box.SalesAccounts()) != 0 {
			t.Errorf("%+v", l)
		}
	})
}

// TestGroupOlderNeverBeatsNewer: and an account that is renamed stays the same account.
func TestGroupOlderNeverBeatsNewer(t *testing.T) {
	groups(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		now := time.Now()
		r.publish(r.groupAt("", "g1", now, map[string]any{"name": "New", "employees": 2, "phone": nil})...)
		r.drain(time.Minute)
		r.publish(r.groupAt("", "g1", now.Add(-time.Hour), map[string]any{"name": "Old", "employees": 1, "phone": "123", "city": "Porto"})...)
		l := r.drain(time.Minute)
		a := r.account("New")
		if fmt.Sprint(a.Fields["number_of_employees"]) != "2" || a.Fields["phone"] != nil || a.Fields["city"] != "Porto" || l.Delivered != 2 {
			t.Errorf("%+v %+v", a, l)
		}
		r.publish(r.group("", "g1", map[string]any{"name": "Newest"})...)
		r.publish(r.groupAt("", "g1", now.Add(-time.Minute), map[string]any{"employees": 3})...)
		r.drain(time.Minute)
		if b := r.account("Newest"); b.ID != a.ID || fmt.Sprint(b.Fields["number_of_employees"]) != "2" || len(r.box.SalesAccounts()) != 1 {
			t.Errorf("%+v", r.box.SalesAccounts())
		}
	})
}

// TestGroupRenamedWhileItIsMade: the account is made, and before that is known another call gives the company another name.
func TestGroupRenamedWhileItIsMade(t *testing.T) {
	for name, c := range map[string]struct {
		operation string
		crash     bool
	}{
		"the answer is lost":                            {operation: sandbox.OpUpsertAccount},
		"the answer is lost, then a crash":              {operation: sandbox.OpUpsertAccount, crash: true},
		"the answer to the new name is lost":            {operation: sandbox.OpUpdateAccount},
		"the answer to the new name is lost in a crash": {operation: sandbox.OpUpdateAccount, crash: true},
	} {
		t.Run(name, func(t *testing.T) {
			groups(t, sandbox.Options{}, func(t *testing.T, r *rig) {
				r.rewire()
				r.restart()
				r.fault(sandbox.Fault{Operation: c.operation, Next: 1, DropAnswer: true})
				r.publish(r.group("", "g1", map[string]any{"name": "Acme", "Seats": 1})...)
				if c.operation == sandbox.OpUpdateAccount {
					r.publish(r.group("", "g1", map[string]any{"name": "Acme Corp", "employees": 3})...)
				}
				time.Sleep(time.Second)
				if c.crash {
					r.crash()
				}
				r.publish(r.group("", "g1", map[string]any{"name": "Acme Holding"})...)
				l := r.drain(time.Hour)
				if a := r.account("Acme Holding"); len(r.box.SalesAccounts()) != 1 || fmt.Sprint(a.Custom["cf_seats"]) != "1" || l.Delivered != l.Accepted {
					t.Errorf("%+v %+v", l, r.box.SalesAccounts())
				}
			})
		})
	}
}

// TestGroupKeepsLinks: people's links stay, one is primary, and a contact with ten is told of.
func TestGroupKeepsLinks(t *testing.T) {
	groups(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("u1", nil))
		r.drain(time.Minute)
		client, id := r.client(), fmtID(r.contact("u1").ID)
		var links []freshmarketer.AccountLink
		for i := range 9 {
			a, err := client.UpsertAccount(t.Context(), fmt.Sprint("People's ", i), freshmarketer.AccountWrite{})
			if err != nil {
				t.Fatal(err)
			}
			links = append(links, freshmarketer.AccountLink{ID: a.ID, Primary: i == 4})
		}
		if _, err := client.UpdateContact(t.Context(), id, freshmarketer.ContactWrite{Fields: freshmarketer.Fields{"sales_accounts": links}}); err != nil {
			t.Fatal(err)
		}
		r.publish(r.group("u1", "g1", map[string]any{"name": "Tenth"})...)
		r.publish(r.group("u1", "g2", map[string]any{"name": "Eleventh"})...)
		l := r.drain(time.Minute)
		if count(l, "group", queue.Discarded, "link_limit") != 1 || count(l, "group", queue.Delivered, "") != 1 {
			t.Errorf("%+v", l.Counts)
		}
		if got := r.linked("u1"); len(got) != 10 || got[0] != links[4].ID {
			t.Error("links", got)
		}
		n := r.box.Calls()[len(r.box.Calls())-1].N
		r.publish(r.group("u1", "g2", map[string]any{"name": "Eleventh"})...)
		if l := r.drain(time.Minute); count(l, "group", queue.Discarded, "link_limit") != 2 || len(r.calls(n)) != 0 {
			t.Errorf("%+v %v", l.Counts, r.calls(n))
		}
	})
}

// TestGroupAccountOfPeople: an account that is there already keeps what the call does not carry, its custom fields too.
func TestGroupAccountOfPeople(t *testing.T) {
	groups(t, sandbox.Options{CustomFieldMode: sandbox.Replace}, func(t *testing.T, r *rig) {
		was, err := r.client().UpsertAccount(t.Context(), "acme", freshmarketer.AccountWrite{
			Fields: freshmarketer.Fields{"city": "Porto"}, Custom: freshmarketer.Fields{"cf_segment": "Key", "cf_tier": "Free"},
		})
		if err != nil {
			t.Fatal(err)
		}
		r.publish(r.group("", "g1", map[string]any{"name": "Acme", "Tier": "Growth"})...)
		r.drain(time.Minute)
		r.publish(r.group("", "g1", map[string]any{"seats": 5})...)
		r.drain(time.Minute)
		a := r.account("Acme")
		if fmtID(a.ID) != was.ID || a.Fields["city"] != "Porto" || a.Custom["cf_segment"] != "Key" || a.Custom["cf_tier"] != "Growth" || fmt.Sprint(a.Custom["cf_seats"]) != "5" {
			t.Errorf("%+v", a)
		}
	})
}

// TestGroupWaitsForAccount: while an account cannot be made, its user's link waits, and nobody else does. What the user sent
// before it goes; what came after waits with it.
func TestGroupWaitsForAccount(t *testing.T) {
	groups(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Operation: sandbox.OpUpsertAccount, Percent: 100, Status: 500})
		r.publish(append([]queue.Entry{r.identify("u1", nil)}, r.group("u1", "g1", map[string]any{"name": "Acme"})...)...)
		r.publish(r.identify("u1", map[string]any{"city": "Porto"}), r.identify("u2", map[string]any{"city": "Lisboa"}))
		time.Sleep(time.Minute)
		if r.contact("u2").Fields["city"] != "Lisboa" || r.contact("u1").Fields["city"] != nil {
			t.Error("u1", r.contact("u1"), "u2", r.contact("u2"))
		}
		r.box.ClearFaults()
		l := r.drain(10 * time.Minute)
		if got := r.linked("u1"); len(got) != 1 || l.Delivered != 5 || l.Dead != 0 {
			t.Error("links", got, l)
		}
	})
}

// TestGroupLetters: an account that is refused and the link to it become letters, and each is delivered by a replay.
func TestGroupLetters(t *testing.T) {
	groups(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Operation: sandbox.OpUpsertAccount, Percent: 100, Status: 400})
		r.publish(append([]queue.Entry{r.identify("u1", nil)}, r.group("u1", "g1", map[string]any{"name": "Acme"})...)...)
		l := r.drain(time.Hour)
		if count(l, "account", queue.Dead, worker.ReasonInvalid) != 1 || count(l, "group", queue.Dead, worker.ReasonNoAccount) != 1 || l.Delivered != 1 {
			t.Fatalf("%+v", l)
		}
		r.box.ClearFaults()
		var ids []string
		for _, letter := range r.letters() {
			ids = append([]string{letter.ID}, ids...) // the link first: it waits for the account's
		}
		if err := r.store.Replay(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		l = r.drain(time.Hour)
		if got := r.linked("u1"); len(got) != 1 || got[0] != fmtID(r.account("Acme").ID) || l.Dead != 0 || l.Delivered != 3 {
			t.Errorf("links %v, %+v", got, l)
		}
	})
}

// TestGroupAccountFieldsRefused: a key that may not read the fields of accounts costs no contact anything.
func TestGroupAccountFieldsRefused(t *testing.T) {
	groups(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Operation: sandbox.OpAccountFields, Percent: 100, Status: 403})
		r.publish(append([]queue.Entry{r.identify("u1", nil)}, r.group("u1", "g1", map[string]any{"name": "Acme"})...)...)
		l := r.drain(time.Hour)
		if count(l, "account", queue.Dead, worker.ReasonExhausted) != 1 || count(l, "group", queue.Dead, worker.ReasonNoAccount) != 1 || l.Delivered != 1 {
			t.Fatalf("%+v", l)
		}
		if asked := r.calls(0)["account_fields"]; asked > 30 {
			t.Error(asked, "questions for the fields")
		}
		r.box.ClearFaults()
		r.restart()
		for range 50 { // both come again by themselves, after a restart too
			if time.Sleep(30 * time.Minute); len(r.letters()) == 0 {
				break
			}
		}
		l = r.drain(time.Hour)
		if l.Delivered != 3 || len(r.linked("u1")) != 1 {
			t.Errorf("%+v", l)
		}
	})
}

// TestGroupAccountFieldsThrottled: while everything is held nobody asks for the fields, over and over, whether he may. (On fake time
// that would never end.)
func TestGroupAccountFieldsThrottled(t *testing.T) {
	groups(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Operation: sandbox.OpAccountFields, Next: 1, Status: 429, Headers: map[string]string{"Retry-After": "90"}})
		for i := range 20 {
			r.publish(r.group("", fmt.Sprint("g", i), map[string]any{"name": fmt.Sprint("Acme ", i)})...)
		}
		if l := r.drain(10 * time.Minute); l.Delivered != 20 {
			t.Errorf("%+v", l)
		}
		if asked := r.calls(0); asked["account_fields"] != 2 || asked["list_views"] > 1 {
			t.Error("calls", asked)
		}
	})
}

// TestGroupAccountGone: an account that people delete is found out, and made anew with the company's next change.
func TestGroupAccountGone(t *testing.T) {
	groups(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("u1", nil), r.identify("u2", nil))
		r.publish(r.group("u1", "g1", map[string]any{"name": "Acme"})...)
		r.drain(time.Minute)
		first := r.account("Acme")
		r.removeAccount(first.ID)
		r.publish(r.group("u2", "g1", map[string]any{"name": "Acme"})...)
		l := r.drain(time.Minute)
		if count(l, "group", queue.Dead, worker.ReasonNoAccount) != 1 {
			t.Errorf("%+v", l)
		}
		r.publish(r.group("", "g1", map[string]any{"name": "Acme", "employees": 3})...)
		r.drain(time.Minute)
		if again := r.account("Acme"); again.ID == first.ID {
			t.Error("the account was not made anew")
		}
		time.Sleep(time.Hour) // the letter comes again by itself
		if l := r.drain(time.Hour); l.Dead != 0 || len(r.linked("u2")) != 1 {
			t.Errorf("%+v", l)
		}
	})
}

// TestGroupQuota is the measure: 10,000 group calls for 50 companies and 1,000 users.
func TestGroupQuota(t *testing.T) {
	groups(t, sandbox.Options{CallLog: 100_000}, func(t *testing.T, r *rig) {
		const companies, users, calls = 50, 1000, 10_000
		var entries []queue.Entry
		for u := range users {
			entries = append(entries, r.identify(fmt.Sprint("u", u), nil))
		}
		r.publish(entries...)
		r.drain(time.Hour)
		before := r.box.Calls()[len(r.box.Calls())-1].N
		pairs := map[[2]int]bool{}
		for i := range calls {
			u, g := i%users, (i/users*7+i)%companies
			pairs[[2]int{u, g}] = true
			r.publish(r.group(fmt.Sprint("u", u), fmt.Sprint("g", g), map[string]any{"name": fmt.Sprint("Company ", g), "employees": 10 + g})...)
		}
		l := r.drain(3 * time.Hour)
		if l.Dead != 0 || l.Discarded != 0 || l.Delivered != users+2*calls {
			t.Errorf("%+v", l)
		}
		made := r.calls(before)
		if made["upsert_account"] != companies || made["update_account"] != 0 {
			t.Error("accounts:", made)
		}
		if links := made["get_contact"] + made["update_contact"]; links > 2*len(pairs) {
			t.Errorf("%d calls for %d links", links, len(pairs))
		}
		t.Logf("%d links, calls %v", len(pairs), made)
		for u := range users {
			want := 0
			for g := range companies {
				if pairs[[2]int{u, g}] {
					want++
				}
			}
			if got := len(r.linked(fmt.Sprint("u", u))); got != want {
				t.Fatalf("user %d has %d links, want %d", u, got, want)
			}
		}
		// Every second company changes, and 2,000 calls say so: one call for each of them, none for the others and none for links.
		before = r.box.CallCount()
		for i := range 2 * users {
			u, g := i%users, (i/users*7+i)%companies
			r.publish(r.group(fmt.Sprint("u", u), fmt.Sprint("g", g), map[string]any{"name": fmt.Sprint("Company ", g), "employees": 10 + g + g%2*100})...)
		}
		if l := r.drain(3 * time.Hour); l.Dead != 0 || l.Discarded != 0 {
			t.Errorf("%+v", l)
		}
		if made := r.calls(before); made["update_account"] != companies/2 || len(made) > 2 || made["contact_fields"]+made["account_fields"] > 1 {
			t.Error("for 25 changed accounts:", made)
		}
		for g := range companies {
			if got := r.account(fmt.Sprint("Company ", g)).Fields["number_of_employees"]; fmt.Sprint(got) != fmt.Sprint(10+g+g%2*100) {
				t.Errorf("company %d has %v employees", g, got)
			}
		}
	})
}

// removeAccount deletes a sales account as people do, which the client has no call for.
func (r *rig) removeAccount(id int64) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodDelete, r.api.BaseURL+"/crm/sales/api/sales_accounts/"+fmtID(id), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token token="+r.api.APIKey)
	req.Header.Set("Accept", "application/json")
	resp, err := r.api.HTTPClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		r.t.Fatal("deleting an account:", resp.Status)
	}
}

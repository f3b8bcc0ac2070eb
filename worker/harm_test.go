package worker_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
	"github.com/freshrelay/freshrelay/worker"
)

// TestDoNoHarm fills an account with contacts of all kinds, lets two sources call for some of their users, and people edit
// what they like meanwhile, subscriptions too. The calls say all they can to change what is not theirs: subscription, status,
// owner, tags, other people's addresses. In the end nothing is changed that no call named: no foreign field, no foreign contact;
// nobody was subscribed at any moment, nobody's contact was taken over, and no two became one. FRESHRELAY_LONG=1 takes a large
// account.
func TestDoNoHarm(t *testing.T) {
	contacts, calls, room, log := 400, 1600, int64(0), 0 // 0: the usual for tests
	if os.Getenv("FRESHRELAY_LONG") != "" {
		contacts, calls, room, log = 50_000, 100_000, 4<<30, 1<<20
	}
	for name, opt := range map[string]sandbox.Options{
		"merge": {CustomFieldMode: sandbox.Merge}, "replace": {CustomFieldMode: sandbox.Replace}, "shared addresses": {SharedAddresses: true},
	} {
		opt.BulkWait, opt.BulkDuration, opt.CallLog, opt.Changes = time.Second, 5*time.Second, log, true
		contacts, calls := contacts, calls
		if opt.SharedAddresses { // what it adds does not depend on the size
			contacts, calls = min(contacts, 4000), min(calls, 8000)
		}
		bubbleNamed(t, name, opt, func(t *testing.T, r *rig) {
			r.quota = worker.Quota{PerHour: 1_000_000, PerMinute: 400, Reserve: 0.1}
			r.maxBytes = room
			r.mapping.Traits = map[string]string{"newsletter": "Subscription status"}
			r.restart()
			h := &harm{rig: r, rng: rand.New(rand.NewPCG(7, 7)), n: contacts, left: map[string]bool{}, addresses: map[string]map[string]bool{}}
			h.fill(opt.SharedAddresses)
			h.run(calls)
			h.check()
		})
	}
}

// harm is an account that is watched.
type harm struct {
	*rig
	rng    *rand.Rand
	n      int
	before map[int64]sandbox.Contact // as the account was, with what people have edited since

	left      map[string]bool            // users of whom a call said that they unsubscribed
	addresses map[string]map[string]bool // that calls of a user named
}

// user i is one of four kinds by i%4: the contact has the userId; it has only the address; the address is that of a
// stranger's contact; there is none. That of the last kind is a further address of the stranger before it. Where the account lets
// contacts share an address, a stranger has that of every other one, too, and somebody without a userId that of some.
func (h *harm) fill(shared bool) {
	h.before = map[int64]sandbox.Contact{}
	for i := range h.n {
		fields := map[string]any{
			"emails": fmt.Sprintf("u%d@example.test", i), "job_title": "by hand", "subscription_status": i % 3, "tags": []string{"vip"},
			"custom_field": map[string]any{"cf_notes": fmt.Sprint("note ", i), "cf_industry": "Music"},
		}
		switch i % 4 {
		case 0:
			fields["external_id"] = fmt.Sprint("u", i)
		case 2:
			fields["external_id"] = fmt.Sprint("stranger", i)
			fields["emails"] = []map[string]any{{"value": fields["emails"], "is_primary": true}, {"value": fmt.Sprintf("u%d@example.test", i+1)}}
		case 3:
			continue
		}
		c := h.add(fields)
		h.before[c.ID] = c
		for _, other := range []struct {
			userID any
			has    bool
		}{{fmt.Sprint("stranger of ", i), i%8 < 4}, {nil, i%10 < 3}} {
			if shared && other.has {
				fields["external_id"], fields["emails"] = other.userID, fmt.Sprintf("U%d@example.test", i)
				c := h.add(fields)
				h.before[c.ID] = c
			}
		}
	}
}

// run makes the calls, in rounds. They carry seq, plan and city and leave out what people have filled in.
func (h *harm) run(calls int) {
	const each = 400
	for from := 0; from < calls; from += each {
		var entries []queue.Entry
		for i := from; i < min(calls, from+each); i++ {
			u := h.rng.IntN(h.n)
			entry := h.identify(fmt.Sprint("u", u), h.traits(u, i))
			if h.rng.IntN(2) == 0 { // of the other source
				received, err := segment.Decode(entry.Data)
				if err != nil {
					h.t.Fatal(err)
				}
				received.Source = "shop"
				entry.Data = received.Encode()
			}
			entries = append(entries, entry)
		}
		h.publish(entries...)
		time.Sleep(2 * time.Second)
		h.edit()
	}
	h.drain(200 * time.Hour)
}

// traits are those of call i, of user u.
func (h *harm) traits(u, i int) map[string]any {
	user := fmt.Sprint("u", u)
	traits := map[string]any{"email": user + "@example.test", "seq": i, "plan": fmt.Sprint("p", h.rng.IntN(5))}
	if h.rng.IntN(2) == 0 {
		traits["city"] = fmt.Sprint("city ", h.rng.IntN(5))
	}
	if h.rng.IntN(4) == 0 { // by labels and names that match, and no line of the map leads there
		maps.Copy(traits, map[string]any{
			"Subscription status": "Subscribed", "subscription_types": "1;2", "WhatsApp subscription status": 1, "Status": "Won",
			"Sales owner": "Sandbox User", "Lifecycle stage": "Customer", "Source": "Web", "Tags": []string{"spam"},
		})
	}
	if h.rng.IntN(4) == 0 { // by the one that does
		says := []any{"Subscribed", "Not subscribed", "Unsubscribed", 1, 2, 0}[h.rng.IntN(6)]
		traits["newsletter"] = says
		h.left[user] = h.left[user] || says == "Unsubscribed" || says == 0
	}
	switch h.rng.IntN(10) {
	case 0: // a new address
		traits["email"] = fmt.Sprintf("u%d.%d@example.test", u, h.rng.IntN(3))
	case 1: // that of a stranger's contact, or of another user's
		traits["email"] = fmt.Sprintf("u%d@example.test", 2*h.rng.IntN(h.n/2))
	}
	if h.addresses[user] == nil {
		h.addresses[user] = map[string]bool{}
	}
	h.addresses[user][fmt.Sprint(traits["email"])] = true
	return traits
}

// edit is what people do meanwhile, to fields that no call names, and to subscriptions.
func (h *harm) edit() {
	for id, c := range h.before {
		if h.rng.IntN(20) > 0 {
			continue
		}
		field, value := "job_title", any(fmt.Sprint("title ", h.rng.IntN(100)))
		if h.rng.IntN(2) == 0 {
			field, value = "subscription_status", h.rng.IntN(5)
		}
		now, err := h.box.Edit(id, map[string]any{field: value})
		if err != nil {
			h.t.Fatal(err)
		}
		c.Fields = maps.Clone(c.Fields)
		c.Fields[field] = now.Fields[field]
		h.before[id] = c
	}
}

// check compares every contact with what it was. Of ours only what calls named may differ; strangers' not at all.
func (h *harm) check() {
	h.t.Helper()
	if n := h.calls(0)["bulk_upsert"]; n == 0 {
		h.t.Error("no bulk was sent")
	}
	err := h.store.EachLetter(h.t.Context(), queue.LetterFilter{}, func(l queue.Letter) error {
		if l.Reason != worker.ReasonEmailConflict {
			h.t.Errorf("a letter that should not be: %+v", l)
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	owners, unsubscribed, moved := map[string]int{}, 0, 0
	for _, c := range h.box.Contacts() {
		u, m := h.changes(c)
		unsubscribed, moved = unsubscribed+u, moved+m
		was, there := h.before[c.ID]
		if c.ExternalID != "" {
			owners[c.ExternalID]++
		}
		if !there {
			if !h.addresses[c.ExternalID][c.Email] {
				h.t.Errorf("a contact was made for %q with an address that it never had", c.ExternalID)
			}
			continue
		}
		delete(h.before, c.ID)
		stranger := strings.HasPrefix(was.ExternalID, "stranger")
		if stranger && !c.UpdatedAt.Equal(was.UpdatedAt) && c.Fields["job_title"] == was.Fields["job_title"] && len(c.Custom) != len(was.Custom) {
			h.t.Errorf("the contact of %s was written", was.ExternalID)
		}
		if was.ExternalID != "" && c.ExternalID != was.ExternalID || was.ExternalID == "" && c.ExternalID != "" && !h.addresses[c.ExternalID][was.Email] {
			h.t.Errorf("the contact of %q belongs to %q now", was.ExternalID, c.ExternalID)
		}
		for _, named := range []string{"cf_seq", "cf_plan"} {
			if _, had := was.Custom[named]; !had && !stranger {
				delete(c.Custom, named)
			}
		}
		if !stranger {
			delete(c.Fields, "city")
		}
		if now := c.Fields["subscription_status"]; now != was.Fields["subscription_status"] && h.left[c.ExternalID] && now == json.Number("0") {
			c.Fields["subscription_status"] = was.Fields["subscription_status"] // the call said so
		}
		if diff := cmp.Diff(was.Fields, c.Fields) + cmp.Diff(was.Custom, c.Custom); diff != "" || c.Email != was.Email && (stranger || !h.addresses[c.ExternalID][c.Email]) {
			h.t.Errorf("%s %q: %s", was.ExternalID, c.Email, diff)
		}
	}
	if unsubscribed == 0 || moved == 0 {
		h.t.Errorf("this was to be about subscriptions and addresses too: %d and %d changes", unsubscribed, moved)
	}
	if len(h.before) > 0 {
		h.t.Errorf("%d contacts are not there any more", len(h.before))
	}
	for owner, n := range owners {
		if n > 1 {
			h.t.Errorf("%s has %d contacts", owner, n)
		}
	}
}

// changes looks at all that calls have changed at a contact since it was there: what they named and nothing else, and no
// subscription but to end it.
func (h *harm) changes(c sandbox.Contact) (unsubscribed, moved int) {
	h.t.Helper()
	for _, change := range h.box.Changes(c.ID) {
		if change.N == 0 || change.Operation == sandbox.OpCreateContact {
			continue // by hand; a new contact gets what the account gives to new ones
		}
		switch {
		case !change.Named && change.Field != "cf_seq" && change.Field != "cf_plan": // on those it is learnt what the account does
			h.t.Errorf("%s %q: %s changed %s, which it did not name", c.ExternalID, c.Email, change.Operation, change.Field)
		case change.Field == "subscription_status" && change.New == json.Number("0"):
			unsubscribed++
		case change.Field == "email":
			moved++
		case change.Field != "city" && change.Field != "external_id" && !strings.HasPrefix(change.Field, "cf_"):
			h.t.Errorf("%s %q: %s made %s %v, it was %v", c.ExternalID, c.Email, change.Operation, change.Field, change.New, change.Old)
		}
	}
	return unsubscribed, moved
}

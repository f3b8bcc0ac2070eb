package worker_test

import (
	"cmp"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// behaviour is one thing that the API does, and what comes of it: for the call, for the contact, and in API calls.
type behaviour struct {
	name  string
	known bool                       // the user's contact is known before
	opt   sandbox.Options            // the account
	given func(r *rig)               // what is there before
	fault sandbox.Fault              // what the API does, if it is a fault
	calls map[string]any             // traits of the call; email and seq are added
	ends  string                     // delivered, dead:reason or discarded:reason; "held": it waits
	why   worker.Hold                // for "held": what status says within a minute
	held  time.Duration              // for "held": for how long at least; 0: 26 h
	stays bool                       // the fault stays for good; otherwise it is taken away after an hour
	most  int64                      // API calls, at most; 0: not the point
	check func(t *testing.T, r *rig) // the contact and whatever else
	notes map[string]string          // fields left out, with the reason
	lag   time.Duration              // how long at least until it ends
}

const refusedBody = `{"errors":{"code":400,"message":["%s"]}}`

func badRequest(text string) sandbox.Fault {
	return sandbox.Fault{Next: 1, Status: 400, Body: fmt.Sprintf(refusedBody, text), Operation: "create_contact|update_contact"}
}

func gone(r *rig) {
	c := r.contact("ann")
	if err := r.client().DeleteContact(r.t.Context(), fmtID(c.ID)); err != nil {
		r.t.Fatal(err)
	}
}

func arrived(t *testing.T, r *rig) {
	t.Helper()
	if c := r.contact("ann"); fmt.Sprint(c.Custom["cf_seq"]) != "1" {
		t.Errorf("%+v", c)
	}
}

// addressOf makes the address ann@example.test that of a contact with this userId, "" for none.
func addressOf(user string) func(*rig) {
	return func(r *rig) {
		fields := map[string]any{"emails": "ann@example.test", "job_title": "Owner", "custom_field": map[string]any{"cf_notes": "by hand"}}
		if user != "" {
			fields["external_id"] = user
		}
		r.add(fields)
	}
}

func untouched(user string) func(*testing.T, *rig) {
	return func(t *testing.T, r *rig) {
		t.Helper()
		c := r.contact(user)
		if c.Email != "ann@example.test" || c.Fields["job_title"] != "Owner" || len(c.Custom) != 1 || c.Custom["cf_notes"] != "by hand" {
			t.Errorf("a stranger's contact was written: %+v", c)
		}
	}
}

func adopted(t *testing.T, r *rig) {
	t.Helper()
	arrived(t, r)
	if c := r.contact("ann"); c.Fields["job_title"] != "Owner" || c.Custom["cf_notes"] != "by hand" || len(r.box.Contacts()) != 2 {
		t.Errorf("%+v", c)
	}
}

// theSame says that there is one contact only beside that of first, whatever was repeated.
func theSame(t *testing.T, r *rig) {
	t.Helper()
	arrived(t, r)
	if n := len(r.box.Contacts()); n != 2 {
		t.Errorf("%d contacts", n)
	}
}

var behaviours = []behaviour{
	// A contact that is known.
	{name: "an update", known: true, ends: "delivered", most: 2, check: arrived},
	{name: "an update without custom fields", known: true, calls: map[string]any{"seq": 0, "city": "Ulm"}, ends: "delivered", most: 1, check: func(t *testing.T, r *rig) {
		if c := r.contact("ann"); c.Fields["city"] != "Ulm" {
			t.Errorf("%+v", c)
		}
	}},
	{name: "nothing has changed", known: true, calls: map[string]any{"seq": 0}, ends: "delivered", most: 0},
	{name: "the contact is in the recycle bin", known: true, given: gone, ends: "delivered", most: 2, check: theSame},
	{name: "the contact was forgotten", known: true, given: func(r *rig) {
		if err := r.client().ForgetContact(r.t.Context(), fmtID(r.contact("ann").ID)); err != nil {
			r.t.Fatal(err)
		}
	}, ends: "delivered", most: 2, check: theSame},
	{name: "the contact has another userId now", known: true, given: func(r *rig) {
		if _, err := r.box.Edit(r.contact("ann").ID, map[string]any{"external_id": "other", "email": "other@example.test"}); err != nil {
			r.t.Fatal(err)
		}
	}, ends: "delivered", most: 2, check: arrived},
	{name: "the userId was taken off the contact", known: true, given: func(r *rig) {
		if _, err := r.box.Edit(r.contact("ann").ID, map[string]any{"external_id": nil}); err != nil {
			r.t.Fatal(err)
		}
	}, ends: "delivered", most: 2, check: func(t *testing.T, r *rig) {
		if all := r.box.Contacts(); len(all) != 2 || fmt.Sprint(all[1].Custom["cf_seq"]) != "1" {
			t.Errorf("%+v", all)
		}
	}},
	{
		name: "the new address is another user's", known: true, given: func(r *rig) { r.add(map[string]any{"emails": "b@example.test", "external_id": "bob"}) },
		calls: map[string]any{"email": "b@example.test"}, ends: "delivered", most: 4, check: arrived, notes: map[string]string{"email": "email_conflict"},
	},
	{
		name: "the new address is another user's, in Dutch", known: true, opt: sandbox.Options{Language: "nl"},
		given: func(r *rig) { r.add(map[string]any{"emails": "b@example.test", "external_id": "bob"}) },
		calls: map[string]any{"email": "b@example.test"}, ends: "delivered", most: 4, check: arrived, notes: map[string]string{"email": "email_conflict"},
	},
	{
		name: "the new address is another user's, and lookups do not show it yet", known: true, opt: sandbox.Options{IndexLag: 20 * time.Second},
		given: func(r *rig) { r.add(map[string]any{"emails": "b@example.test", "external_id": "bob"}) },
		calls: map[string]any{"email": "b@example.test"}, ends: "delivered", most: 8, check: arrived, notes: map[string]string{"email": "email_conflict"}, lag: 20 * time.Second,
	},
	{
		name: "a refused address", known: true, fault: sandbox.Fault{Percent: 100, Status: 400, MatchBody: "odd@example.test", Body: fmt.Sprintf(refusedBody, "odd@example.test is an invalid email address.")}, stays: true,
		calls: map[string]any{"email": "odd@example.test"}, ends: "delivered", most: 8, check: arrived, notes: map[string]string{"email": "refused"},
	},
	{
		name: "a mobile number that is another contact's", known: true, given: func(r *rig) { r.add(map[string]any{"emails": "b@example.test", "mobile_number": "+14155550102"}) },
		calls: map[string]any{"phone": "+14155550102", "mobile": "+14155550102"}, ends: "delivered", most: 5, check: arrived, notes: map[string]string{"mobile_number": "refused"},
	},
	{name: "a value that the answer names", known: true, fault: badRequest("City is not in required length"), calls: map[string]any{"city": "Ulm"}, ends: "delivered", most: 4, check: arrived, notes: map[string]string{"city": "refused"}},
	{name: "a value that no answer names", known: true, fault: sandbox.Fault{Percent: 100, Status: 400, MatchBody: "Ulm"}, stays: true, calls: map[string]any{"city": "Ulm"}, ends: "delivered", most: 7, check: arrived, notes: map[string]string{"city": "refused"}},
	{name: "all of it is refused", known: true, fault: sandbox.Fault{Percent: 100, Status: 400, Operation: "update_contact"}, stays: true, calls: map[string]any{"city": "Ulm"}, ends: "dead:invalid"},
	{name: "422", known: true, fault: sandbox.Fault{Percent: 100, Status: 422, Operation: "update_contact"}, stays: true, ends: "dead:invalid"},

	// A contact that is not known.
	{name: "a new contact", ends: "delivered", most: 1, check: theSame},
	{name: "a new contact, told by 200", opt: sandbox.Options{UpsertAlways200: true}, ends: "delivered", most: 1, check: theSame},
	{name: "a new contact in an account that replaces custom fields", opt: sandbox.Options{CustomFieldMode: sandbox.Replace}, ends: "delivered", most: 1, check: theSame},
	{name: "the address is that of a contact without a userId", given: addressOf(""), ends: "delivered", most: 4, check: adopted},
	{name: "the same in an account that replaces custom fields", opt: sandbox.Options{CustomFieldMode: sandbox.Replace}, given: addressOf(""), ends: "delivered", most: 4, check: adopted},
	{name: "the same in Spanish", opt: sandbox.Options{Language: "es"}, given: addressOf(""), ends: "delivered", most: 4, check: adopted},
	{name: "the same, and lookups do not show it yet", opt: sandbox.Options{IndexLag: 20 * time.Second}, given: addressOf(""), ends: "delivered", most: 6, check: adopted, lag: 20 * time.Second},
	{name: "the contact has the userId already", given: addressOf("ann"), ends: "delivered", most: 4, check: adopted},
	{name: "the same where upserts know no external_id", opt: sandbox.Options{RefuseExternalIDUpsert: true}, given: addressOf("ann"), ends: "delivered", most: 5, check: adopted},
	{name: "the contact has the userId and another address", given: func(r *rig) { r.add(map[string]any{"emails": "old@example.test", "external_id": "ann"}) }, ends: "delivered", most: 4, check: theSame},
	{name: "the address is another user's", given: addressOf("owner"), ends: "dead:email_conflict", most: 4, check: untouched("owner")},
	{name: "the address is another user's, in Dutch", opt: sandbox.Options{Language: "nl"}, given: addressOf("owner"), ends: "dead:email_conflict", most: 4, check: untouched("owner")},
	{name: "the address is another user's, in capitals", given: addressOf("owner"), calls: map[string]any{"email": "ANN@EXAMPLE.TEST"}, ends: "dead:email_conflict", most: 4, check: untouched("owner")},
	{name: "the address is another user's, and the user has a contact", given: func(r *rig) {
		addressOf("owner")(r)
		r.add(map[string]any{"emails": "old@example.test", "external_id": "ann"})
	}, ends: "delivered", check: func(t *testing.T, r *rig) { untouched("owner")(t, r); arrived(t, r) }, notes: map[string]string{"email": "email_conflict"}},
	{
		name: "the create works and what follows it does not", calls: map[string]any{"plan": "p1"}, fault: sandbox.Fault{Next: 1, Operation: "update_contact", Status: 500}, ends: "delivered", most: 5,
		check: func(t *testing.T, r *rig) { // the contact is remembered: it is neither made again nor looked for
			theSame(t, r)
			if n := r.calls(0); n["create_contact"] != 2 || n["upsert_contact"] > 0 || n["contact_lookup"] > 0 {
				t.Errorf("calls %v", n)
			}
		},
	},
	{name: "the create's answer is lost", fault: sandbox.Fault{Next: 1, Operation: "create_contact", DropAnswer: true}, ends: "delivered", check: theSame},
	{name: "the create's answer is lost, and upserts know no external_id", opt: sandbox.Options{RefuseExternalIDUpsert: true}, fault: sandbox.Fault{Next: 1, Operation: "create_contact", DropAnswer: true}, ends: "delivered", check: theSame},
	{name: "the same, and lookups do not show it yet", opt: sandbox.Options{RefuseExternalIDUpsert: true, IndexLag: 20 * time.Second}, fault: sandbox.Fault{Next: 1, Operation: "create_contact", DropAnswer: true}, ends: "delivered", check: theSame, lag: 20 * time.Second},
	{name: "a field that the answer names", fault: badRequest("City is not in required length"), calls: map[string]any{"city": "Ulm"}, ends: "delivered", most: 2, check: theSame, notes: map[string]string{"city": "refused"}},
	{name: "an address that is refused", fault: sandbox.Fault{Percent: 100, Status: 400, Operation: "create_contact", Body: fmt.Sprintf(refusedBody, "ann@example.test is an invalid email address.")}, stays: true, ends: "dead:invalid", check: noContact},
	{name: "a refusal that names nothing", fault: sandbox.Fault{Percent: 100, Status: 400, Operation: "create_contact"}, stays: true, ends: "dead:invalid", check: func(t *testing.T, r *rig) {
		noContact(t, r)
		if n := r.calls(0)["upsert_contact"]; n != 0 { // it could make a contact that has nothing but the userId
			t.Errorf("%d upserts", n)
		}
	}, lag: 20 * time.Second},
	{name: "a field that the account's form needs", opt: sandbox.Options{Required: []string{"mobile_number"}}, ends: "dead:invalid", check: noContact},
	{name: "a conflict with what nobody can see", fault: sandbox.Fault{Percent: 100, Status: 400, Operation: "create_contact", Body: fmt.Sprintf(refusedBody, "Email is not unique")}, stays: true, ends: "dead:email_conflict", check: noContact, lag: 20 * time.Second},

	// The account, the network, and answers nobody expects.
	{name: "429", fault: sandbox.Fault{Next: 1, Status: 429, Headers: map[string]string{"Retry-After": "30"}}, ends: "delivered", check: theSame, lag: 29 * time.Second},
	{name: "429 inside 400", fault: badRequest("UCR contact fetch failure :: response_code :: 429 :: response :: Too many requests"), ends: "delivered", check: theSame, lag: 50 * time.Second},
	{name: "429 without a time", fault: sandbox.Fault{Next: 1, Status: 429, Operation: "create_contact"}, ends: "delivered", check: theSame, lag: 50 * time.Second},
	{name: "401", fault: sandbox.Fault{Percent: 100, Status: 401}, ends: "held", why: worker.HoldKeyRefused, held: time.Hour},                      // a day: TestARefusedKeyPausesAndDeadLettersNothing
	{name: "302 to a sign-in page", fault: sandbox.Fault{Percent: 100, Status: 302}, ends: "held", why: worker.HoldMisconfigured, held: time.Hour}, // a day: TestAnOutageOfADayCostsNothingButTime
	{name: "403 for everything", fault: sandbox.Fault{Percent: 100, Status: 403}, ends: "held", why: worker.HoldMisconfigured},
	{name: "a bare 404 for everything", fault: sandbox.Fault{Percent: 100, Status: 404}, ends: "held", why: worker.HoldMisconfigured},
	{name: "a web page instead of JSON", fault: sandbox.Fault{Percent: 100, Status: 200, Body: "<html>wrong account</html>"}, ends: "held", why: worker.HoldMisconfigured},
	{
		name: "a contact that is shown and that no update finds", known: true, calls: map[string]any{"city": "Ulm"}, stays: true, ends: "dead:exhausted", most: 100, lag: 14 * time.Minute,
		fault: sandbox.Fault{Next: 400, Status: 404, Operation: "update_contact", Body: `{"errors":{"code":404,"message":["Record not found"]}}`},
	},
	{name: "403 for one contact", known: true, fault: sandbox.Fault{Percent: 100, Status: 403, Operation: "update_contact"}, stays: true, ends: "dead:exhausted", lag: 14 * time.Minute, check: probedAtOnce},
	{name: "500 for one contact", known: true, fault: sandbox.Fault{Percent: 100, Status: 500, Operation: "update_contact"}, stays: true, ends: "dead:exhausted", lag: 14 * time.Minute},
	{name: "a success that cannot be read", known: true, fault: sandbox.Fault{Percent: 100, Status: 200, Body: "true", Operation: "update_contact"}, stays: true, ends: "dead:exhausted"},
	{name: "500 once", known: true, fault: sandbox.Fault{Next: 1, Status: 500, Operation: "update_contact"}, ends: "delivered", most: 4, check: arrived},
	{name: "502 with a page", known: true, fault: sandbox.Fault{Next: 1, Status: 502, Body: "<html>bad gateway</html>", Operation: "update_contact"}, ends: "delivered", most: 4, check: arrived},
	{name: "503 with a time", known: true, fault: sandbox.Fault{Next: 1, Status: 503, Headers: map[string]string{"Retry-After": "60"}, Operation: "update_contact"}, ends: "delivered", check: arrived, lag: 60 * time.Second},
	{name: "503 with a week", known: true, fault: sandbox.Fault{Next: 1, Status: 503, Headers: map[string]string{"Retry-After": "604800"}, Operation: "update_contact"}, ends: "delivered", check: arrived, lag: 29 * time.Minute},
	{name: "a connection that breaks", known: true, fault: sandbox.Fault{Next: 1, Cut: true, Operation: "update_contact"}, ends: "delivered", check: arrived},
	{name: "an answer that is cut short", known: true, fault: sandbox.Fault{Next: 1, Status: 200, Cut: true, Operation: "update_contact"}, ends: "delivered", check: arrived},
	{name: "an answer that is lost", known: true, fault: sandbox.Fault{Next: 1, DropAnswer: true, Operation: "update_contact"}, ends: "delivered", check: arrived},
	{name: "no answer in time", known: true, fault: sandbox.Fault{Next: 1, Delay: time.Minute, Operation: "update_contact"}, ends: "delivered", check: arrived, lag: 10 * time.Second},
	{name: "a status that nobody has seen", known: true, fault: sandbox.Fault{Next: 1, Status: 418, Operation: "update_contact"}, ends: "delivered", check: arrived},
}

// probedAtOnce says that the first refusal of an update was followed by a look at the account: whose trouble is it?
func probedAtOnce(t *testing.T, r *rig) {
	t.Helper()
	calls := r.box.Calls()
	for i, c := range calls {
		if c.Operation == "update_contact" && c.Status >= 400 {
			if i+1 == len(calls) || calls[i+1].Operation != "contact_filters" || calls[i+1].Time.Sub(c.Time) > time.Second {
				t.Errorf("no probe after the first refusal")
			}
			return
		}
	}
	t.Error("no update was refused")
}

func noContact(t *testing.T, r *rig) {
	t.Helper()
	for _, c := range r.box.Contacts() {
		if c.ExternalID == "ann" {
			t.Errorf("there is a contact: %+v", c)
		}
	}
}

// TestBehaviours is the table of what the API does and what comes of it.
func TestBehaviours(t *testing.T) {
	if len(behaviours) < 40 {
		t.Errorf("%d rows", len(behaviours))
	}
	for _, b := range behaviours {
		bubbleNamed(t, b.name, b.opt, func(t *testing.T, r *rig) { b.run(t, r) })
	}
}

func (b behaviour) run(t *testing.T, r *rig) {
	r.known("first") // the account's fields are read
	delivered := uint64(2)
	if b.known {
		r.known("ann")
		delivered++
	}
	if b.given != nil {
		b.given(r)
	}
	if b.fault.Next > 0 || b.fault.Percent > 0 {
		r.fault(b.fault)
	}
	traits := map[string]any{"seq": 1}
	maps.Copy(traits, b.calls)
	before, began := r.box.CallCount(), time.Now()
	r.publish(r.identify("ann", traits))
	if b.ends == "held" {
		time.Sleep(time.Minute)
		if pauses := r.pool.Status().Pauses; len(pauses) != 1 || pauses[0].Reason != b.why {
			t.Errorf("paused: %+v, want %s", pauses, b.why)
		}
		time.Sleep(cmp.Or(b.held, 26*time.Hour))
		if l, err := r.store.Ledger(t.Context()); err != nil || l.Pending != 1 || l.Dead != 0 || len(r.pool.Status().Pauses) == 0 {
			t.Errorf("it does not wait: %+v, %v, %+v", l, err, r.pool.Status().Pauses)
		}
		r.box.ClearFaults()
		r.drain(time.Hour)
		theSameOrKnown(t, r, b.known)
		return
	}
	l := r.drain(time.Hour)
	if took := time.Since(began); took < b.lag {
		t.Errorf("it ended after %v, want %v at least", took, b.lag)
	}
	if n := r.box.CallCount() - before; (b.most > 0 || strings.HasPrefix(b.name, "nothing")) && n > b.most {
		t.Errorf("%d calls, want at most %d: %v", n, b.most, r.calls(before))
	}
	outcome, reason, _ := strings.Cut(b.ends, ":")
	if n := l.Counts[queue.Count{Type: "identify", Outcome: outcome, Reason: reason}]; outcome == queue.Delivered && uint64(n) != delivered || n == 0 {
		t.Errorf("it did not end %s: %v", b.ends, l.Counts)
	}
	if b.notes != nil {
		got := r.leftOut()
		for field, why := range b.notes {
			if got[field] != why {
				t.Errorf("left out %v, want %v", got, b.notes)
			}
		}
	}
	if b.check != nil {
		b.check(t, r)
	}
}

func theSameOrKnown(t *testing.T, r *rig, known bool) {
	t.Helper()
	if arrived(t, r); !known && len(r.box.Contacts()) != 2 {
		t.Errorf("%d contacts", len(r.box.Contacts()))
	}
}

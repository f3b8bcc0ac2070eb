package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
)

// failures are what can go wrong with one call of several. With crash the process is killed while the call is under way.
var failures = map[string]struct {
	sandbox.Fault

	crash bool
}{
	"500, twice":                        {Fault: sandbox.Fault{Next: 2, Status: 500}},
	"done and not answered":             {Fault: sandbox.Fault{Next: 1, DropAnswer: true}},
	"not done and not answered":         {Fault: sandbox.Fault{Next: 1, Cut: true}},
	"429":                               {Fault: sandbox.Fault{Next: 1, Status: 429, Headers: map[string]string{"Retry-After": "5"}}},
	"400":                               {Fault: sandbox.Fault{Next: 1, Status: 400}},
	"403":                               {Fault: sandbox.Fault{Next: 1, Status: 403}},
	"404":                               {Fault: sandbox.Fault{Next: 1, Status: 404, Body: `{"errors":{"code":404,"message":["The resource is not in the CRM"]}}`}},
	"done, and the process is killed":   {Fault: sandbox.Fault{Next: 1, Delay: 2 * time.Second}, crash: true},
	"failed, and the process is killed": {Fault: sandbox.Fault{Next: 1, Delay: 2 * time.Second, Status: 500}, crash: true},
}

// A group call takes up to six calls of the API. Whichever of them fails, and however: there is one account, with the values of
// the newest call; the links are there, those of people too; and whatever was set aside is delivered by a replay.
func TestEachStepOfAGroupCallMayFail(t *testing.T) {
	for _, step := range []string{
		sandbox.OpAccountFields, sandbox.OpUpsertAccount, sandbox.OpUpdateAccount, sandbox.OpGetAccount, // of the company
		sandbox.OpGetContact, sandbox.OpUpdateContact, // of the user
	} {
		for name, f := range failures {
			t.Run(step+"/"+name, func(t *testing.T) {
				groups(t, sandbox.Options{}, func(t *testing.T, r *rig) {
					r.rewire()
					r.restart()
					r.publish(r.identify("u1", nil), r.identify("u2", nil))
					r.drain(time.Minute)
					people := r.linkByHand("u1", "People's")
					now := time.Now()
					f.Operation = step
					r.fault(f.Fault)
					s := steps{rig: r, crash: f.crash}
					s.make(append(r.groupAt("u1", "g1", now, map[string]any{"name": "Acme", "employees": 2, "Tier": "Growth"}),
						r.groupAt("", "g1", now.Add(-time.Hour), map[string]any{"name": "Old", "employees": 1, "city": "Porto"})...)...)
					s.make(r.group("u2", "g1", map[string]any{"seats": 5})...)
					l := s.deliver()
					if l.Dead != 0 || l.Delivered != 7 && (f.Status != 404 || l.Discarded > 1) {
						t.Errorf("ledger %+v, letters %+v", l, r.letters())
					}
					if f.Status == 404 { // gone, for all that anybody knew: found again by the next call that can make it
						r.publish(append(r.group("", "g1", map[string]any{"name": "Acme", "seats": 5}), r.identify("u1", map[string]any{"city": "Ulm"}))...)
						r.drain(time.Hour)
					}
					a := r.account("Acme")
					if n := len(r.box.SalesAccounts()); n != 2 || fmt.Sprint(a.Fields["number_of_employees"]) != "2" || a.Fields["city"] != "Porto" || a.Custom["cf_tier"] != "Growth" || fmt.Sprint(a.Custom["cf_seats"]) != "5" {
						t.Errorf("%d accounts, ours is %+v", n, a)
					}
					if got := r.linked("u1"); len(got) != 2 || got[0] != people || got[1] != fmtID(a.ID) {
						t.Errorf("links of u1: %v, want %s and %d", got, people, a.ID)
					}
					if got := r.linked("u2"); len(got) != 1 || got[0] != fmtID(a.ID) || len(r.box.Contacts()) != 2 {
						t.Errorf("links of u2: %v, %d contacts", got, len(r.box.Contacts()))
					}
				})
			})
		}
	}
}

// linkByHand makes an account and links the user's contact to it, as people do.
func (r *rig) linkByHand(user, account string) (id string) {
	r.t.Helper()
	a, err := r.client().UpsertAccount(r.t.Context(), account, freshmarketer.AccountWrite{})
	if err != nil {
		r.t.Fatal(err)
	}
	links := freshmarketer.Fields{"sales_accounts": []freshmarketer.AccountLink{{ID: a.ID, Primary: true}}}
	if _, err := r.client().UpdateContact(r.t.Context(), fmtID(r.contact(user).ID), freshmarketer.ContactWrite{Fields: links}); err != nil {
		r.t.Fatal(err)
	}
	return a.ID
}

// steps makes calls of which one API call fails, with a crash in the middle of it if there is to be one.
type steps struct {
	*rig
	crash bool
}

func (s *steps) make(entries ...queue.Entry) {
	s.t.Helper()
	s.publish(entries...)
	if s.crash && s.untilUnderWay() > 0 {
		s.rig.crash()
		s.crash = false
	}
	s.drain(2 * time.Hour)
}

// deliver replays what was set aside until there is nothing, and makes sure that a call did fail.
func (s *steps) deliver() (l queue.Ledger) {
	s.t.Helper()
	if s.crash || s.failures() == 0 {
		s.t.Error("nothing failed")
	}
	for range 3 {
		if l = s.drain(2 * time.Hour); l.Dead == 0 {
			break
		}
		var ids []string
		for _, letter := range s.letters() {
			ids = append(ids, letter.ID)
		}
		if err := s.store.Replay(s.t.Context(), ids); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
	}
	return s.drain(2 * time.Hour)
}

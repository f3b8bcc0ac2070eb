package worker_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// oddities are the account's less usual ways to fail, with dice of their own: a seed makes the same calls with them and without.
type oddities struct {
	rng *rand.Rand
	ops []string // what the simulation's calls come to
	off bool     // one seed of four goes without
}

func newOddities(seed uint64, ops ...string) *oddities {
	o := &oddities{rng: rand.New(rand.NewPCG(seed, 0x0dd)), ops: ops}
	o.off = o.rng.IntN(4) == 0
	return o
}

// identifyCalls are what identify calls come to, with the probe.
var identifyCalls = []string{
	sandbox.OpUpsertContact, sandbox.OpUpdateContact, sandbox.OpCreateContact, sandbox.OpGetContact, sandbox.OpLookupContacts,
	sandbox.OpBulkUpsert, sandbox.OpJobStatus, sandbox.OpContactFields, sandbox.OpContactFilters,
}

const gatewayPage = "<html><head><title>Bad Gateway</title></head><body>The server did not answer in time.</body></html>"

// maybe adds one to the account in one step of three.
func (o *oddities) maybe(r *rig) {
	if fell := o.rng.IntN(3) == 0; fell && !o.off {
		r.fault(o.fault())
	}
}

// fault is any of them, for all calls or for those of one kind: of the rare ones, too.
func (o *oddities) fault() sandbox.Fault {
	f := sandbox.Fault{Next: 1 + o.rng.IntN(4)}
	if o.rng.IntN(4) == 0 {
		f = sandbox.Fault{Percent: 20, Seed: o.rng.Uint64()}
	}
	if o.rng.IntN(4) > 0 {
		f.Operation = o.ops[o.rng.IntN(len(o.ops))]
	}
	switch o.rng.IntN(12) {
	case 0: // the quota's answer, hidden
		f.Status = []int{400, 200}[o.rng.IntN(2)]
		f.Body = map[int]string{
			400: `{"errors":{"code":400,"message":["UCR contact fetch failure :: response_code :: 429 :: response :: Too many requests"]}}`,
			200: `{"error_code":429}`,
		}[f.Status]
	case 1: // somebody else answers
		f.Status, f.Body = []int{200, 400, 404}[o.rng.IntN(3)], gatewayPage
	case 2, 3: // and what was asked is done or not
		f.Status, f.Body, f.Done = []int{200, 502, 503, 504}[o.rng.IntN(4)], gatewayPage, o.rng.IntN(2) == 0
	case 4:
		f.Status, f.Empty, f.Done = 200, true, o.rng.IntN(2) == 0
	case 5:
		f.Status = []int{405, 302}[o.rng.IntN(2)]
	case 6:
		f.Cut = true
	case 7:
		f.DropAnswer = true
	case 8: // longer than a call may take, and done
		f.Delay, f.DropAnswer = 15*time.Second, true
	case 9: // the answer ends in the middle
		f.Status, f.Body, f.Cut, f.Done = 200, `{"contact":{"id":990`, true, o.rng.IntN(2) == 0
	case 10:
		f.Status, f.Done = 500, true
	default: // in the middle of a bulk
		f.Status, f.Headers = 429, map[string]string{"Retry-After": fmt.Sprint(1 + o.rng.IntN(90))}
		f.Operation = sandbox.OpBulkUpsert + "|" + sandbox.OpJobStatus
	}
	return o.told(f)
}

// told leaves events out of answers that would say of one that it was taken, or that the account takes none: nothing else is
// known of them.
func (o *oddities) told(f sandbox.Fault) sandbox.Fault {
	if f.Done || !f.Empty && f.Status != 404 {
		return f
	}
	var others []string
	for _, op := range o.ops {
		if op != sandbox.OpSendEvent && (f.Operation == "" || f.Operation == op) {
			others = append(others, op)
		}
	}
	switch {
	case len(others) > 0:
		f.Operation = strings.Join(others, "|")
	case f.Empty:
		f.Done = true
	default: // of a page with this status it is not known either
		f.Status = 502
	}
	return f
}

// crowd is as many users at once as make bulks of their changes, and of those of the others.
func (s *callsSim) crowd() {
	rng := s.rng
	s.rng = s.odd.rng
	for n := range 12 + s.rng.IntN(20) {
		user := fmt.Sprint("c", n)
		s.identifySomebody(user, s.clock(s.world.person(user)))
	}
	s.rng = rng
}

// made is an activity or an event that the account has.
type made struct {
	n         int64 // of the call
	at        time.Time
	title     string
	contactID int64
	email     string // by which an event found its contact
}

func (s *callsSim) made() (all []made) {
	for _, a := range s.box.Activities() {
		all = append(all, made{n: a.N, at: a.At, title: fmt.Sprint(a.Fields["title"]), contactID: a.ContactID})
	}
	for _, e := range s.box.Events() {
		all = append(all, made{n: e.N, at: e.At, title: e.Name, contactID: e.ContactID, email: e.Email})
	}
	return all
}

// crossed says that the contact lost the address while an event was on its way to it: by a call of which nobody had an answer yet.
// The account knows an event by its address alone, and takes it for nobody then.
func (s *callsSim) crossed(a made) bool {
	// A bulk is known to be done once its job was asked for, and that can fail for as long as anything.
	unanswered := func(op string) time.Duration {
		if op == sandbox.OpBulkUpsert {
			return 15 * time.Minute
		}
		return freshmarketer.DefaultTimeout + time.Second
	}
	ids := map[int64]bool{}
	for _, c := range s.box.Calls() {
		ids[c.ContactID] = true
	}
	for id := range ids {
		had := false
		for _, snap := range s.box.History(id) {
			has := snap.Contact.Email == a.email && !snap.Contact.Deleted
			if lost := had && !has; lost && !snap.At.After(a.at) && a.at.Sub(snap.At) < unanswered(snap.Operation) {
				return true
			}
			had = has
		}
	}
	return false
}

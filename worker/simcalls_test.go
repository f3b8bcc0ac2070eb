package worker_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// callsSeeds is how many simulations of all calls run, unless FRESHRELAY_SIM_SEEDS says otherwise.
const callsSeeds = 6

// allCalls are what the calls of the simulation come to.
var allCalls = slices.Concat(identifyCalls, []string{
	sandbox.OpUpsertAccount, sandbox.OpUpdateAccount, sandbox.OpGetAccount, sandbox.OpAccountFields, sandbox.OpCreateActivity, sandbox.OpListActivities,
	sandbox.OpSelector, sandbox.OpSendEvent, sandbox.OpDeleteContact, sandbox.OpForgetContact,
})

// callsSim is a rig, a die, and the world as it should be.
type callsSim struct {
	*rig
	rng          *rand.Rand
	odd          *oddities
	crowded      bool // now and then many others come, too
	seed         uint64
	world        *world
	users, firms int
	total        int64
	entries      []queue.Entry // of the step under way
	tracks       []func()      // tell the world of its track calls
	sent         []string      // what was sent, for people
}

// TestSimulationOfAllCalls lets random users identify, join companies, be aliased, erased, let come again and tracked while the
// account fails in all its ways and the service is restarted and crashes. In the end contacts, accounts, links and activities
// are as the world of the oracle has them.
func TestSimulationOfAllCalls(t *testing.T) {
	first := fromEnv(t, "FRESHRELAY_SIM_FIRST", 1)
	for seed := first; seed < first+fromEnv(t, "FRESHRELAY_SIM_SEEDS", callsSeeds); seed++ {
		opt := sandbox.Options{
			History: true, CustomFieldMode: []sandbox.Mode{sandbox.Merge, sandbox.Replace}[seed%2],
			BulkWait: 2 * time.Second, BulkDuration: 10 * time.Second, Seed: seed, RefuseExternalIDUpsert: seed%5 == 0,
		}
		if seed%3 == 0 {
			opt.IndexLag = 20 * time.Second
		}
		bubbleNamed(t, fmt.Sprint(seed), opt, func(t *testing.T, r *rig) {
			s := &callsSim{rig: r, rng: rand.New(rand.NewPCG(seed, seed)), odd: newOddities(seed, allCalls...), seed: seed, world: newWorld(), users: 6, firms: 4}
			if seed%4 == 0 { // more companies than a contact can have
				s.users, s.firms = 3, 14
			}
			r.mapping.Aliases, r.mapping.Accounts, r.activities = true, true, asActivities(t)
			if s.odd.rng.IntN(3) == 0 {
				r.activities = mapping.Activities{As: mapping.AsEvent}
			}
			if s.crowded = s.odd.rng.IntN(3) == 0; s.crowded {
				r.quota = worker.Quota{PerHour: 20_000, PerMinute: 150, Reserve: 0.1}
			}
			r.deletion = worker.Deletion{RecycleBin: seed%8 >= 4}
			r.api.HTTPClient.Transport = slow{r.api.HTTPClient.Transport}
			r.rewire()
			r.restart()
			s.run()
		})
	}
}

func (s *callsSim) run() {
	for range 30 {
		s.step()
		if s.t.Failed() {
			return
		}
	}
	s.settle()
	s.check(false)
	if !s.t.Failed() { // what is only remembered, like a link to a company without a name, comes with the user's next call
		for _, user := range slices.Sorted(maps.Keys(s.world.contacts())) {
			s.identifySomebody(user, time.Now())
		}
		s.send()
		s.settle()
		s.check(true)
	}
	if s.t.Failed() {
		s.dump()
	}
}

// step does one thing or several at once, and then sends some calls.
func (s *callsSim) step() {
	switch s.rng.IntN(12) {
	case 0:
		s.restart()
	case 1, 2:
		for range 1 + s.rng.IntN(2) {
			s.some()
			time.Sleep(time.Duration(s.rng.IntN(150)) * time.Millisecond)
			s.crash()
		}
	case 3:
		s.box.ClearFaults()
	case 4, 5, 6, 7:
		s.fault(trouble(s.rng))
	case 8:
		s.settle()
	}
	s.odd.maybe(s.rig)
	if s.crowded && s.odd.rng.IntN(4) == 0 {
		s.crowd()
	}
	s.some()
	time.Sleep(time.Duration(s.rng.ExpFloat64() * float64(time.Second)))
	if s.rng.IntN(15) == 0 {
		time.Sleep(time.Duration(s.rng.IntN(40)) * time.Minute)
	}
}

// some sends some calls in one request.
func (s *callsSim) some() {
	for range 1 + s.rng.IntN(12) {
		s.call()
	}
	s.send()
}

// slow is a connection on which every call and every answer takes a moment, so that a crash finds calls under way.
type slow struct{ http.RoundTripper }

func (s slow) RoundTrip(req *http.Request) (*http.Response, error) {
	time.Sleep(slowness)
	resp, err := s.RoundTripper.RoundTrip(req)
	time.Sleep(slowness)
	return resp, err
}

const slowness = 15 * time.Millisecond

// comeAgain are the reasons of letters that are sent again by themselves.
var comeAgain = []string{worker.ReasonExhausted, worker.ReasonNoAccount, worker.ReasonUnknownContact}

// settle waits until everything is, exhausted letters included.
func (s *callsSim) settle() {
	s.t.Helper()
	s.box.ClearFaults()
	for range 200 {
		l := s.drain(6 * time.Hour)
		if l.Accepted < s.total { // erasing a user of several ids makes further ones
			s.t.Fatalf("%d entries were published, %d accepted", s.total, l.Accepted)
		}
		if !slices.ContainsFunc(s.letters(), func(l queue.Letter) bool { return slices.Contains(comeAgain, l.Reason) }) {
			s.world.settled()
			return
		}
		time.Sleep(20 * time.Minute)
	}
	s.t.Fatalf("letters that were not tried again: %+v", s.letters())
}

// call makes one call. The world is told in the order in which the log will have them.
func (s *callsSim) call() {
	user := fmt.Sprint("u", s.rng.IntN(s.users))
	p := s.world.person(user)
	if p.busy {
		return
	}
	switch n := s.rng.IntN(40); {
	case n < 14:
		s.identifySomebody(user, s.clock(p))
	case n < 24:
		s.groupSomebody(user, s.clock(p))
	case n < 34:
		title := fmt.Sprint("T", s.n+1) // it says which message it is
		s.add(fmt.Sprintf("track %s %s", user, title), s.track(user, title, nil))
		s.tracks = append(s.tracks, func() { s.world.track(user, title) })
	case n < 37:
		other := fmt.Sprint("u", s.rng.IntN(s.users))
		// Not to one whose contact was given away: it may get one again, and then be said to be yet another's, see TestAliasBack.
		if q := s.world.person(other); other != user && !q.busy && !q.old {
			s.add(fmt.Sprintf("alias %s to %s", user, other), s.alias(user, other)...)
			s.world.alias(user, other, fmt.Sprint("m", s.n))
		}
	case n < 38 || !p.erased:
		if s.rng.IntN(3) == 0 {
			e := s.forget(user, false)
			s.add("forget "+user, e, worker.DeleteActivities(user, fmt.Sprint("m", s.n), time.Now()))
			s.world.forget(user)
		}
	default:
		s.add("undo "+user, s.forget(user, true))
		s.world.undo(user)
	}
}

// clock is that of the user's next call. Calls come late and in any order; those of a user whose contact was given away do not,
// because what an older one of theirs does is nobody's promise.
func (s *callsSim) clock(p *person) time.Time {
	at := time.Now().UTC().Truncate(time.Millisecond)
	if s.rng.IntN(4) == 0 && !p.old {
		at = at.Add(-time.Duration(s.rng.IntN(120)) * time.Second)
	}
	return at
}

// add puts entries into the step.
func (s *callsSim) add(what string, entries ...queue.Entry) {
	s.entries = append(s.entries, entries...)
	s.sent = append(s.sent, fmt.Sprintf("%s %s (m%d)", time.Now().Format("15:04:05.000"), what, s.n))
}

// send publishes the step's entries, as the door does: track calls behind the others.
func (s *callsSim) send() {
	s.total += int64(len(s.entries))
	s.publish(s.entries...)
	for _, tell := range s.tracks {
		tell()
	}
	s.entries, s.tracks = nil, nil
	s.world.sent()
}

func (s *callsSim) identifySomebody(user string, at time.Time) {
	p := s.world.person(user)
	traits := map[string]any{}
	for _, name := range []string{"plan", "industry", "logins"} {
		switch n := s.rng.IntN(6); {
		case n < 2:
		case n == 2:
			traits[name] = nil
		case name == "logins":
			traits[name] = s.rng.IntN(5)
		default:
			traits[name] = fmt.Sprint(name, " ", s.rng.IntN(4))
		}
	}
	all := map[string]any{"seq": at.UnixMilli(), "email": fmt.Sprintf("%s.%d@example.test", user, p.life)}
	maps.Copy(all, traits)
	s.add(fmt.Sprintf("identify %s at %s %v", user, at.Format("15:04:05.000"), traits), s.identifyAt(user, at, all))
	s.world.identify(user, at, at.UnixMilli(), traits)
}

func (s *callsSim) groupSomebody(user string, at time.Time) {
	company := fmt.Sprint("g", s.rng.IntN(s.firms))
	traits := map[string]any{}
	if s.rng.IntN(3) > 0 {
		traits["name"] = fmt.Sprint(company, " ", []string{"Ltd", "Inc", "AG"}[s.rng.IntN(3)])
	}
	for _, name := range []string{"Segment", "Seats", "employees"} {
		switch n := s.rng.IntN(4); {
		case n == 0:
			traits[name] = nil
		case n > 1 && name == "Segment":
			traits[name] = fmt.Sprint("segment ", s.rng.IntN(3))
		case n > 1:
			traits[name] = s.rng.IntN(100)
		}
	}
	if s.rng.IntN(10) == 0 {
		user = ""
	}
	s.add(fmt.Sprintf("group %s %s at %s %v", user, company, at.Format("15:04:05.000"), traits), s.groupAt(user, company, at, traits)...)
	s.world.group(user, company, at, traits)
}

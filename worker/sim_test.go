package worker_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// simSeeds is how many simulations run; FRESHRELAY_SIM_SEEDS=200 runs more, FRESHRELAY_SIM_FIRST says from which on.
const simSeeds = 4

func fromEnv(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// refusedPlan marks calls that the account refuses for good.
const refusedPlan = "Refuse me"

// simCall is a call as the oracle sees it.
type simCall struct {
	at      time.Time
	traits  map[string]any // those of simFields that it carries
	refused bool           // the account does not take its plan
}

// simFields are the traits of a simulation and their fields. All of them are custom: clear mode may empty them.
var simFields = map[string]string{"plan": "cf_plan", "industry": "cf_industry", "logins": "cf_logins"}

// simulation is a rig, a die, and what was sent.
type simulation struct {
	*rig
	rng   *rand.Rand
	odd   *oddities
	sent  map[string][]simCall
	users int
	total int
	dead  int
}

// TestSimulation lets random users make random calls while the account fails in all its ways and the service is
// restarted. In the end each contact is what applying the calls in the order of their clocks gives.
func TestSimulation(t *testing.T) {
	first := fromEnv(t, "FRESHRELAY_SIM_FIRST", 1)
	for seed := first; seed < first+fromEnv(t, "FRESHRELAY_SIM_SEEDS", simSeeds); seed++ {
		opt := sandbox.Options{
			History: true, CustomFieldMode: []sandbox.Mode{sandbox.Merge, sandbox.Replace}[seed%2],
			BulkWait: 2 * time.Second, BulkDuration: 10 * time.Second, Seed: seed, RefuseExternalIDUpsert: seed%5 == 0,
		}
		if seed%3 == 0 {
			opt.IndexLag = 20 * time.Second
		}
		if seed%7 == 0 {
			opt.Language = "nl"
		}
		bubbleNamed(t, fmt.Sprint(seed), opt, func(t *testing.T, r *rig) {
			s := &simulation{rig: r, rng: rand.New(rand.NewPCG(seed, seed)), odd: newOddities(seed, identifyCalls...), sent: map[string][]simCall{}, users: 6}
			if seed%4 >= 2 { // more users than the account takes one by one: bulks
				s.users = 60
				r.quota = worker.Quota{PerHour: 20_000, PerMinute: 150, Reserve: 0.1}
				r.restart()
			}
			s.run()
		})
	}
}

func (s *simulation) run() {
	s.fault(sandbox.Fault{Percent: 100, Status: 400, MatchBody: refusedPlan})
	for range 40 {
		s.step()
	}
	s.box.ClearFaults()
	s.fault(sandbox.Fault{Percent: 100, Status: 400, MatchBody: refusedPlan})
	s.drain(3 * time.Hour)
	l := s.redelivered()
	refused := 0
	for _, letter := range s.letters() {
		if letter.Reason != worker.ReasonInvalid {
			s.t.Errorf("a letter that should not be: %+v", letter)
		}
		refused++
	}
	if int(l.Accepted) != s.total || int(l.Delivered+l.Discarded)+refused != s.total || refused > s.dead {
		s.t.Errorf("of %d calls, %d of them to be refused: %+v", s.total, s.dead, l)
	}
	for user, calls := range s.sent {
		s.check(user, calls)
		if s.t.Failed() {
			s.dump(user)
			break
		}
	}
	s.neverBackwards("cf_seq")
}

// redelivered waits until no exhausted letter is left: they come again by themselves.
func (r *rig) redelivered() queue.Ledger {
	r.t.Helper()
	for range 60 {
		l := r.drain(3 * time.Hour)
		if l.Counts[queue.Count{Type: "identify", Outcome: queue.Dead, Reason: worker.ReasonExhausted}] == 0 {
			return l
		}
		time.Sleep(30 * time.Minute)
	}
	r.t.Fatal("exhausted letters were not tried again")
	return queue.Ledger{}
}

// step does one thing, or several at once.
func (s *simulation) step() {
	switch s.rng.IntN(10) {
	case 0:
		s.restart()
	case 1:
		s.restart()
		time.Sleep(time.Duration(s.rng.IntN(100)) * time.Millisecond)
		s.restart()
	case 2:
		s.box.ClearFaults()
		s.fault(sandbox.Fault{Percent: 100, Status: 400, MatchBody: refusedPlan})
	case 3, 4, 5:
		s.fault(trouble(s.rng))
	}
	s.odd.maybe(s.rig)
	entries := make([]queue.Entry, 1+s.rng.IntN(25*s.users/6))
	for i := range entries {
		entries[i] = s.call()
	}
	s.publish(entries...)
	time.Sleep(time.Duration(s.rng.ExpFloat64() * float64(time.Second)))
	if s.rng.IntN(15) == 0 {
		time.Sleep(time.Duration(s.rng.IntN(40)) * time.Minute)
	}
}

// trouble is any of the account's ways to fail.
func trouble(rng *rand.Rand) sandbox.Fault {
	f := sandbox.Fault{Next: 1 + rng.IntN(12)}
	if rng.IntN(3) == 0 {
		f = sandbox.Fault{Percent: 10, Seed: rng.Uint64()}
	}
	switch rng.IntN(7) {
	case 0:
		f.Status = 500
	case 1:
		f.Status, f.Headers = 429, map[string]string{"Retry-After": fmt.Sprint(1 + rng.IntN(90))}
	case 2:
		f.Status, f.Headers = 503, map[string]string{"Retry-After": fmt.Sprint(1 + rng.IntN(90))}
	case 3:
		f.Cut = true
	case 4:
		f.Status = []int{401, 403, 302}[rng.IntN(3)]
	case 5:
		f.Delay = 15 * time.Second // longer than a call may take: it ends before its effect
	default:
		f.DropAnswer = true
	}
	return f
}

// call makes one call of a random user; clocks are not in order of arrival, and seq, for going backwards, follows them.
func (s *simulation) call() queue.Entry {
	user := fmt.Sprint("u", s.rng.IntN(s.users))
	traits := map[string]any{}
	for name := range simFields {
		traits[name] = nil
	}
	for _, name := range []string{"plan", "industry", "logins"} { // not by range: the die must fall in the same order
		switch n := s.rng.IntN(6); {
		case n < 2:
			delete(traits, name)
		case n > 2 && name == "logins":
			traits[name] = s.rng.IntN(5)
		case n > 2:
			traits[name] = fmt.Sprint(name, " ", s.rng.IntN(4))
		}
	}
	refused := s.rng.IntN(40) == 0
	if refused {
		traits["plan"] = refusedPlan
		s.dead++
	}
	s.total++
	at := time.Now().UTC()
	if s.rng.IntN(4) == 0 {
		at = at.Add(-time.Duration(s.rng.IntN(120)) * time.Second)
	}
	s.sent[user] = append(s.sent[user], simCall{at: at, traits: traits, refused: refused})
	all := map[string]any{"seq": at.UnixMilli()}
	maps.Copy(all, traits)
	return s.identifyAt(user, at, all)
}

// check compares the contact with what the calls give in order of their clocks. It knows nothing of the mapping: a newer
// ordinary call of the only source decides every field that any older one could have set, but for a value of its own that
// the account refuses, which says nothing.
func (s *simulation) check(user string, calls []simCall) {
	s.t.Helper()
	newest := func(takes func(simCall) bool) simCall {
		var last simCall
		for _, c := range calls {
			if takes(c) && !c.at.Before(last.at) { // of the same moment, the later in the log counts
				last = c
			}
		}
		return last
	}
	last := newest(func(simCall) bool { return true })
	plan := newest(func(c simCall) bool { return !c.refused })
	got := s.contact(user).Custom
	want := map[string]any{"cf_seq": json.Number(fmt.Sprint(last.at.UnixMilli()))}
	for trait, field := range simFields {
		from := last
		if trait == "plan" {
			from = plan
		}
		if v := from.traits[trait]; v != nil {
			want[field] = v
		}
	}
	for _, field := range slices.Sorted(maps.Keys(want)) {
		if fmt.Sprint(got[field]) != fmt.Sprint(want[field]) {
			s.t.Errorf("%s: %s is %v, want %v", user, field, got[field], want[field])
		}
	}
	for field, v := range got {
		if _, ok := want[field]; !ok {
			s.t.Errorf("%s: %s is %v, and the newest call does not carry it", user, field, v)
		}
	}
}

// dump shows what was sent of a user whose contact is not as it should be, and what became of it.
func (s *simulation) dump(user string) {
	s.t.Helper()
	for _, c := range s.sent[user] {
		s.t.Logf("sent %s %v refused=%v", c.at.Format("15:04:05.000"), c.traits, c.refused)
	}
	lines, err := s.store.Journal(s.t.Context(), queue.JournalQuery{User: s.store.User(user)})
	if err != nil {
		s.t.Error(err)
	}
	for _, e := range lines {
		s.t.Logf("%+v", e)
	}
	for _, l := range s.letters() {
		if l.User == s.store.User(user) {
			s.t.Logf("letter %s %s %d %q, tried %v to %v", l.MessageID, l.Reason, l.Status, l.Error, l.FirstTry, l.LastTry)
		}
	}
	for _, snap := range s.box.History(s.contact(user).ID) {
		s.t.Logf("%s %s %v", snap.At.Format("15:04:05.000"), snap.Operation, snap.Contact.Custom)
	}
}

package sandbox

import (
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// faults are the active ones, in the order they were added; the first that takes a call has it.
type faults struct {
	mu     sync.Mutex
	active []*armed
	added  uint64 // how many there have been, for seeds
	seen   seen   // only filled while a fault asks for it
}

// armed is a fault with what is left of it.
type armed struct {
	Fault
	dice    *rand.Rand // nil for Next
	from    time.Time  // when it begins to take calls
	skipped int
}

// seen remembers calls that were made before, for FirstAttempts: hashes of operation, path, query and body.
type seen struct {
	seed  maphash.Seed
	calls map[uint64]bool
}

// first reports whether the call is a new one, and remembers it.
func (s *seen) first(rq request) bool {
	if s.calls == nil {
		s.seed, s.calls = maphash.MakeSeed(), map[uint64]bool{}
	}
	var h maphash.Hash
	h.SetSeed(s.seed)
	for _, part := range []string{rq.op, rq.path, rq.query.Encode()} {
		_, _ = h.WriteString(part + "\x00") // never fails
	}
	_, _ = h.Write(rq.body)
	known := s.calls[h.Sum64()]
	s.calls[h.Sum64()] = true
	return !known
}

// AddFault makes the sandbox misbehave from the next call on. A Percent without a Seed gets one from Options.Seed.
func (s *Sandbox) AddFault(f Fault) error {
	if err := f.validate(); err != nil {
		return err
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.added++
	a := &armed{Fault: f, from: s.opt.Now().Add(f.After)}
	if f.Percent > 0 {
		seed := f.Seed
		if seed == 0 && s.opt.Seed != 0 {
			seed = s.opt.Seed<<16 + s.faults.added
		}
		a.dice = rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // dice that must fall the same way again, not a secret
	}
	s.faults.active = append(s.faults.active, a)
	return nil
}

// ClearFaults makes the sandbox behave again and says how many faults there were. Calls that stall go on stalling.
func (s *Sandbox) ClearFaults() int {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	n := len(s.faults.active)
	s.faults.active = nil
	return n
}

// Faults returns the active faults; Next is what is left of it.
func (s *Sandbox) Faults() []Fault {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	list := make([]Fault, len(s.faults.active))
	for i, a := range s.faults.active {
		list[i] = a.Fault
	}
	return list
}

// pick takes the fault for this call, or the zero Fault.
func (fs *faults) pick(rq request, now time.Time) Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	first := !slices.ContainsFunc(fs.active, func(a *armed) bool { return a.FirstAttempts }) || fs.seen.first(rq)
	for i, a := range fs.active {
		if now.Before(a.from) || a.For > 0 && now.Sub(a.from) >= a.For || a.FirstAttempts && !first || !a.takes(rq) {
			continue
		}
		if a.skipped < a.Skip {
			a.skipped++
			continue
		}
		if a.dice != nil && a.dice.Float64()*100 >= a.Percent {
			continue
		}
		taken := a.Fault
		if a.Next > 0 {
			if a.Next--; a.Next == 0 {
				fs.active = append(fs.active[:i:i], fs.active[i+1:]...)
			}
		}
		return taken
	}
	return Fault{}
}

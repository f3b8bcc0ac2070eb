package sandbox

import (
	"math/rand/v2"
	"sync"
)

// faults are the active ones, in the order they were added; the first that takes a call has it.
type faults struct {
	mu     sync.Mutex
	active []*armed
}

// armed is a fault with what is left of it.
type armed struct {
	Fault
	dice *rand.Rand // nil for Next
}

// AddFault makes the sandbox misbehave from the next call on.
func (s *Sandbox) AddFault(f Fault) error {
	if err := f.validate(); err != nil {
		return err
	}
	a := &armed{Fault: f}
	if f.Percent > 0 {
		a.dice = rand.New(rand.NewPCG(f.Seed, f.Seed)) //nolint:gosec // dice that must fall the same way again, not a secret
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
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
func (fs *faults) pick(rq request) Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for i, a := range fs.active {
		if !a.takes(rq) || a.dice != nil && a.dice.Float64()*100 >= a.Percent {
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

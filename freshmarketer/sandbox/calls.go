package sandbox

import (
	"sync"
	"time"
)

// Call is one API call the sandbox received. It names no person: paths hold ids only, and queries are left out.
type Call struct {
	N         int64     `json:"n"` // counts from 1
	Time      time.Time `json:"time"`
	Operation string    `json:"operation"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Status    int       `json:"status"` // 0: not answered, or not yet
	ContactID int64     `json:"contact_id,omitempty"`
	Effect    bool      `json:"effect,omitempty"` // a contact was written
	Fault     string    `json:"fault,omitempty"`  // what was done to the call, if anything
}

// callLog remembers the last calls in a ring.
type callLog struct {
	mu    sync.Mutex
	ring  []Call // the call with number n is at (n-1) % cap
	size  int
	total int64
}

func newCallLog(size int) callLog { return callLog{size: size} }

// begin numbers the call and remembers it, so that a call that stalls can be seen while it does.
func (l *callLog) begin(c Call) Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total++
	c.N = l.total
	if len(l.ring) < l.size {
		l.ring = append(l.ring, c)
	} else {
		l.ring[(c.N-1)%int64(l.size)] = c
	}
	return c
}

// finish remembers how the call ended, unless a whole ring of other calls has overtaken it.
func (l *callLog) finish(c Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := (c.N - 1) % int64(l.size); l.ring[at].N == c.N {
		l.ring[at] = c
	}
}

// Calls returns the remembered calls, oldest first.
func (s *Sandbox) Calls() []Call {
	calls, _ := s.calls.snapshot()
	return calls
}

// CallCount is how many calls there have been, also those no longer remembered.
func (s *Sandbox) CallCount() int64 {
	_, total := s.calls.snapshot()
	return total
}

func (l *callLog) snapshot() ([]Call, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	start := 0
	if len(l.ring) == l.size {
		start = int(l.total % int64(l.size))
	}
	return append(append([]Call{}, l.ring[start:]...), l.ring[:start]...), l.total
}

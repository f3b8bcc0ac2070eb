package worker

import "sync"

// Depth is how much is read and not settled, in all partitions of this process.
type Depth struct {
	Lanes     int // users of whom something waits or is under way
	InFlight  int // changes that are being worked on
	Places    int // the most there can be of them: delivery.concurrency
	ReadAhead int // bytes of events that are in memory; the reader is held back beyond its bound

	Activities     int // track and page calls that are being worked on, in places of their own
	ActivityPlaces int // the most there can be of them: half of delivery.concurrency
}

// backlogs are those of the partitions that are being worked on.
type backlogs struct {
	mu  sync.Mutex
	set map[*backlog]bool
}

// enter notes a backlog until the returned function is called.
func (s *backlogs) enter(b *backlog) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set == nil {
		s.set = map[*backlog]bool{}
	}
	s.set[b] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.set, b)
	}
}

// ready is how many lanes wait for a runner.
func (s *backlogs) ready() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for b := range s.set {
		n += b.changes()
	}
	return n
}

// Depth reports for metrics.
func (p *Pool) Depth() Depth {
	p.backlogs.mu.Lock()
	defer p.backlogs.mu.Unlock()
	d := Depth{InFlight: len(p.places), Places: cap(p.places), Activities: len(p.performing), ActivityPlaces: cap(p.performing)}
	for b := range p.backlogs.set {
		b.mu.Lock()
		d.Lanes += len(b.lanes)
		d.ReadAhead += b.bytes
		b.mu.Unlock()
	}
	return d
}

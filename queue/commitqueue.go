package queue

import (
	"slices"
	"sync"
)

// commitQueue holds settlements on their way to the committer.
type commitQueue struct {
	mu      sync.Mutex
	waiting []*Settlement
	closed  error         // why nothing is taken any more
	wake    chan struct{} // capacity 1: something waits, or the queue was closed
}

func (q *commitQueue) put(s *Settlement) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil {
		return q.closed
	}
	q.waiting = append(q.waiting, s)
	q.signal()
	return nil
}

// take removes up to n settlements. closed is set once the queue was closed; what waits is still given out.
func (q *commitQueue) take(n int) (batch []*Settlement, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.waiting))
	batch = slices.Clone(q.waiting[:n])
	clear(q.waiting[:n]) // lets go of the records
	q.waiting = q.waiting[n:]
	return batch, q.closed != nil
}

func (q *commitQueue) close(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed == nil {
		q.closed = why
	}
	q.signal()
}

func (q *commitQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

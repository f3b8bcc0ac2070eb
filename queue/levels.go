package queue

import (
	"context"
	"time"
)

// Waiting is how many bytes of events came in and are not stored yet, in all partitions.
func (s *Store) Waiting() int64 { return s.waitingBytes.Load() }

// DiskFree is how many bytes are free on the disk of the embedded broker; false where nobody can tell.
func (s *Store) DiskFree(ctx context.Context) (uint64, bool) {
	_, free := s.room.look(ctx)
	return free, free < unknownFree
}

// LeaseLeft is how long the partition stays this process's without another renewal; false if nobody else could have it.
func (p *Partition) LeaseLeft() (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lease == nil {
		return 0, false
	}
	return p.lease.left(time.Now()), true
}

// repeats tells of a write that is sent again.
func (s *Store) repeats(commit bool) {
	if s.cfg.OnRepeat != nil {
		s.cfg.OnRepeat(commit)
	}
}

package queue

import (
	"context"
	"fmt"
	"time"
)

// Sharing says which processes have a store open and whose each partition is.
type Sharing struct {
	Processes []Process      // by host
	Owners    map[int]string // id of a process, by partition; without those that nobody owns
	Unowned   []int          // partitions that nobody delivers at this moment
}

// Sharing looks around. With an embedded broker there is nobody else, and nothing in it. Error: ErrUnavailable.
func (s *Store) Sharing(ctx context.Context) (Sharing, error) {
	if s.cfg.External == nil {
		return Sharing{}, nil
	}
	all, err := s.announcements(ctx)
	if err != nil {
		return Sharing{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	out := Sharing{Owners: map[int]string{}}
	for _, a := range all {
		out.Processes = append(out.Processes, a.Process)
	}
	now, err := s.Clock(ctx)
	if err != nil {
		return Sharing{}, err
	}
	for n := range s.identity.Partitions {
		owner, err := s.owner(ctx, n, now)
		if err != nil {
			return Sharing{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if owner == "" {
			out.Unowned = append(out.Unowned, n)
			continue
		}
		out.Owners[n] = owner
	}
	return out, nil
}

// owner is the process that holds a partition's lease, "" if nobody does or the lease has run out. now is the servers' time.
func (s *Store) owner(ctx context.Context, partition int, now time.Time) (string, error) {
	msg, err := s.lastState(ctx, s.names.lease(partition))
	if err != nil || msg == nil || now.Sub(msg.Time) >= s.cfg.External.lease() {
		return "", err
	}
	h, err := decodeHolder(msg.Data)
	return h.Process, err
}

package queue

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// forgetAfter is after how many lease times without a sign somebody removes a process's announcement.
const forgetAfter = 10

// sighting is the revision of a subject and since when this process has seen it, on its own clock.
type sighting struct {
	rev   uint64
	since time.Time
}

// processes counts those that deliver and gave a sign within a lease time, this one included.
func (o *ownership) processes(ctx context.Context) (int, error) {
	all, err := o.s.announcements(ctx)
	if err != nil {
		return 0, err
	}
	n := 1
	for _, a := range all {
		switch stood := o.sight(a.subject, a.rev); {
		case a.Self:
		case stood < o.time && a.Delivers:
			n++
		case stood > forgetAfter*o.time:
			if err := o.s.state.Purge(ctx, jetstream.WithPurgeSubject(a.subject), jetstream.WithPurgeSequence(a.rev+1)); err != nil {
				return 0, fmt.Errorf("removing the announcement of a process that is gone: %w", err)
			}
		}
	}
	return n, nil
}

// sight notes a revision and says for how long it has stood. It is called after the answer has come: whoever wrote the
// revision has sent it before.
func (o *ownership) sight(subject string, rev uint64) time.Duration {
	now := time.Now()
	if s, ok := o.seen[subject]; ok && s.rev == rev {
		return now.Sub(s.since)
	}
	o.seen[subject] = sighting{rev: rev, since: now}
	return 0
}

// giveBack stops partitions beyond the share, those that this process prefers least.
func (o *ownership) giveBack(share int) {
	var numbers []int
	for n, t := range o.tenures {
		if !t.stopping {
			numbers = append(numbers, n)
		}
	}
	o.prefer(numbers)
	for _, n := range numbers[min(share, len(numbers)):] {
		o.log.Info("giving a partition back", zap.Int("partition", n), zap.Int("share", share))
		o.tenures[n].stop()
		o.tenures[n].stopping = true
	}
}

// prefer orders partitions by a hash with the process, so that several that look for some at once do not want the same.
func (o *ownership) prefer(numbers []int) {
	rank := func(n int) uint64 {
		h := fnv.New64a()
		_, _ = h.Write([]byte(o.id + "." + strconv.Itoa(n)))
		return h.Sum64()
	}
	slices.SortFunc(numbers, func(a, b int) int {
		if ra, rb := rank(a), rank(b); ra != rb {
			if ra < rb {
				return -1
			}
			return 1
		}
		return a - b
	})
}

// freeLease is a lease that may be taken, at the revision at which that was seen.
type freeLease struct {
	number int
	rev    uint64
}

// free finds the leases that nobody holds or whose holder has not renewed them for a whole lease time.
func (o *ownership) free(ctx context.Context) ([]freeLease, error) {
	revs := map[int]uint64{}
	var numbers []int
	for n := range o.s.identity.Partitions {
		if o.tenures[n] != nil {
			continue
		}
		subject := o.s.names.lease(n)
		data, rev, err := o.s.readState(ctx, subject)
		if err != nil {
			return nil, err
		}
		h, err := decodeHolder(data)
		if err != nil {
			return nil, err
		}
		// One that bears this process's name without a tenure is what is left of an unclear attempt to take it.
		if stood := o.sight(subject, rev); h.Process == "" || h.Process == o.id || stood >= o.time {
			numbers, revs[n] = append(numbers, n), rev
		}
	}
	o.prefer(numbers)
	free := make([]freeLease, len(numbers))
	for i, n := range numbers {
		free[i] = freeLease{n, revs[n]}
	}
	return free, nil
}

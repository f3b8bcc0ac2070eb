package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// logID names one of the logs. Each partition has two, side by side in EVENTS: that of contacts and that of activities. Both are
// read, settled and counted by the same mechanism, each at its own pace, so that activities can wait for quota without holding
// contacts. Positions come from the stream, so they tell which of two events of one user was stored first, whatever their logs.
type logID struct {
	number     int // of the partition
	activities bool
}

// String is the end of the subjects of STATE that belong to the log.
func (id logID) String() string {
	if id.activities {
		return "activities." + strconv.Itoa(id.number)
	}
	return strconv.Itoa(id.number)
}

func (n names) packs(id logID) string {
	if id.activities {
		return n.prefix + ".activities." + strconv.Itoa(id.number)
	}
	return n.prefix + ".events." + strconv.Itoa(id.number)
}

func (n names) floor(id logID) string    { return n.state("floor." + id.String()) }
func (n names) horizon(id logID) string  { return n.state("horizon." + id.String()) }
func (n names) counters(id logID) string { return n.state("counters." + id.String()) }

// record is where a log keeps what it remembers of a user.
func (n names) record(id logID, user string) string {
	if id.activities {
		return n.state("activity." + user)
	}
	return n.user(user)
}

// logs are all of the store: those of contacts by partition, then those of activities.
func (s *Store) logs() []logID {
	var ids []logID
	for _, activities := range []bool{false, true} {
		for number := range s.identity.Partitions {
			ids = append(ids, logID{number, activities})
		}
	}
	return ids
}

// publisherOf is the index of the publisher that stores an item.
func (s *Store) publisherOf(it packed) int {
	n := s.identity.partition(it.digest)
	if it.activity {
		n += s.identity.Partitions
	}
	return n
}

// Activities is the partition's log of activities. Both have the same owner and fail together; its Run does not trim.
func (p *Partition) Activities() *Partition { return p.activities }

// Unread says whether a pack of this log that is not handed out yet may stand before a position of the partition's other log:
// after is the highest position that was handed out, 0 if none was yet.
func (p *Partition) Unread(ctx context.Context, after, position uint64) (bool, error) {
	p.mu.Lock()
	next := max(after/positionStep, p.stored.floor) + 1
	p.mu.Unlock()
	if next > position/positionStep {
		return false, nil
	}
	msg, err := p.s.events.GetMsg(ctx, next, jetstream.WithGetMsgSubject(p.s.names.packs(p.id)))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: reading the log: %w", ErrUnavailable, err)
	}
	return msg.Sequence < position/positionStep, nil
}

// addActivities lets EVENTS take activities where an earlier version made it. On others' servers drift says what to run.
func (s *Store) addActivities(ctx context.Context) error {
	cfg := s.events.CachedInfo().Config
	want := s.names.eventsConfig(0, "").Subjects
	if s.cfg.External != nil || slices.Equal(cfg.Subjects, want) {
		return nil
	}
	cfg.Subjects = want
	stream, err := s.js.UpdateStream(ctx, cfg)
	if err != nil {
		return fmt.Errorf("giving stream EVENTS the subjects of activities: %w", err)
	}
	s.events = stream
	return nil
}

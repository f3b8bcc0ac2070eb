package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// maxLook bounds what a look for waiting events reads of the log (bytes): about a second's worth.
const maxLook = 256 << 20

// Waiting is an event that is stored and not settled.
type Waiting struct {
	Item

	Stored   time.Time // when its pack was stored
	Activity bool      // it is in the log of activities
	Read     bool      // it is in its lane; else it waits in the log for the lanes before it
	Ahead    int       // events of all users that wait before it in the same log
	OfUser   int       // those of its own user among them
}

// EachWaiting calls each with the events that wait in this process's partitions, oldest first, until it says false; user, if it
// is not "", selects one lane's. whole is false if there is more in the log than is looked at.
func (s *Store) EachWaiting(ctx context.Context, user string, each func(Waiting) bool) (whole bool, err error) {
	left := maxLook
	for _, p := range s.Owned() {
		if user != "" && !p.Owns(user) {
			continue
		}
		for _, log := range []*Partition{p, p.Activities()} {
			more, err := log.eachWaiting(ctx, user, &left, each)
			if err != nil {
				return false, err
			}
			if !more {
				return left > 0, nil
			}
		}
	}
	return true, nil
}

func (p *Partition) eachWaiting(ctx context.Context, user string, left *int, each func(Waiting) bool) (more bool, err error) {
	p.mu.Lock()
	from := p.progress.floor + 1
	p.mu.Unlock()
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{p.s.names.packs(p.id)}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from}
	ahead, more := 0, true
	ofUser := map[string]int{}
	err = p.s.scan(ctx, p.s.events, cfg, func(msg jetstream.Msg) (bool, error) {
		meta, err := msg.Metadata()
		if err != nil {
			return false, fmt.Errorf("reading the log: %w", err)
		}
		items, err := decodePack(meta.Sequence.Stream, msg.Data())
		if err != nil {
			return false, err
		}
		if *left -= len(msg.Data()); *left <= 0 {
			more = false
			return false, nil
		}
		for _, it := range items {
			open, read := p.waits(it)
			if !open || it.Kind != KindEvent {
				continue
			}
			w := Waiting{Item: it, Stored: meta.Timestamp, Activity: p.id.activities, Read: read, Ahead: ahead, OfUser: ofUser[it.User]}
			ahead++
			if user != "" && it.User != user {
				continue
			}
			ofUser[it.User]++
			if more = each(w); !more {
				return false, nil
			}
		}
		return true, nil
	})
	return more, err
}

// waits says whether an item of the log is open, and whether it was handed out.
func (p *Partition) waits(it Item) (open, read bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seq, index := it.Position/positionStep, it.Position%positionStep
	if pack := p.progress.packs[seq]; pack != nil {
		return index < uint64(len(pack.open)) && pack.open[index] != 0, true
	}
	return seq > p.progress.readSeq, false
}

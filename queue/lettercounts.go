package queue

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// letterCounts knows how many dead letters each partition has. Their subjects do not name the partition, so all of them are
// listed; that takes seconds with a million, and every scrape asks once per partition. So it is done again only when DEAD
// has changed.
type letterCounts struct {
	mu     sync.Mutex
	of     letterState
	counts map[int]int64 // by partition; nil: never listed
}

// letterState changes whenever a letter is stored or removed.
type letterState struct{ messages, first, last uint64 }

func stateOf(info *jetstream.StreamInfo) letterState {
	return letterState{info.State.Msgs, info.State.FirstSeq, info.State.LastSeq}
}

func (c *letterCounts) get(ctx context.Context, s *Store, partition int) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := s.letterInfo(ctx)
	if err != nil {
		return 0, err
	}
	if s.identity.Partitions == 1 {
		return lettersIn(info), nil
	}
	if c.counts != nil && c.of == stateOf(info) {
		return c.counts[partition], nil
	}
	if info, err = s.dead.Info(ctx, jetstream.WithSubjectFilter(s.names.dead("*", "*"))); err != nil {
		return 0, fmt.Errorf("listing the letters in DEAD: %w", err)
	}
	c.of, c.counts = stateOf(info), map[int]int64{}
	for subject := range info.State.Subjects {
		if digest, _, err := parseLetterID(strings.TrimPrefix(subject, s.names.letter(""))); err == nil {
			c.counts[s.identity.partition(digest)]++
		}
	}
	return c.counts[partition], nil
}

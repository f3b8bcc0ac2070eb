package worker

import (
	"context"
	"fmt"
	"slices"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
)

// reconcile puts the partition's dead letters in order after a start. A letter whose settlement was never committed does not count:
// its event is in the log and comes again. A letter whose replay was committed is done with.
func (part *partition) reconcile(ctx context.Context) error {
	var user string
	var record mapping.Record
	return part.log.Reconcile(ctx, func(l queue.Letter) (bool, error) {
		if l.User != user {
			var err error
			if record, _, err = part.loadRecord(ctx, l.User); err != nil {
				return false, err
			}
			user = l.User
		}
		return l.Position <= record.Pos && !slices.Contains(record.Gone, l.Position), nil
	})
}

func (part *partition) loadRecord(ctx context.Context, user string) (mapping.Record, uint64, error) {
	data, rev, err := part.log.Record(ctx, user)
	if err != nil {
		return mapping.Record{}, 0, err
	}
	record, err := mapping.DecodeRecord(data)
	if err != nil {
		return mapping.Record{}, 0, fmt.Errorf("user %s: %w", user, err)
	}
	return record, rev, nil
}

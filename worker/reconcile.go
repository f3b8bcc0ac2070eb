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
	var activity bool
	var record mapping.Record
	return part.log.Reconcile(ctx, func(l queue.Letter) (bool, error) {
		if l.User != user || l.Activity != activity {
			log := part.log
			if l.Activity {
				log = log.Activities()
			}
			var err error
			if record, _, err = recordIn(ctx, log, l.User); err != nil {
				return false, err
			}
			user, activity = l.User, l.Activity
		}
		return l.Position <= record.Pos && !slices.Contains(record.Gone, l.Position), nil
	})
}

func (part *partition) loadRecord(ctx context.Context, user string) (mapping.Record, uint64, error) {
	return recordIn(ctx, part.log, user)
}

// recordIn is what a log remembers of a user.
func recordIn(ctx context.Context, log *queue.Partition, user string) (mapping.Record, uint64, error) {
	data, rev, err := log.Record(ctx, user)
	if err != nil {
		return mapping.Record{}, 0, err
	}
	record, err := mapping.DecodeRecord(data)
	if err != nil {
		return mapping.Record{}, 0, fmt.Errorf("user %s: %w", user, err)
	}
	return record, rev, nil
}

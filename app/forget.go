package app

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// forget puts a delete call for each userId into the log, or with undo one that lets an erased user come again, and returns
// their message ids.
func (s *service) forget(ctx context.Context, userIDs []string, undo bool) ([]string, error) {
	ids := make([]string, len(userIDs))
	var entries []queue.Entry
	for i, user := range userIDs {
		ids[i] = "forget-" + strings.ToLower(rand.Text())
		entries = append(entries, worker.DeleteCall(user, ids[i], undo, time.Now()))
		if !undo { // also where nothing is forwarded any more: letters may be left from before
			entries = append(entries, worker.DeleteActivities(user, ids[i], time.Now()))
		}
	}
	return ids, s.store.Publish(ctx, entries)
}

// erased says since when calls of a user are discarded because of an erasure; the zero time: they are not.
func (s *service) erased(ctx context.Context, userID string) (time.Time, error) {
	data, rev, err := s.store.State(ctx, "user."+s.store.User(userID))
	if err != nil || rev == 0 {
		return time.Time{}, err
	}
	record, err := mapping.DecodeRecord(data)
	if err != nil || record.Suppressed == 0 {
		return time.Time{}, err
	}
	return time.Unix(record.Suppressed, 0).UTC(), nil
}

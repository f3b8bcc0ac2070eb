package worker

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/queue"
)

const (
	redeliverEvery  = time.Minute
	redeliverFirst  = 15 * time.Minute
	redeliverSlow   = 24 * time.Hour
	redeliverAtOnce = 100 // commands per round, so that live traffic is not pushed aside
)

// redelivery replays letters of class exhausted by itself: nothing was wrong with them but the time.
type redelivery struct {
	store *queue.Store
	log   *zap.Logger

	mu  sync.Mutex
	due map[string]time.Time // by letter id
}

func newRedelivery(store *queue.Store, log *zap.Logger) *redelivery {
	return &redelivery{store: store, log: log, due: map[string]time.Time{}}
}

// pause grows with the letter's age and so doubles from try to try: 15 minutes, half an hour, … a day.
func pause(l queue.Letter) time.Duration {
	return min(redeliverSlow, max(redeliverFirst, l.LastTry.Sub(l.FirstTry)))
}

// watch plans the next try of a letter, or forgets it if its reason is another.
func (r *redelivery) watch(l queue.Letter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.Reason != ReasonExhausted {
		delete(r.due, l.ID)
		return
	}
	r.due[l.ID] = l.LastTry.Add(pause(l))
}

func (r *redelivery) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.due, id)
}

func (r *redelivery) run(ctx context.Context) {
	for sleep(ctx, redeliverEvery) {
		ids := r.take(time.Now())
		if len(ids) == 0 {
			continue
		}
		if err := r.store.Replay(ctx, ids); err != nil && ctx.Err() == nil {
			r.log.Warn("exhausted letters could not be replayed yet", zap.Int("letters", len(ids)), zap.Error(err))
		}
	}
}

// take names the letters that are due and gives each a day's grace, in case its command gets lost or waits that long.
func (r *redelivery) take(now time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for id, at := range r.due {
		if at.After(now) {
			continue
		}
		if len(ids) == redeliverAtOnce {
			break
		}
		ids = append(ids, id)
		r.due[id] = now.Add(redeliverSlow)
	}
	return ids
}

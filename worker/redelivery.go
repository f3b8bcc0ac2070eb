package worker

import (
	"cmp"
	"context"
	"errors"
	"slices"
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
	store  *queue.Store
	writes func(user string) bool // letters of others stay where they are
	owns   func(user string) bool // letters of others are another process's
	dead   func(reason string) bool
	log    *zap.Logger

	mu   sync.Mutex
	due  map[string]planned // by letter id
	more bool               // there may be letters that are not in due: beyond maxDue, or from before the start
}

// maxDue bounds what is in memory: the letters beyond it are looked for once half of these have had their try.
const maxDue = 50_000

// planned is a letter's next try.
type planned struct {
	at       time.Time
	position uint64
}

// newRedelivery makes one for a partition; dead says whether it has letters of a reason.
func newRedelivery(store *queue.Store, writes, owns, dead func(string) bool, log *zap.Logger) *redelivery {
	return &redelivery{store: store, writes: writes, owns: owns, dead: dead, log: log, due: map[string]planned{}, more: true}
}

// pause grows with the letter's age and so doubles from try to try: 15 minutes, half an hour, … a day.
func pause(l queue.Letter) time.Duration {
	return min(redeliverSlow, max(redeliverFirst, l.LastTry.Sub(l.FirstTry)))
}

// watch plans the next try of a letter, or forgets it if its reason is another.
func (r *redelivery) watch(l queue.Letter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(redelivered(), l.Reason) || !r.writes(l.User) {
		delete(r.due, l.ID)
		return
	}
	if _, known := r.due[l.ID]; !known && len(r.due) >= maxDue {
		r.more = true
		return
	}
	r.due[l.ID] = planned{at: l.LastTry.Add(pause(l)), position: l.Position}
}

// refill looks for letters that did not fit before.
func (r *redelivery) refill(ctx context.Context) error {
	r.mu.Lock()
	wanted := r.more && len(r.due) < maxDue/2
	r.more = r.more && !wanted
	r.mu.Unlock()
	if !wanted {
		return nil
	}
	var all error
	for _, reason := range redelivered() {
		if !r.dead(reason) {
			continue // to look for none takes as long as for many
		}
		all = errors.Join(all, r.store.EachLetter(ctx, queue.LetterFilter{Reason: reason}, func(l queue.Letter) error {
			r.mu.Lock()
			_, known := r.due[l.ID] // its command may be on the way
			r.mu.Unlock()
			if !known && r.owns(l.User) {
				r.watch(l)
			}
			return ctx.Err()
		}))
	}
	return all
}

// redelivered are the reasons of letters that come again by themselves.
func redelivered() []string {
	return []string{ReasonExhausted, ReasonNoAccount, ReasonUnknownContact, ReasonNotLive}
}

func (r *redelivery) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.due, id)
}

func (r *redelivery) run(ctx context.Context) {
	for sleep(ctx, redeliverEvery) {
		if err := r.refill(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("exhausted letters could not be looked for, trying again", zap.Error(err))
			r.mu.Lock()
			r.more = true
			r.mu.Unlock()
		}
		ids := r.take(time.Now())
		if len(ids) == 0 {
			continue
		}
		if err := r.store.Replay(ctx, ids); err != nil && ctx.Err() == nil {
			r.putBack(ids, time.Now().Add(redeliverEvery))
			r.log.Warn("exhausted letters could not be replayed yet", zap.Int("letters", len(ids)), zap.Error(err))
		}
	}
}

// take names the letters that are due, in the order of the log, because a user's later call may need what an earlier one
// made. Each gets a day's grace, in case its command gets lost or waits that long.
func (r *redelivery) take(now time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for id, p := range r.due {
		if !p.at.After(now) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Compare(r.due[a].position, r.due[b].position) })
	ids = ids[:min(len(ids), redeliverAtOnce)]
	r.plan(ids, now.Add(redeliverSlow))
	return ids
}

// putBack plans letters whose commands could not be stored.
func (r *redelivery) putBack(ids []string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plan(ids, at)
}

// plan moves letters that have not been forgotten meanwhile.
func (r *redelivery) plan(ids []string, at time.Time) {
	for _, id := range ids {
		if p, ok := r.due[id]; ok {
			p.at = at
			r.due[id] = p
		}
	}
}

package replay

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/queue"
)

// window is how many of a job's commands are in the log and not settled at a time. It bounds what a live event of one of
// these users can meet in its own lane; for all others the lanes let live events go first.
const window = 100

// Pauses between two looks at the letters that are waited for.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 500 * time.Millisecond
	settlePoll = 50 * time.Millisecond
	settleWait = 10 * time.Second
)

// worker works on one job.
type worker struct {
	*Runner
	job   Job
	edits []queue.Edit // with their values
	rev   uint64
	saved time.Time
	again int // results of letters that were on the list when it was taken on, and are commanded once more
}

// work takes the job on and does it until it ends, is stopped, is lost to another process, or ctx ends.
func (r *Runner) work(ctx context.Context, id uint64) {
	w := &worker{Runner: r}
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		err := w.run(ctx, id)
		switch {
		case ctx.Err() != nil, errors.Is(err, errLost):
			return
		case err == nil:
			return
		}
		r.log.Warn("a replay has trouble with the store, going on after a pause", zap.String("replay", Name(id)), zap.Duration("pause", pause), zap.Error(err))
		if !sleep(ctx, pause) {
			return
		}
	}
}

func (w *worker) run(ctx context.Context, id uint64) error {
	if err := w.claim(ctx, id); err != nil {
		return err
	}
	// What was to be commanded when the last owner ended may not have been: it is, once more. A letter that was settled
	// is gone, one that has failed again in this job is passed over.
	if err := w.command(ctx, w.job.Waiting); err != nil {
		return err
	}
	for pause := firstPause; ; {
		before := len(w.job.Waiting)
		if err := w.look(ctx); err != nil {
			return err
		}
		more, err := w.fill(ctx)
		if err != nil {
			return err
		}
		if !more && len(w.job.Waiting) == 0 {
			return w.finish(ctx)
		}
		if len(w.job.Waiting) != before {
			pause = firstPause
		}
		if time.Since(w.saved) >= beatEvery {
			if err := errors.Join(w.unchanged(ctx), w.keep(ctx)); err != nil {
				return err
			}
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
		pause = min(pause*3/2, lastPause)
	}
}

// claim makes the job this process's.
func (w *worker) claim(ctx context.Context, id uint64) error {
	var err error
	if w.job, w.rev, err = w.load(ctx, id); err != nil {
		if errors.Is(err, ErrNoJob) {
			return errLost
		}
		return err
	}
	if w.job.State != StateRunning {
		return errLost
	}
	if w.edits, err = w.Runner.edits(ctx, &w.job); err != nil {
		return err
	}
	dead, err := w.deadAgain(ctx)
	if err != nil {
		return err
	}
	w.again = max(0, dead)
	w.job.Owner = w.owner
	return w.keep(ctx)
}

// keep saves the job. If somebody else has changed it, it is no longer ours: stopped, or taken over.
func (w *worker) keep(ctx context.Context) error {
	w.job.Beat = time.Now().UTC()
	rev, err := w.save(ctx, &w.job, w.rev)
	if errors.Is(err, queue.ErrConflict) {
		return errLost
	}
	if err != nil {
		return err
	}
	w.rev, w.saved = rev, time.Now()
	return nil
}

// look takes the letters that are settled off the list.
func (w *worker) look(ctx context.Context) error {
	still := make([]string, 0, len(w.job.Waiting))
	for _, id := range w.job.Waiting {
		l, err := w.store.Letter(ctx, id)
		switch {
		case errors.Is(err, queue.ErrNoLetter):
		case err != nil:
			return err
		case l.Job == w.job.ID:
			w.job.Failed++
		default:
			still = append(still, id)
		}
	}
	w.job.Waiting = still
	return nil
}

// unchanged takes letters off the list that have failed again and are as they were, because DEAD had no room for them. None of them
// tells that, but once all that are waited for are such the results do.
func (w *worker) unchanged(ctx context.Context) error {
	n := len(w.job.Waiting)
	dead, err := w.deadAgain(ctx)
	if err == nil && n > 0 && dead-w.again >= n {
		w.job.Waiting, w.job.Failed = nil, w.job.Failed+n
	}
	return err
}

// deadAgain is how many letters have failed again of which that was not seen.
func (w *worker) deadAgain(ctx context.Context) (int, error) {
	results, err := w.store.JobResults(ctx, w.job.ID)
	return w.job.report(results).Dead - w.job.Failed, err
}

// fill commands further letters while there is room. The job is stored first: with it what is about to be commanded.
func (w *worker) fill(ctx context.Context) (more bool, err error) {
	j := &w.job
	if len(j.IDs) == 0 && j.Cursor > j.Until {
		return false, nil
	}
	room := window - len(j.Waiting)
	if room < window/2 {
		return true, nil
	}
	var ids []string
	if j.Filter.All() && len(j.IDs) > 0 {
		ids, j.IDs = slices.Clone(j.IDs[:min(room, len(j.IDs))]), slices.Clone(j.IDs[min(room, len(j.IDs)):])
		if len(j.IDs) == 0 {
			j.Cursor = j.Until + 1
		}
	} else {
		letters, next, err := w.store.LettersFrom(ctx, j.Filter, j.Cursor, j.Until, room)
		if err != nil {
			return false, err
		}
		// In the order of the log, because a user's later call may need what an earlier one made.
		slices.SortFunc(letters, func(a, b queue.Letter) int { return cmp.Compare(a.Position, b.Position) })
		for _, l := range letters {
			ids = append(ids, l.ID)
		}
		j.Cursor = next
	}
	j.Waiting = append(j.Waiting, ids...)
	j.Selected += len(ids)
	if err := w.keep(ctx); err != nil {
		return false, err
	}
	return true, w.command(ctx, ids)
}

func (w *worker) command(ctx context.Context, ids []string) error {
	o := queue.Order{Job: w.job.ID, Edits: w.edits}
	if w.job.Action == ActionDiscard {
		o.Discard = w.job.Reason
	}
	return w.store.Command(ctx, ids, o)
}

// finish waits until what was seen is committed too, and stores the final results.
func (w *worker) finish(ctx context.Context) error {
	var results map[string]int64
	for end := time.Now().Add(settleWait); ; {
		var err error
		if results, err = w.store.JobResults(ctx, w.job.ID); err != nil {
			return err
		}
		if w.job.report(results).Dead >= w.job.Failed || time.Now().After(end) {
			break
		}
		if !sleep(ctx, settlePoll) {
			return ctx.Err()
		}
	}
	w.job.Results, w.job.State, w.job.Ended = results, StateDone, time.Now().UTC()
	for i := range w.job.Edits {
		w.job.Edits[i].Value = nil // of an earlier version
	}
	if err := w.keep(ctx); err != nil {
		return err
	}
	if len(w.job.Paths) > 0 {
		if err := w.store.EraseState(ctx, editsKey(w.job.ID)); err != nil {
			w.log.Warn("the values that a replay has changed are still stored, trying again", zap.String("replay", Name(w.job.ID)), zap.Error(err))
		}
	}
	r := w.job.report(results)
	w.log.Info("replay done", zap.String("replay", r.ID), zap.String("action", r.Action), zap.Int("letters", r.Selected), zap.Int("delivered", r.Deliver),
		zap.Int("discarded", r.Discard), zap.Int("dead", r.Dead), zap.Int("gone", r.Gone))
	return nil
}

// sleep waits, or returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

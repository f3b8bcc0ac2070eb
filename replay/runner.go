package replay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/queue"
)

const (
	// lookEvery is how often a process looks for jobs that nobody works on; alone it knows of its own.
	lookEvery      = 2 * time.Second
	lookEveryAlone = time.Minute
	// beatEvery is how often a job's owner says that it is there, abandoned after how long without a word another takes over.
	beatEvery = 3 * time.Second
	abandoned = 15 * time.Second
)

// Config says what a Runner works with.
type Config struct {
	Store  *queue.Store
	Logger *zap.Logger
	// Retention is how long a letter is kept after it was tried first; 0 keeps it for ever.
	Retention time.Duration
}

// Runner works on jobs. Its methods may be called from many goroutines.
type Runner struct {
	store *queue.Store
	log   *zap.Logger
	owner string // of this process
	ages  ages

	mu      sync.Mutex
	working map[uint64]bool
	wake    chan struct{}
}

// New makes a Runner; nothing happens before Run.
func New(cfg Config) *Runner {
	return &Runner{
		store: cfg.Store, log: cfg.Logger.Named("replay"), owner: rand.Text(), working: map[uint64]bool{}, wake: make(chan struct{}, 1),
		ages: ages{retention: cfg.Retention},
	}
}

// Run works on the jobs that are running and that no other process works on, until ctx ends.
func (r *Runner) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { r.keepAges(ctx) })
	pause := lookEvery
	if r.store.Alone() {
		pause = lookEveryAlone
	}
	for {
		if err := r.takeUp(ctx, &wg); err != nil && ctx.Err() == nil {
			r.log.Warn("the replays could not be looked at, trying again", zap.Error(err))
		}
		timer := time.NewTimer(pause)
		select {
		case <-r.wake:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// takeUp begins to work on what is running and has no owner.
func (r *Runner) takeUp(ctx context.Context, wg *sync.WaitGroup) error {
	list, err := r.jobs(ctx)
	if err != nil {
		return err
	}
	if err := r.tidyEdits(ctx, list); err != nil {
		return err
	}
	for _, j := range list {
		free := j.Owner == "" || j.Owner == r.owner || r.store.Alone() || time.Since(j.Beat) > abandoned
		if j.State != StateRunning || !free || !r.begin(j.ID) {
			continue
		}
		wg.Go(func() {
			defer r.signal() // it may have been stopped and continued before it was heard of here
			defer r.end(j.ID)
			r.work(ctx, j.ID)
		})
	}
	return nil
}

func (r *Runner) begin(id uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.working[id] {
		return false
	}
	r.working[id] = true
	return true
}

func (r *Runner) end(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.working, id)
}

func (r *Runner) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Start stores a job and begins it. j says what to do with which letters: Action, Actor, Reason, Edits and Filter or IDs.
// Error: ErrTooMany.
func (r *Runner) Start(ctx context.Context, j Job) (Report, error) {
	list, err := r.jobs(ctx)
	if err != nil {
		return Report{}, err
	}
	running := 0
	for _, other := range list {
		if other.State == StateRunning {
			running++
		}
	}
	if running >= maxRunning {
		return Report{}, fmt.Errorf("%w: %d; wait for one to end, or stop one", ErrTooMany, running)
	}
	if err := r.forgetOld(ctx, list); err != nil {
		return Report{}, err
	}
	if j.Until, err = r.store.LastLetter(ctx); err != nil {
		return Report{}, err
	}
	j.Created, j.State, j.Cursor = time.Now().UTC(), StateRunning, 1
	for j.ID = uint64(j.Created.UnixMilli()); ; j.ID++ {
		err := r.make(ctx, j)
		if err == nil {
			break
		}
		if !errors.Is(err, queue.ErrConflict) {
			return Report{}, err
		}
	}
	r.log.Info("replay begins", zap.String("replay", Name(j.ID)), zap.String("action", j.Action))
	r.signal()
	return j.report(nil), nil
}

// make stores a new job. Error: queue.ErrConflict if its id is taken.
func (r *Runner) make(ctx context.Context, j Job) error {
	if len(j.Edits) > 0 {
		if err := r.putEdits(ctx, &j); err != nil {
			return err
		}
	}
	_, err := r.save(ctx, &j, 0)
	return err
}

// forgetOld drops the oldest jobs that are not running, so that few are remembered.
func (r *Runner) forgetOld(ctx context.Context, list []Job) error {
	for _, j := range list[:max(0, len(list)-keptJobs+1)] {
		if j.State == StateRunning {
			continue
		}
		if err := errors.Join(r.store.EraseState(ctx, editsKey(j.ID)), r.store.DropState(ctx, key(j.ID))); err != nil {
			return err
		}
	}
	return nil
}

// Stop lets a running job end after the commands that are in the log already. Errors: ErrNoJob, ErrState.
func (r *Runner) Stop(ctx context.Context, id uint64) (Report, error) {
	return r.turn(ctx, id, StateRunning, StateStopped)
}

// Continue lets a stopped job go on. Errors: ErrNoJob, ErrState.
func (r *Runner) Continue(ctx context.Context, id uint64) (Report, error) {
	return r.turn(ctx, id, StateStopped, StateRunning)
}

func (r *Runner) turn(ctx context.Context, id uint64, from, to string) (Report, error) {
	for {
		j, rev, err := r.load(ctx, id)
		if err != nil {
			return Report{}, err
		}
		if j.State != from {
			return Report{}, fmt.Errorf("%w: it is %s", ErrState, j.State)
		}
		j.State, j.Owner = to, ""
		_, err = r.save(ctx, &j, rev)
		if errors.Is(err, queue.ErrConflict) {
			continue // its owner has saved progress meanwhile
		}
		if err != nil {
			return Report{}, err
		}
		r.log.Info("replay "+to, zap.String("replay", Name(id)))
		r.signal()
		return r.Report(ctx, id)
	}
}

// Report says how far a job is. Error: ErrNoJob.
func (r *Runner) Report(ctx context.Context, id uint64) (Report, error) {
	j, _, err := r.load(ctx, id)
	if err != nil {
		return Report{}, err
	}
	return r.reportOf(ctx, &j)
}

func (r *Runner) reportOf(ctx context.Context, j *Job) (Report, error) {
	results := j.Results
	if j.State != StateDone {
		var err error
		if results, err = r.store.JobResults(ctx, j.ID); err != nil {
			return Report{}, err
		}
	}
	return j.report(results), nil
}

// Reports are the jobs that are remembered, the oldest first.
func (r *Runner) Reports(ctx context.Context) ([]Report, error) {
	list, err := r.jobs(ctx)
	if err != nil {
		return nil, err
	}
	reports := make([]Report, len(list))
	for i := range list {
		if reports[i], err = r.reportOf(ctx, &list[i]); err != nil {
			return nil, err
		}
	}
	return reports, nil
}

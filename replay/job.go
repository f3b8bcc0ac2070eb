package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/queue"
)

// Actions of a job.
const (
	ActionReplay  = "replay"  // deliver the letters again
	ActionDiscard = "discard" // settle them without delivering them
)

// States of a job.
const (
	StateRunning = "running"
	StateStopped = "stopped" // goes on when it is resumed
	StateDone    = "done"
)

// Limits.
const (
	MaxIDs     = 5000 // letters named one by one
	maxRunning = 8    // jobs at a time
	keptJobs   = 30   // jobs remembered; less than the counters keep
)

// Errors of this package. Their texts say what to do.
var (
	ErrNoJob   = errors.New("no such replay")
	ErrTooMany = errors.New("too many replays run at the same time")
	ErrState   = errors.New("the replay is not in a state for this")
	errLost    = errors.New("the job is in other hands")
)

// Job is one replay, as it is stored.
type Job struct {
	ID      uint64             `json:"id"`
	Action  string             `json:"action"`
	Actor   string             `json:"actor"`
	Reason  string             `json:"reason,omitempty"` // of the discards
	Filter  queue.LetterFilter `json:"filter,omitzero"`
	IDs     []string           `json:"ids,omitempty"` // instead of a filter: those not commanded yet
	Edits   []queue.Edit       `json:"edits,omitempty"`
	Paths   []string           `json:"paths,omitempty"` // of the edits, once the job is stored: these lie apart
	Created time.Time          `json:"created"`
	Ended   time.Time          `json:"ended,omitzero"`
	State   string             `json:"state"`

	Selected int      `json:"selected"` // letters commanded so far
	Cursor   uint64   `json:"cursor"`   // first sequence in DEAD not looked at yet
	Until    uint64   `json:"until"`    // last one that belongs to the job: what fails later does not
	Waiting  []string `json:"waiting"`  // letters commanded and not seen settled
	Failed   int      `json:"failed"`   // of the settled ones, those seen to be dead again

	Results map[string]int64 `json:"results,omitempty"` // when it has ended

	Owner string    `json:"owner"`
	Beat  time.Time `json:"beat"`
}

// Report is a job as people are shown it.
type Report struct {
	ID       string         `json:"id"`
	Action   string         `json:"action"`
	Actor    string         `json:"actor"`
	State    string         `json:"state"`
	Created  time.Time      `json:"created"`
	Ended    time.Time      `json:"ended,omitzero"`
	Selected int            `json:"selected"`  // letters it has taken up; all of them once it is done
	Deliver  int            `json:"delivered"` // delivered
	Discard  int            `json:"discarded"` // discarded, by Reasons
	Dead     int            `json:"dead"`      // dead letters again, by Reasons
	Gone     int            `json:"gone"`      // settled by somebody else before their turn
	Waiting  int            `json:"waiting"`   // not settled yet
	Reasons  map[string]int `json:"reasons"`   // of discards and of those dead again, like "dead:invalid"
	Held     map[string]int `json:"held"`      // by field: values held back because the contact had newer ones
	Edited   []string       `json:"edited"`    // paths that were changed
}

// Name is a job's id as people type it.
func Name(id uint64) string { return strconv.FormatUint(id, 36) }

// ParseName is the inverse of Name. Error: ErrNoJob.
func ParseName(name string) (uint64, error) {
	id, err := strconv.ParseUint(name, 36, 64)
	if err != nil || id == 0 {
		return 0, ErrNoJob
	}
	return id, nil
}

// report adds the results up: selected = delivered + discarded + dead + gone + waiting.
func (j *Job) report(results map[string]int64) Report {
	r := Report{
		ID: Name(j.ID), Action: j.Action, Actor: j.Actor, State: j.State, Created: j.Created, Ended: j.Ended, Selected: j.Selected,
		Reasons: map[string]int{}, Held: map[string]int{}, Edited: []string{},
	}
	for result, n := range results {
		outcome, rest, _ := strings.Cut(result, ":")
		switch outcome {
		case queue.Delivered:
			r.Deliver += int(n)
		case queue.Discarded:
			r.Discard += int(n)
			r.Reasons[result] += int(n)
		case queue.Dead:
			r.Dead += int(n)
			r.Reasons[result] += int(n)
		case "held":
			r.Held[rest] += int(n)
		}
	}
	r.Edited = append(r.Edited, j.Paths...)
	for _, e := range j.Edits { // not stored yet, or by an earlier version
		r.Edited = append(r.Edited, e.Path)
	}
	open := max(0, j.Selected-r.Deliver-r.Discard-r.Dead)
	r.Waiting = min(open, len(j.Waiting))
	r.Gone = open - r.Waiting
	return r
}

func key(id uint64) string { return "replay." + strconv.FormatUint(id, 10) }

// load reads a job and its revision. Error: ErrNoJob.
func (r *Runner) load(ctx context.Context, id uint64) (Job, uint64, error) {
	data, rev, err := r.store.State(ctx, key(id))
	if err != nil {
		return Job{}, 0, err
	}
	if rev == 0 {
		return Job{}, 0, ErrNoJob
	}
	var j Job
	if err := json.Unmarshal(data, &j); err != nil {
		return Job{}, 0, fmt.Errorf("the replay %s is unreadable: %w", Name(id), err)
	}
	return j, rev, nil
}

// save stores a job over the revision rev. Error: queue.ErrConflict if somebody else has.
func (r *Runner) save(ctx context.Context, j *Job, rev uint64) (uint64, error) {
	data, err := json.Marshal(j)
	if err != nil {
		return 0, fmt.Errorf("encoding a replay: %w", err)
	}
	return r.store.PutState(ctx, key(j.ID), data, rev)
}

// jobs are all that are remembered, the oldest first.
func (r *Runner) jobs(ctx context.Context) ([]Job, error) {
	keys, err := r.store.StateKeys(ctx, "replay")
	if err != nil {
		return nil, err
	}
	var list []Job
	for _, k := range keys {
		id, err := strconv.ParseUint(strings.TrimPrefix(k, "replay."), 10, 64)
		if err != nil {
			continue
		}
		j, _, err := r.load(ctx, id)
		if errors.Is(err, ErrNoJob) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, j)
	}
	slices.SortFunc(list, func(a, b Job) int { return a.Created.Compare(b.Created) })
	return list, nil
}

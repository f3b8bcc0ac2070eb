package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/queue"
)

// The values of edits are people's, and a job is stored anew with every step; of what it replaces the broker leaves the bytes in its
// file. So the values lie apart, are written once, and are overwritten when the job ends. The job itself knows the paths.

// orphaned is how old values without a job must be to be nobody's: those of a job that is just being made come before it.
const orphaned = time.Hour

func editsKey(id uint64) string { return "edits." + strconv.FormatUint(id, 10) }

// putEdits stores a job's edits before the job. Error: queue.ErrConflict if the id is taken.
func (r *Runner) putEdits(ctx context.Context, j *Job) error {
	data, err := json.Marshal(j.Edits)
	if err != nil {
		return fmt.Errorf("encoding a replay's edits: %w", err)
	}
	if _, err := r.store.PutState(ctx, editsKey(j.ID), data, 0); err != nil {
		return err
	}
	for _, e := range j.Edits {
		j.Paths = append(j.Paths, e.Path)
	}
	j.Edits = nil
	return nil
}

// edits are a job's edits with their values.
func (r *Runner) edits(ctx context.Context, j *Job) (edits []queue.Edit, err error) {
	if len(j.Paths) == 0 {
		return j.Edits, nil // none, or those of an earlier version
	}
	data, rev, err := r.store.State(ctx, editsKey(j.ID))
	if err != nil {
		return nil, err
	}
	if rev == 0 || json.Unmarshal(data, &edits) != nil { // the text of the error may hold a value
		return nil, fmt.Errorf("the values that the replay %s changes are not there", Name(j.ID))
	}
	return edits, nil
}

// tidyEdits erases the values of jobs that have ended, or never began.
func (r *Runner) tidyEdits(ctx context.Context, list []Job) error {
	keys, err := r.store.StateKeys(ctx, "edits")
	if err != nil {
		return err
	}
	for _, k := range keys {
		id, err := strconv.ParseUint(strings.TrimPrefix(k, "edits."), 10, 64)
		if err != nil {
			continue
		}
		at := slices.IndexFunc(list, func(j Job) bool { return j.ID == id })
		if at >= 0 && list[at].State != StateDone || at < 0 && time.Since(time.UnixMilli(int64(id))) < orphaned {
			continue
		}
		if err := r.store.EraseState(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

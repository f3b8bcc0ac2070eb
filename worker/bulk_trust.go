package worker

import (
	"slices"
	"sync"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
)

const (
	// trustAfter is how many jobs in a row must have taken every contact before others are not asked for.
	trustAfter = 3
	// trustSkips is how many jobs are not asked for between two that are.
	trustSkips = 2
	// trustLost is how long every job is asked for after one that did not take a contact.
	trustLost = time.Hour
)

// trust saves the question after two jobs of three while all goes well: it would cost as much as the job. Only jobs are
// trusted whose every value has been stored before in a call of its own, so that nothing but a contact that is gone could
// be refused; and that is found out, and the contact made anew, with its next change. A trusted job is waited for until
// it cannot be at work any more, and asked for after all if by then another one did not take a contact, or calls are not
// short any more.
type trust struct {
	mu      sync.Mutex
	good    int // jobs in a row that took every contact
	skipped int // jobs in a row that were not asked for
	failed  time.Time
}

// skips says whether the next job need not be asked for.
func (t *trust) skips() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.skipped++; t.skipped > trustSkips || t.good < trustAfter || time.Since(t.failed) <= trustLost {
		t.skipped = 0
	}
	return t.skipped > 0
}

// asked notes what became of a job.
func (t *trust) asked(good bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.good++; !good {
		t.good, t.failed = 0, time.Now()
	}
}

func (t *trust) failedSince(at time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed.After(at)
}

// proven says whether the account has stored all of the bulk's values before, or ones like them.
func (f *flight) proven() bool {
	return !slices.ContainsFunc(f.turns, func(t *turn) bool {
		if g := t.lane.guess; g != nil && g.adopt {
			return true // its userId may be another contact's
		}
		return slices.ContainsFunc(t.rowFields(), func(c mapping.FieldChange) bool {
			unique := c.Name == "email" || c.Name == "mobile_number" // another contact may have it
			return unique || c.Value == nil || !t.p.custom.bulkable(t.p.catalogue, c)
		})
	})
}

// outwait waits for the end of a job that is not asked for. ok is false if it must be asked for after all, or we are stopping.
func (f *flight) outwait() (done freshmarketer.JobStatus, ok bool) {
	if !sleep(f.waitCtx, 2*f.b.part.pool.pace.first()) {
		return done, false
	}
	f.landed()
	if !sleep(f.waitCtx, time.Until(f.mark.At.Add(bulkUnclear))) || f.b.part.pool.trust.failedSince(f.mark.At) || !f.b.pressed() {
		return done, false
	}
	return freshmarketer.JobStatus{State: freshmarketer.JobDone, Succeeded: len(f.rows)}, true
}

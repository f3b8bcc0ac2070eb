package worker

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

const (
	// bulkUnclear is how long a job may still be at work that cannot be asked for: its POST was not answered, or nobody
	// answers for it. Only then may anything newer be written to its contacts.
	bulkUnclear = 2 * time.Minute
	// bulkBusy is how long to wait after a 405, which says that too many jobs are under way (seen in client code).
	bulkBusy = 5 * time.Second
	// bulkLongest is how long a job is asked for that does not end. No lane must wait for ever for one that hangs.
	bulkLongest = time.Hour
	// maxVain is after how many bulks that came to nothing a lane goes alone: an account may have no bulks, or broken ones.
	maxVain = 3
)

// flight is one bulk from its POST to the end of its job.
type flight struct {
	b                *bulks
	waitCtx, callCtx context.Context //nolint:containedctx // a flight is one job's worth of state
	slot             int
	pass             *pass
	turns            []*turn
	rows             []freshmarketer.BulkRow
	mark             mark
	calls            []queue.JournalCall
	alone            bool      // it is about finding something out
	landed           func()    // makes room for another job; may be called twice
	until            time.Time // when no job is at work any more that its changes may be in already
	halving          *halving  // nil: nothing was halved
}

func newFlight(waitCtx, callCtx context.Context, b *bulks, slot int, pass *pass, turns []*turn) *flight {
	f := &flight{b: b, waitCtx: waitCtx, callCtx: callCtx, slot: slot, pass: pass, turns: turns, landed: sync.OnceFunc(func() { <-b.work })}
	for _, t := range turns {
		f.rows = append(f.rows, t.row())
	}
	return f
}

// run sends the bulk and ends with every lane settled, given back or, on stopping, let go.
func (f *flight) run() {
	defer f.releaseClaims()
	job, err := f.post()
	if api := apiError(err); api != nil && troubled(api.Kind) && f.halving == nil {
		// Nobody says whose trouble it is, and no other call may be under way that would: without asking, an outage is taken
		// for a bulk's own trouble until changes go one by one.
		f.b.part.pool.gate.verify(f.waitCtx, f.callCtx)
	}
	switch {
	case err == nil:
		f.went(true)
		status, certain := f.follow(job)
		f.landed()
		f.conclude(status, certain)
	case f.waitCtx.Err() != nil:
	case unclear(err):
		f.ended(metrics.BulkUnclear)
		f.went(false)
		f.halve()
	default:
		if !errors.Is(err, errHeld) { // else it was never sent
			f.ended(metrics.BulkRefused)
		}
		f.clear()
		f.landed()
		if sleep(f.waitCtx, time.Until(f.until)) {
			f.refusedWhole(err)
		}
	}
}

func (f *flight) ended(outcome string) {
	f.b.part.pool.cfg.Metrics.BulkEnded(outcome, len(f.turns))
}

// unclear says whether a POST may have made a job all the same.
func unclear(err error) bool {
	api := apiError(err)
	return api != nil && (api.MayHaveEffect() || api.Kind == freshmarketer.KindUnknown && !api.Unsent)
}

// refusedWhole gives the lanes back after a POST that has surely made no job. What is the account's trouble holds
// everything anyway; what is not is found out one by one.
func (f *flight) refusedWhole(err error) {
	switch kind := freshmarketer.KindOf(err); {
	case kind == freshmarketer.KindThrottled && apiError(err).Status == http.StatusMethodNotAllowed:
		sleep(f.waitCtx, bulkBusy)
		f.vain()
	case errors.Is(err, errHeld), kind == freshmarketer.KindThrottled, kind == freshmarketer.KindAuth:
		f.giveBack(false)
	default:
		f.b.log.Warn("a bulk was refused as a whole, sending its changes one by one", zap.String("kind", string(kind)), zap.Int("contacts", len(f.turns)))
		f.giveBack(true)
	}
}

// releaseClaims comes before the lanes go on. It may be called twice.
func (f *flight) releaseClaims() {
	for _, t := range f.turns {
		t.releaseClaims()
	}
}

func (f *flight) giveBack(alone bool) {
	f.releaseClaims()
	for _, t := range f.turns {
		if alone {
			t.goAlone()
		}
		t.part.backlog.giveBack(t.lane)
	}
}

// goAlone keeps the lane's next change out of bulks, until a hold has ended: bulks that fail are how an outage of writes begins, and
// with all that failed in it alone it would end with thousands of calls.
func (t *turn) goAlone() {
	t.lane.alone, t.lane.lapses = true, t.p.gate.openings()+1
}

// isAlone says whether the lane's next change is to stay out of bulks.
func (t *turn) isAlone() bool {
	l := t.lane
	if l.lapses > 0 && t.p.gate.openings() >= l.lapses {
		l.alone, l.vain, l.lapses = false, 0, 0
	}
	return l.alone
}

// vain gives the lanes back to go in another bulk, but not in one after the other for ever.
func (f *flight) vain() {
	for _, t := range f.turns {
		if t.lane.vain++; t.lane.vain >= maxVain {
			t.goAlone()
		}
	}
	f.giveBack(false)
}

// post hands the bulk over. It is marked before and after, so that whoever follows us after a crash knows of the job.
func (f *flight) post() (job string, err error) {
	defer f.pass.leave()
	if err := f.b.part.log.Hold(f.waitCtx, f.b.part.pool.cfg.Client.Timeout()); err != nil {
		return "", err
	}
	if err := f.write(mark{At: time.Now().UTC(), Contacts: len(f.rows)}); err != nil {
		return "", err
	}
	if err := f.pass.admit(); err != nil {
		return "", err
	}
	failpoint.Hit(failpoint.EffectBefore)
	began := time.Now()
	taken, err := f.b.part.pool.cfg.Client.BulkUpsert(freshmarketer.Guarded(f.callCtx, f.b.part.log.Held), f.rows)
	failpoint.Hit(failpoint.EffectAfter)
	told := err
	if api := apiError(err); api != nil && api.Kind == freshmarketer.KindThrottled && api.Status == http.StatusMethodNotAllowed {
		told = nil // it says nothing about the quota of other calls
	}
	f.pass.report("", told)
	f.note(freshmarketer.OpBulkUpsert, began, err)
	f.b.part.pool.effort.add(1, 0)
	if err == nil || unclear(err) {
		for _, t := range f.turns {
			t.lane.wrote(len(t.items))
		}
	}
	if err != nil {
		return "", err
	}
	f.mark.Job = taken.ID
	if err := f.write(f.mark); err != nil { // then a crash costs those who follow the longer wait
		f.b.log.Warn("a bulk job could not be noted", zap.Error(err))
	}
	return taken.ID, nil
}

func (f *flight) note(op string, began time.Time, err error) {
	status := http.StatusOK
	if api := apiError(err); api != nil {
		status = api.Status
	}
	f.calls = append(f.calls, journalCall(op, began, status, err))
}

// follow asks for the job until it has ended, sparingly: each question is a call. certain is false if nobody can tell what
// became of each row; then it returns only when the job cannot be at work any more, or when we are stopping.
func (f *flight) follow(job string) (status freshmarketer.JobStatus, certain bool) {
	pace, trust := &f.b.part.pool.pace, &f.b.part.pool.trust
	wait, late := pace.first(), false
	if !f.alone && f.proven() && trust.skips() {
		if done, ok := f.outwait(); ok {
			return done, true
		}
		wait, late = 0, true
	}
	for ; ; wait = pace.next(time.Since(f.mark.At)) {
		if !sleep(f.waitCtx, wait) {
			return status, false
		}
		began := time.Now()
		status, err := f.b.ask(f.waitCtx, f.callCtx, job, f.rows)
		f.note(freshmarketer.OpJobStatus, began, err)
		switch {
		case err == nil && (status.State == freshmarketer.JobDone || status.State == freshmarketer.JobFailed):
			if !late && time.Since(began) < paceStart { // else it may have ended long before: the question waited for calls
				pace.took(time.Since(f.mark.At))
			}
			trust.asked(status.Certain() && status.Failed == 0)
			if status.Certain() {
				return status, true
			}
			sleep(f.waitCtx, time.Until(f.mark.At.Add(bulkUnclear)))
			return status, false
		case untold(err) && freshmarketer.KindOf(err) != freshmarketer.KindMisrouted, // a page of maintenance goes again, as a 503 does
			(err == nil || apiError(err) != nil) && time.Since(f.mark.At) > bulkLongest:
			f.b.log.Warn("nobody tells what became of a bulk's job, sending its changes one by one", zap.String("job", job),
				zap.String("kind", string(freshmarketer.KindOf(err))), zap.Int("contacts", len(f.turns)))
			sleep(f.waitCtx, time.Until(f.mark.At.Add(bulkUnclear)))
			return status, false
		}
	}
}

// untold says that the API does not answer for a job, and would not the next time: it knows of none, or not for us.
// An operator who mends the key meanwhile is not waited for; the changes themselves are held with everything else.
func untold(err error) bool {
	switch freshmarketer.KindOf(err) {
	case freshmarketer.KindGone, freshmarketer.KindPermission, freshmarketer.KindInvalid, freshmarketer.KindConflict, freshmarketer.KindMisrouted:
		return true
	}
	return false
}

// ask asks for a job once.
func (b *bulks) ask(waitCtx, callCtx context.Context, job string, rows []freshmarketer.BulkRow) (freshmarketer.JobStatus, error) {
	pass, _, err := b.part.pool.gate.enter(waitCtx, classSystem, 1)
	if err != nil {
		return freshmarketer.JobStatus{}, err
	}
	defer pass.leave()
	defer func() { b.part.pool.effort.add(1, 0) }()
	if err := pass.admit(); err != nil {
		return freshmarketer.JobStatus{}, err
	}
	status, err := b.part.pool.cfg.Client.JobStatus(callCtx, job, rows)
	told := err
	if freshmarketer.KindOf(err) == freshmarketer.KindGone {
		told = nil
	}
	pass.reportRead("", told)
	return status, err
}

// conclude settles what the job has done, and lets the others go one by one for their real error.
func (f *flight) conclude(status freshmarketer.JobStatus, certain bool) {
	if f.waitCtx.Err() != nil && !certain {
		return // the mark stays: whoever comes next follows the job
	}
	f.clear()
	sleep(f.waitCtx, time.Until(f.until)) // a settlement of what is certain does no harm when we are stopping
	if f.waitCtx.Err() != nil && !certain {
		return
	}
	f.releaseClaims()
	failed := map[int]bool{}
	for _, row := range status.Failures {
		failed[row.Row] = true
	}
	if !certain || len(failed) > 0 {
		f.b.log.Info("not all of a bulk was taken", zap.Int("contacts", len(f.turns)), zap.Int("failed", status.Failed), zap.Bool("told", certain))
	}
	outcome := metrics.BulkDone
	if !certain || len(failed) > 0 {
		outcome = metrics.BulkPartly
	}
	f.ended(outcome)
	for i, t := range f.turns {
		t.api = append(t.api, f.calls...)
		if certain && !failed[i] {
			t.attempted(metrics.WayBulk, metrics.AttemptDone, nil, 0)
			t.delivered()
		} else {
			t.attempted(metrics.WayBulk, metrics.AttemptChanged, nil, 0)
			t.aside()
		}
	}
}

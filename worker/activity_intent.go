package worker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

const (
	// lookupAfter is how long after a call without a clear answer the account is asked: a request that timed out can still
	// land for a while.
	lookupAfter = 2 * time.Minute
	// lookupPages is how many pages of the account's activities are read at most: the first and the last, because the order
	// of the list is not documented.
	lookupPages = 4
)

// intend commits that the call at a position is about to be made. It waits: without the commitment nothing may happen.
func (t *turn) intend(position uint64) error {
	record := t.lane.record.Clone()
	record.Intent = &mapping.Intent{Pos: position, At: time.Now().Unix(), As: t.p.cfg.Activities.As, Contact: t.target}
	if err := t.keep(record, nil, nil); err != nil {
		return err
	}
	t.lane.sure = true
	return nil
}

// keep commits the lane's record, and letters that go, between two settlements, and waits for it.
func (t *turn) keep(record mapping.Record, tally queue.Tally, gone []string) error {
	data, err := record.Encode()
	if err != nil {
		return err
	}
	type answer struct {
		rev uint64
		err error
	}
	done := make(chan answer, 1)
	t.part.log.Commit(&queue.Settlement{
		User: t.lane.user, Record: data, Rev: t.lane.rev, Tally: tally, Gone: gone,
		Done: func(rev uint64, err error) { done <- answer{rev, err} },
	})
	select {
	case a := <-done:
		if a.err != nil {
			return a.err
		}
		t.lane.record, t.lane.rev = record, a.rev
		return nil
	case <-t.callCtx.Done(): // the pool stops, so nobody takes the lane again
		return errStopping
	}
}

// unclear is the intent of the lane's next call if nobody knows whether it was made, else nil. One of another call may be there,
// too: of one that was discarded meanwhile, because of the mode.
func (t *turn) unclear() *mapping.Intent {
	open := t.lane.record.Intent
	if open == nil || open.Pos != t.calls[0].position || t.lane.sure {
		return nil
	}
	return open
}

// findOut finds out what became of a call that was begun and whose outcome nobody knows: because of a crash, or because there was
// no clear answer. What cannot be found out is set aside; nothing is sent on a guess.
func (t *turn) findOut(open *mapping.Intent) (again bool, _ error) {
	t.leave()
	t.target = open.Contact
	if open.As == mapping.AsEvent { // nothing tells of events that were recorded
		return false, t.giveUp(nil)
	}
	if wait := time.Until(time.Unix(open.At, 0).Add(cmp.Or(failpoint.Lookup(), lookupAfter))); wait > 0 {
		t.part.backlog.shelve(t.lane, time.Now().Add(wait))
		return false, nil
	}
	found, complete, err := t.lookUp(markerOf(t.lane.user, open.Pos))
	api := new(freshmarketer.Error)
	switch {
	case errors.Is(err, errHeld):
		return true, nil
	case errors.As(err, &api):
		return t.notLookedUp(api)
	case err != nil:
		return false, err
	case found:
		return false, t.accomplished()
	case !complete:
		return false, t.giveUp(nil)
	}
	t.lane.sure = true
	return t.notRecorded()
}

// notRecorded acts on a call that failed and surely had no effect. It is made again for as long as anything is.
func (t *turn) notRecorded() (again bool, _ error) {
	l, gate := t.lane, t.p.gate
	l.failed(t.p.cfg.Retry, gate.idleFor())
	if l.age(gate.idleFor()) < t.p.cfg.Retry.MaxAge {
		return true, nil // the look-up came two minutes later: that was the pause
	}
	t.leave()
	if !gate.verify(t.waitCtx, t.callCtx) {
		t.part.backlog.giveBack(l)
		return false, nil
	}
	failure := &freshmarketer.Error{
		Op: freshmarketer.OpCreateActivity, Kind: freshmarketer.KindTemporary, Text: "it was tried again and again, and never recorded",
	}
	t.attempted(metrics.WaySingle, metrics.AttemptSetAside, failure, 0)
	return false, t.setAside(failure, ReasonExhausted)
}

// notLookedUp acts on a look-up that failed: it may be repeated for as long as anything.
func (t *turn) notLookedUp(api *freshmarketer.Error) (again bool, _ error) {
	f := Failure{Kind: api.Kind, Counts: t.counts, Merged: 1, Probed: true, Age: t.lane.age(t.p.gate.idleFor())}
	switch Decide(f, t.p.cfg.Retry) {
	case ActionHold:
		t.part.backlog.giveBack(t.lane)
	case ActionSetAside:
		return false, t.giveUp(api)
	default:
		t.later(api)
	}
	return false, nil
}

// giveUp sets the call aside for somebody who can look.
func (t *turn) giveUp(failure *freshmarketer.Error) error {
	if failure == nil {
		op := freshmarketer.OpCreateActivity
		if t.lane.record.Intent.As == mapping.AsEvent {
			op = freshmarketer.OpSendEvent
		}
		failure = &freshmarketer.Error{
			Op: op, Kind: freshmarketer.KindUnknown,
			Text: "it may have been recorded: look at the contact in Freshmarketer; replay it if it is not there, discard it if it is",
		}
		if open := t.unclear(); open != nil && open.As == mapping.AsEvent {
			failure.Op = freshmarketer.OpSendEvent
		}
	}
	return t.setAside(failure, ReasonUnknownOutcome)
}

// lookUp looks for an activity by its marker. complete says that all activities of the account were looked at.
func (t *turn) lookUp(marker string) (found, complete bool, err error) {
	if t.pass, _, err = t.p.gate.enter(t.waitCtx, classActivity, max(1, t.more)); err != nil {
		return false, false, err
	}
	pages, read := 1, 0
	for page := 1; page > 0 && !found && err == nil; page = nextPage(pages, read) {
		err = t.ask(freshmarketer.OpListActivities, func(ctx context.Context) error {
			list, n, err := t.p.cfg.Client.ListActivities(ctx, page)
			for _, a := range list {
				found = found || strings.Contains(a.Notes, marker)
			}
			pages = max(pages, n)
			return err
		})
		read++
	}
	t.p.log.Info("an activity without a clear answer was looked for", zap.String("lane", t.lane.user), zap.Bool("found", found), zap.Int("pages", pages), zap.Error(err))
	return found, pages <= lookupPages, err
}

// nextPage is the page to be read after so many, 0 for none: all if they are few, or else the last and those next to either end.
func nextPage(pages, read int) int {
	order := []int{1, pages, 2, pages - 1}
	if pages <= lookupPages {
		order = []int{1, 2, 3, 4}[:pages]
	}
	if read >= len(order) {
		return 0
	}
	return order[read]
}

// markerOf names an activity for whoever looks for it: it says nothing about the user to anybody else.
func markerOf(user string, position uint64) string {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(user), position))
	return "freshrelay-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// withMarker ends the notes with the marker, on a line of its own.
func withMarker(notes, marker string) string {
	if notes == "" {
		return marker
	}
	return notes + "\n" + marker
}

package worker

import (
	"context"
	"errors"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/queue"
)

// An unknown user's contact is found with three or four calls. When very many unknown users wait and many of them turn
// out to have a contact, it is cheaper to read all of the account's contacts once, 100 a call, into an index: the backfill.
// Meanwhile unknown users wait. Afterwards those whom the index knows go in bulks like known ones; the others are made, or
// found, one by one as ever. What the index says is never more than a guess: see guess.

const (
	// backfillFrom is from how many waiting users on a backfill is thought of.
	backfillFrom = 300
	// backfillSaves is how many calls a user's contact costs less who is found in the index, about.
	backfillSaves = 3
	// backfillMargin is how much more than the pages cost must be saved: what is known of both is an estimate.
	backfillMargin = 2
	// backfillIdle is how long an index is kept that nobody needs.
	backfillIdle = time.Hour
	// backfillTick is how often leases are renewed, and what other processes do is looked at.
	backfillTick = 10 * time.Second
	backfillWait = time.Hour // until somebody wakes us, if no other process can
	// lately is of how many users or contacts shares are estimated.
	lately = 256
)

// backfill decides when there is one, and lets lanes wait for it.
type backfill struct {
	*library

	hashes  hashes
	client  *freshmarketer.Client
	gate    *gate
	effort  *effort
	owner   string
	alone   bool           // no other process has the store open
	existed func() float64 // which part of unknown users turned out to have a contact
	ready   func() int     // lanes that are ready
	wake    chan struct{}  // capacity 1: step is to be called

	// Guarded by the library's mu.
	busy    string                     // what lanes wait for; "": nothing
	waiting []func()                   // gives a lane back
	seen    struct{ all, unknown int } // users lately
	expect  int                        // pages of changes that the next check takes, about
	failed  int                        // checks that failed in a row
	late    bool                       // more has changed than a check can read
	broken  *giveUp                    // what a check has found out about the account
	rate    struct {                   // of reading
		from time.Time
		page int
	}
}

func newBackfill(p *Pool, store *queue.Store, owner string) *backfill {
	return &backfill{
		library: newLibrary(store, p.log), hashes: hashes{store.User}, client: p.cfg.Client, gate: p.gate, effort: &p.effort, owner: owner, alone: store.Alone(),
		existed: p.identity.share, ready: p.users.ready, wake: make(chan struct{}, 1), expect: 1,
	}
}

// pays says whether reading so many pages costs less than it saves. 0: it is not known yet how many.
func (b *backfill) pays(pages int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.paysLocked(pages)
}

func (b *backfill) paysLocked(pages int) bool {
	if b.seen.all == 0 {
		return false
	}
	users := float64(len(b.waiting)) + float64(b.ready())*float64(b.seen.unknown)/float64(b.seen.all)
	return users >= backfillFrom && b.gate.bulkPays(int(users)) && users*b.existed()*backfillSaves > float64(backfillMargin*max(pages, minChanges/2))
}

// saw counts users and those of them of whom no contact is known.
func (b *backfill) saw(unknown bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen.all++; unknown {
		b.seen.unknown++
	}
	if b.seen.all > lately {
		b.seen.all, b.seen.unknown = b.seen.all/2, b.seen.unknown/2
	}
}

// consult lets the lane of an unknown user wait for a backfill, or notes what the index knows of it.
func (b *backfill) consult(t *turn) (waits bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy == "" && !b.book.active() && !time.Now().Before(b.book.NotUntil) && b.paysLocked(0) {
		b.busy = "about to begin"
		signal(b.wake)
	}
	if b.busy != "" {
		b.waiting = append(b.waiting, func() { t.part.backlog.giveBack(t.lane) })
		return true
	}
	if t.lane.guess == nil && b.book.active() && b.book.Done {
		t.guess(b.index, b.hashes)
	}
	return false
}

// usable says whether guesses may be written in bulks.
func (b *backfill) usable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.busy == "" && b.book.active() && b.book.Done
}

// wanted is how many calls a check is likely to take.
func (b *backfill) wanted() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.expect
}

// behind notes that there is more to catch up with than a bulk's calls suffice for.
func (b *backfill) behind(pages int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.late, b.busy, b.expect = true, "catching up", pages+1
	signal(b.wake)
}

func (b *backfill) upToDate(pages int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.late, b.failed, b.expect = false, 0, min(pages+1, minChanges)
}

// failing notes that a check has failed. Without checks the index must not be relied on.
func (b *backfill) failing(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	give, given := errors.AsType[giveUp](err)
	switch {
	case given:
	case untold(err):
		give = giveUp{endedRefused, retryRefused}
	case apiError(err) == nil, freshmarketer.KindOf(err) == freshmarketer.KindCanceled:
		return err
	default:
		if b.failed++; b.failed < maxChecks {
			return err
		}
		give = giveUp{endedFailing, retryEnded}
	}
	b.broken, b.busy = &give, "about to end"
	signal(b.wake)
	return err
}

// run reads, catches up and ends as it is needed, until waitCtx ends.
func (b *backfill) run(waitCtx, callCtx context.Context) {
	if err := b.sync(callCtx); err != nil && waitCtx.Err() == nil {
		b.log.Warn("what is known of a backfill could not be read", zap.Error(err))
	}
	b.mu.Lock()
	if b.alone {
		b.book.Checked = 0 // what an earlier run was about to adopt is not in STATE
	}
	if b.book.active() {
		signal(b.wake)
	}
	b.mu.Unlock()
	for waitCtx.Err() == nil {
		pause := backfillTick
		if b.alone && !b.now().active() {
			pause = backfillWait
		}
		timer := time.NewTimer(pause)
		select {
		case <-b.wake:
		case <-timer.C:
		case <-waitCtx.Done():
		}
		timer.Stop()
		if waitCtx.Err() == nil {
			b.step(waitCtx, callCtx)
		}
	}
}

// step does what is to be done, and lets the lanes go that wait for it.
func (b *backfill) step(waitCtx, callCtx context.Context) {
	if !b.alone {
		if err := b.sync(callCtx); err != nil {
			b.log.Warn("what is known of a backfill could not be read", zap.Error(err))
		}
	}
	b.mu.Lock()
	wanted, late, broken, active, done := b.busy != "", b.late, b.broken, b.book.active(), b.book.Done
	b.mu.Unlock()
	var err error
	switch {
	case active && broken != nil:
		err = *broken
	case active && !done || !active && wanted && broken == nil && !late:
		b.set("reading the account's contacts")
		if err = b.reading(waitCtx, callCtx); err == nil {
			err = b.catchUp(waitCtx, callCtx)
		}
	case active && late:
		err = b.catchUp(waitCtx, callCtx)
	case active:
		err = b.outlived(callCtx)
	}
	if waitCtx.Err() != nil {
		return // lanes that wait are read again
	}
	if give, ok := errors.AsType[giveUp](noRoom(err)); ok {
		if err = b.end(callCtx, give); err != nil || !time.Now().Before(b.now().NotUntil) { // or there was no room to begin
			b.abandon(give) // here at least: nobody must wait for it
		}
	}
	if err != nil && !errors.Is(err, errNotOurs) {
		b.log.Warn("a backfill is interrupted", zap.Error(err))
	}
	if book := b.now(); book.active() && (!book.Done || err != nil) { // another process reads, or the store has trouble
		b.set("reading the account's contacts")
		return
	}
	b.let()
}

// reading is read, with the lease renewed meanwhile.
func (b *backfill) reading(waitCtx, callCtx context.Context) error {
	ctx, stop := context.WithCancelCause(waitCtx)
	defer stop(errStopping)
	b.mu.Lock()
	b.rate.from, b.rate.page = time.Now(), b.book.Page
	b.mu.Unlock()
	ended := make(chan struct{})
	defer func() { <-ended }()
	go func() {
		defer close(ended)
		for sleep(ctx, backfillTick) {
			book := b.now()
			if !book.active() || book.Done || book.Owner != b.owner {
				continue
			}
			if err := b.own(callCtx, book.Run, func(*backfillBook) []indexed { return nil }); errors.Is(err, errNotOurs) {
				return
			}
		}
	}()
	err := b.read(ctx, callCtx)
	stop(errStopping)
	return err
}

// outlived ends an index that nobody needs any more.
func (b *backfill) outlived(ctx context.Context) error {
	now, err := b.store.Clock(ctx)
	if err == nil && now.UnixMilli()-b.now().Checked > backfillIdle.Milliseconds() {
		return giveUp{endedUnused, retryEnded}
	}
	return err
}

// end gives the index up.
func (b *backfill) end(ctx context.Context, why giveUp) error {
	b.log.Info("a backfill has ended", zap.String("reason", why.why))
	ended := func(book *backfillBook, _ *contactIndex) ([]indexed, error) {
		if !book.active() {
			return nil, errNoChange
		}
		book.Ended, book.NotUntil, book.Parts = why.why, time.Now().Add(why.pause).UTC(), nil
		return nil, nil
	}
	err := b.change(ctx, ended)
	if errors.Is(err, queue.ErrFull) { // not even this finds room: the parts make some
		if err = b.clear(ctx); err == nil {
			err = b.change(ctx, ended)
		}
	}
	if err != nil {
		return err
	}
	return b.sweep(ctx)
}

// abandon gives the index up in this process alone, until STATE can be written.
func (b *backfill) abandon(why giveUp) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.book.Ended, b.book.NotUntil, b.index = why.why, time.Now().Add(why.pause).UTC(), &contactIndex{}
}

func (b *backfill) set(busy string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = busy
}

// let lets the lanes go that wait.
func (b *backfill) let() {
	b.mu.Lock()
	waiting := b.waiting
	b.busy, b.waiting, b.late, b.broken, b.failed = "", nil, false, nil, 0
	b.mu.Unlock()
	for _, giveBack := range waiting {
		giveBack()
	}
}

// Backfill is how the reading of the account's contacts stands.
type Backfill struct {
	Reading  bool // false: it is done, and the index in use
	Pages    int  // read, of about Of
	Of       int
	Calls    int // made so far, those that keep the index up to date too
	Contacts int // read
	Waiting  int // users who wait for it in this process
	Began    time.Time
	Left     time.Duration // until all pages are read, about; 0: it is done, or nobody can tell
}

// status is nil while there is no backfill.
func (b *backfill) status() *Backfill {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.book
	if !k.active() {
		return nil
	}
	s := &Backfill{Reading: !k.Done, Pages: k.Page, Of: k.Of, Calls: k.Calls, Contacts: k.Contacts, Waiting: len(b.waiting), Began: k.Began}
	if read := k.Page - b.rate.page; s.Reading && read > 0 && !b.rate.from.IsZero() {
		s.Left = time.Since(b.rate.from) / time.Duration(read) * time.Duration(max(0, k.Of-k.Page))
	}
	return s
}

func contactNumber(id string) int64 {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

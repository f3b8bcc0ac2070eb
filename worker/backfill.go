package worker

import (
	"context"
	"errors"
	"strconv"
	"time"

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
func (b *backfill) failing(waitCtx, callCtx context.Context, err error) error {
	give, given := errors.AsType[giveUp](err)
	if !given && (apiError(err) == nil || b.notOurs(waitCtx, callCtx, err)) {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case given:
	case untold(err):
		give = giveUp{endedRefused, retryRefused}
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

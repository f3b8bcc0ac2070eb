package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/queue"
)

const (
	// backfillLease is how long nobody else reads after a process was last heard of.
	backfillLease = time.Minute
	// pagesAtOnce is how many pages are read with one leave, and stored in one part: a crash costs no more.
	pagesAtOnce = 10
	// maxIndexed bounds the contacts of an index, and so its memory: 72 bytes each.
	maxIndexed = 1_000_000
	// maxPageFailures is after how many failures in a row the pages are given up.
	maxPageFailures = 8
	// retryRefused, retryWorth and retryEnded are how long no other run is begun: after the account refused one, after one
	// that would not have paid or found no room, and after one that has ended.
	retryRefused = 24 * time.Hour
	retryWorth   = 30 * time.Minute
	retryEnded   = 10 * time.Minute
)

// giveUp ends a run.
type giveUp struct {
	why   string
	pause time.Duration
}

func (g giveUp) Error() string { return g.why }

// noRoom is err, or that a run is to be ended because STATE is full.
func noRoom(err error) error {
	if errors.Is(err, queue.ErrFull) {
		return giveUp{endedRoom, retryWorth}
	}
	return err
}

// read begins a run, or goes on with one that nobody reads, and reads the account's contacts to the end.
func (b *backfill) read(waitCtx, callCtx context.Context) error {
	run, err := b.take(callCtx)
	if err != nil {
		return err
	}
	if book := b.now(); book.View == "" {
		if err := b.survey(waitCtx, callCtx, run); err != nil {
			return err
		}
	}
	for failures := 0; !b.now().Done; {
		err := b.pages(waitCtx, callCtx, run)
		switch {
		case err == nil, errors.Is(err, errHeld):
			failures = 0
		case apiError(err) == nil:
			return err
		case b.notOurs(waitCtx, callCtx, err):
			if waitCtx.Err() != nil {
				return context.Cause(waitCtx)
			}
		case untold(err):
			return giveUp{endedRefused, retryRefused}
		default:
			if failures++; failures >= maxPageFailures {
				return giveUp{endedFailing, retryEnded}
			}
			if !sleep(waitCtx, min(time.Second<<failures, backfillLease)) {
				return context.Cause(waitCtx)
			}
		}
	}
	return nil
}

// take makes this process the one that reads.
func (b *backfill) take(ctx context.Context) (run string, err error) {
	now, err := b.store.Clock(ctx)
	if err != nil {
		return "", err
	}
	err = b.change(ctx, func(book *backfillBook, _ *contactIndex) ([]indexed, error) {
		switch {
		case !book.active() && time.Now().Before(book.NotUntil):
			return nil, errNotOurs
		case !book.active():
			*book = backfillBook{Run: rand.Text()[:10], Began: time.Now().UTC()}
		case book.Done || book.Owner != b.owner && book.Until > now.UnixMilli() && !b.alone:
			return nil, errNotOurs
		}
		book.Owner, book.Until = b.owner, now.Add(backfillLease).UnixMilli()
		run = book.Run
		return nil, nil
	})
	return run, err
}

// own changes the book of a run that this process reads, and renews its lease.
func (b *backfill) own(ctx context.Context, run string, do func(book *backfillBook) []indexed) error {
	now, err := b.store.Clock(ctx)
	if err != nil {
		return err
	}
	return b.change(ctx, func(book *backfillBook, _ *contactIndex) ([]indexed, error) {
		if book.Run != run || !book.active() || book.Done || book.Owner != b.owner {
			return nil, errNotOurs
		}
		book.Until = now.Add(backfillLease).UnixMilli()
		return do(book), nil
	})
}

// survey finds the view of all contacts, how many there are, and whether it pays to read them.
func (b *backfill) survey(waitCtx, callCtx context.Context, run string) error {
	var all freshmarketer.View
	var first freshmarketer.Page
	for failures := 0; ; {
		err := b.calls(waitCtx, 2, func(call func(func() error) error) error {
			var views []freshmarketer.View
			err := call(func() (err error) { views, err = b.client.ContactViews(callCtx); return err })
			if err != nil {
				return err
			}
			var ok bool
			if all, ok = freshmarketer.FindView(views, freshmarketer.AllContacts); !ok {
				b.log.Warn("the account has no view of that name, so contacts are looked for one by one", zap.String("view", freshmarketer.AllContacts))
				return giveUp{endedRefused, retryRefused}
			}
			return call(func() (err error) {
				first, err = b.client.ViewContacts(callCtx, all.ID, freshmarketer.PageQuery{Sort: "updated_at", Desc: true})
				return err
			})
		})
		if err == nil {
			break
		}
		switch failures++; {
		case errors.Is(err, errHeld):
			failures = 0
		case apiError(err) == nil:
			return err
		case b.notOurs(waitCtx, callCtx, err):
			failures = 0
		case untold(err):
			return giveUp{endedRefused, retryRefused}
		case failures >= maxPageFailures:
			return giveUp{endedFailing, retryEnded}
		}
		if !sleep(waitCtx, min(time.Second<<failures, backfillLease)) {
			return context.Cause(waitCtx)
		}
	}
	newest, ok := lastChange(first.Contacts)
	switch {
	case len(first.Contacts) > 0 && !ok:
		return giveUp{endedUnsorted, retryRefused}
	case first.Total > maxIndexed:
		return giveUp{endedTooMany, retryRefused}
	case !b.pays(first.TotalPages):
		return giveUp{endedWorth, retryWorth}
	}
	if err := b.fits(callCtx, first.Total); err != nil {
		return err // before the pages are paid for
	}
	b.log.Info("reading the account's contacts: that takes fewer calls than to look for each of many users", zap.Int("pages", first.TotalPages), zap.Int("contacts", first.Total))
	return b.own(callCtx, run, func(book *backfillBook) []indexed {
		book.View, book.Of, book.Newest = all.ID, first.TotalPages, newest
		book.Calls += 2
		return nil
	})
}

// pages reads the next few pages. They are sorted by created_at: contacts that are made meanwhile come last, and one that
// slips to an earlier page because another is deleted is merely not found in the index.
func (b *backfill) pages(waitCtx, callCtx context.Context, run string) error {
	book := b.now()
	var list []indexed
	read, of, calls, done := 0, book.Of, 0, false
	err := b.calls(waitCtx, min(pagesAtOnce, max(1, book.Of-book.Page)), func(call func(func() error) error) error {
		for read < pagesAtOnce && !done {
			var page freshmarketer.Page
			err := call(func() (err error) {
				calls++
				page, err = b.client.ViewContacts(callCtx, book.View, freshmarketer.PageQuery{Page: book.Page + read + 1, Sort: "created_at"})
				return err
			})
			if err != nil {
				return err
			}
			if len(page.Contacts) > 0 {
				read++
				of = page.TotalPages
			}
			done = len(page.Contacts) == 0 || book.Page+read >= of
			for _, c := range page.Contacts {
				if e, ok := b.hashes.indexed(c); ok {
					list = append(list, e)
				}
			}
		}
		return nil
	})
	if calls == 0 {
		return err
	}
	done = done || (book.Page+read)*freshmarketer.MaxPerPage > 2*maxIndexed // whatever the account says about its pages
	stored := b.own(callCtx, run, func(book *backfillBook) []indexed {
		book.Page, book.Of, book.Done = book.Page+read, max(of, book.Page+read), done
		book.Contacts, book.Calls = book.Contacts+len(list), book.Calls+calls
		return list
	})
	if stored != nil {
		return stored
	}
	return err
}

// calls gets leave for up to n calls and has them made one after the other. It ends early, with errHeld, when something
// holds or the calls do not suffice.
func (b *backfill) calls(ctx context.Context, n int, do func(call func(func() error) error) error) error {
	pass, _, err := b.gate.enter(ctx, classContact, n)
	if err != nil {
		return err
	}
	defer pass.leave()
	defer func() { b.effort.add(pass.Calls, 0) }()
	return do(func(call func() error) error { return oneCall(pass, call) })
}

// notOurs says that a call has failed for the account's trouble and not for that of its lists: everything is held for it, and the
// call is worth another try when nothing is. That one is refused, or answered by something else than the API, may be either.
func (b *backfill) notOurs(waitCtx, callCtx context.Context, err error) bool {
	switch freshmarketer.KindOf(err) {
	case freshmarketer.KindThrottled, freshmarketer.KindAuth, freshmarketer.KindCanceled:
		return true
	case freshmarketer.KindPermission, freshmarketer.KindMisrouted:
		return !b.gate.verify(waitCtx, callCtx)
	}
	return b.gate.heldNow()
}

// oneCall makes a call about no user in particular. What the API itself refuses for good says nothing about the account's health.
func oneCall(pass *pass, call func() error) error {
	if err := pass.admit(); err != nil {
		return err
	}
	err := call()
	told := err
	if untold(err) && !troubled(freshmarketer.KindOf(err)) {
		told = nil
	}
	pass.reportRead("", told)
	return err
}

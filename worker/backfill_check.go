package worker

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/queue"
)

// What the pages showed grows old. Before contacts are written on the word of the index alone, it is brought up to date
// by what the account has changed since: those contacts come first when they are listed by updated_at, 100 a call.

const (
	// checkEvery is how long the index is believed after that.
	checkEvery = 2 * time.Minute
	// maxChecks is after how many failures in a row the index is given up.
	maxChecks = 5
	// maxParts bounds the book, which is written with every part.
	maxParts = 4000
	// minChanges is how many pages of changes are read at least before a new reading would be cheaper.
	minChanges = 20
)

// errStale says that the index is to be brought up to date before it is used.
var errStale = errors.New("the index of contacts is not up to date")

// check brings the index up to date with calls of a pass that is there already. errStale says that it did not suffice.
func (b *backfill) check(waitCtx, callCtx context.Context, pass *pass) error {
	if err := b.acquire(waitCtx); err != nil {
		return err
	}
	defer b.release()
	now, err := b.fresh(callCtx)
	if err != nil || now.IsZero() {
		return err
	}
	r := b.reader(b.book)
	for !r.done {
		err := oneCall(pass, func() error { return r.next(callCtx, b.client) })
		if errors.Is(err, errHeld) && pass.Short {
			b.behind(r.page)
			return errStale
		}
		if err != nil {
			return b.failing(waitCtx, callCtx, err)
		}
	}
	return b.caughtUp(callCtx, r, now)
}

// catchUp brings the index up to date, however much has changed.
func (b *backfill) catchUp(waitCtx, callCtx context.Context) error {
	if err := b.acquire(waitCtx); err != nil {
		return err
	}
	defer b.release()
	now, err := b.fresh(callCtx)
	if err != nil || now.IsZero() {
		return err
	}
	r := b.reader(b.book)
	for !r.done {
		err := b.calls(waitCtx, pagesAtOnce, func(call func(func() error) error) error {
			for range pagesAtOnce {
				if err := call(func() error { return r.next(callCtx, b.client) }); err != nil || r.done {
					return err
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errHeld) {
			return b.failing(waitCtx, callCtx, err)
		}
	}
	return b.caughtUp(callCtx, r, now)
}

// fresh says whether the index is up to date: then the time is zero. Otherwise it is the broker's, before any call.
func (b *backfill) fresh(ctx context.Context) (time.Time, error) {
	if !b.alone {
		if err := b.syncLocked(ctx); err != nil {
			return time.Time{}, err
		}
	}
	if !b.book.active() || !b.book.Done {
		return time.Time{}, errNotOurs
	}
	now, err := b.store.Clock(ctx)
	if err != nil || now.UnixMilli()-b.book.Checked < checkEvery.Milliseconds() {
		return time.Time{}, err
	}
	return now, nil
}

// caughtUp writes down what a reader has found. asked is when it began.
func (b *backfill) caughtUp(ctx context.Context, r *changes, asked time.Time) error {
	err := b.changeLocked(ctx, func(book *backfillBook, index *contactIndex) ([]indexed, error) {
		if book.Run != r.run || !book.active() {
			return nil, errNotOurs
		}
		var list []indexed
		for _, c := range r.found {
			e, ok := b.hashes.indexed(c)
			if was, known := index.contact(e.id); ok && known && was != e {
				list = append(list, e)
			}
		}
		if r.newest.After(book.Newest) {
			book.Newest = r.newest
		}
		book.Checked = max(book.Checked, asked.UnixMilli())
		book.Calls += r.page
		return list, nil
	})
	if err == nil {
		b.upToDate(r.page)
	}
	return err
}

// changes reads what was changed since, the latest first.
type changes struct {
	run, view string
	since     time.Time
	most      int
	page      int // read
	newest    time.Time
	found     []freshmarketer.Contact
	done      bool
}

func (b *backfill) reader(book backfillBook) *changes {
	return &changes{run: book.Run, view: book.View, since: book.Newest.Add(-indexLag), most: max(minChanges, book.Of)}
}

// next reads one page. An account that does not list by updated_at cannot be kept up with.
func (r *changes) next(ctx context.Context, client *freshmarketer.Client) error {
	if r.page >= r.most {
		return giveUp{endedChanges, retryEnded}
	}
	page, err := client.ViewContacts(ctx, r.view, freshmarketer.PageQuery{Page: r.page + 1, Sort: "updated_at", Desc: true})
	if err != nil {
		return err
	}
	newest, ok := lastChange(page.Contacts)
	switch {
	case len(page.Contacts) == 0:
		r.done = true
	case !ok:
		return giveUp{endedUnsorted, retryRefused}
	}
	if r.page++; r.page == 1 {
		r.newest = newest
	}
	for _, c := range page.Contacts {
		if at, _ := updatedAt(c); at.Before(r.since) {
			r.done = true
			break
		}
		r.found = append(r.found, freshmarketer.Contact{ID: c.ID, Email: c.Email, ExternalID: c.ExternalID})
	}
	return nil
}

// lastChange is when the first of the contacts was changed; ok says that they are sorted by that.
func lastChange(list []freshmarketer.Contact) (newest time.Time, ok bool) {
	last := time.Time{}
	for i, c := range list {
		at, ok := updatedAt(c)
		if !ok || i > 0 && at.After(last) {
			return newest, false
		}
		if last = at; i == 0 {
			newest = at
		}
	}
	return newest, len(list) > 0
}

func updatedAt(c freshmarketer.Contact) (time.Time, bool) {
	var text string
	if json.Unmarshal(c.Fields["updated_at"], &text) != nil {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339, text)
	return at, err == nil
}

// claim says of changes that rest on the index whether it still says the same, and notes which contacts are about to
// become somebody's: other processes must not adopt them for somebody else. Those that are stale are returned.
func (b *backfill) claim(ctx context.Context, p *pass, turns []*turn) (stale map[*turn]bool, _ error) {
	err := b.changeFor(ctx, p, func(book *backfillBook, index *contactIndex) ([]indexed, error) {
		if !book.active() {
			return nil, errNotOurs
		}
		var list []indexed
		stale = map[*turn]bool{}
		taken := map[int64]digest{}
		for _, t := range turns {
			g, user := t.lane.guess, b.hashes.lane(t.lane.user)
			is, ok := index.contact(g.contact)
			switch free := is.external == (digest{}) && g.adopt; {
			case !ok || is.external != user && !free || is.email != g.address:
				stale[t] = true
			case !g.adopt:
			case taken[g.contact] != (digest{}):
				stale[t] = true
			default:
				if taken[g.contact] = user; free {
					is.external = user
					list = append(list, is)
				}
			}
		}
		switch {
		case len(list) == 0:
			return nil, errNoChange
		case b.alone: // nobody else has to know, and a start looks at the account first
			b.note(index, list)
			return nil, errNoChange
		case len(book.Parts) >= maxParts:
			return nil, giveUp{endedChanges, retryEnded}
		}
		return list, nil
	})
	return stale, err
}

// note puts contacts into the index of this process alone.
func (b *backfill) note(index *contactIndex, list []indexed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range list {
		index.put(e)
	}
}

// mayAdopt notes that a contact is about to become the lane's in a call of its own, unless a bulk has claimed it.
func (b *backfill) mayAdopt(ctx context.Context, p *pass, contact int64, lane string) (bool, error) {
	if !b.now().active() {
		return true, nil
	}
	free, user := true, b.hashes.lane(lane)
	err := b.changeFor(ctx, p, func(book *backfillBook, index *contactIndex) ([]indexed, error) {
		is, ok := index.contact(contact)
		free = !ok || is.external == (digest{}) || is.external == user
		if !book.active() || !book.Done || !ok || is.external != (digest{}) {
			return nil, errNoChange
		}
		is.external = user
		if b.alone {
			b.note(index, []indexed{is})
			return nil, errNoChange
		}
		return []indexed{is}, nil
	})
	if errors.Is(err, queue.ErrFull) {
		return free, nil // the index is about to end for that
	}
	return free, err
}

package worker

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/queue"
)

// run reads, catches up and ends as it is needed, until waitCtx ends.
func (b *backfill) run(waitCtx, callCtx context.Context) {
	if err := b.sync(callCtx); err != nil && waitCtx.Err() == nil {
		b.log.Warn("what is known of a backfill could not be read", zap.Error(err))
	}
	if b.alone {
		b.here(callCtx, func() { b.book.Checked = 0 }) // what an earlier run was about to adopt is not in STATE
	}
	if b.now().active() {
		signal(b.wake)
	}
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
			b.abandon(callCtx, give) // here at least: nobody must wait for it
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
func (b *backfill) abandon(ctx context.Context, why giveUp) {
	b.here(ctx, func() {
		b.book.Ended, b.book.NotUntil, b.index = why.why, time.Now().Add(why.pause).UTC(), &contactIndex{}
	})
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

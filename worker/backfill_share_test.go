package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

// sharer is the backfill of one of several processes of a store.
func (d *door) sharer(owner string) *backfill {
	d.t.Helper()
	p, err := New(Config{
		Store: d.store, Client: d.client, Concurrency: 1, Metrics: metrics.New(), Logger: zap.NewNop(),
		Retry: Retry{Initial: time.Second, Max: time.Minute, MaxAge: time.Minute},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	b := newBackfill(p, d.store, owner)
	b.alone = false
	b.seen.all, b.seen.unknown = 1, 1
	b.existed = func() float64 { return 1 }
	b.ready = func() int { return 10_000 }
	return b
}

// guessed is a change of a user for whom the index of b names a contact.
func (b *backfill) guessed(t *testing.T, user, email string) *turn {
	t.Helper()
	l := &lane{user: b.hashes.user(user)}
	e, ok := b.index.lookup(b.hashes.lane(l.user), b.hashes.email(email))
	if !ok {
		t.Fatalf("the index knows no contact of %s", user)
	}
	l.guess = &guess{contact: e.id, adopt: e.external == digest{}, address: e.email}
	return &turn{lane: l}
}

func (b *backfill) claims(t *testing.T, tn *turn) bool {
	t.Helper()
	stale, err := b.claim(t.Context(), nil, []*turn{tn})
	if err != nil {
		t.Fatal(err)
	}
	return !stale[tn]
}

// One process reads, another goes on where it stopped, all use what was read, and no two adopt one contact.
func TestProcessesShareABackfill(t *testing.T) {
	doorBubble(t, sandbox.Options{}, func(t *testing.T, d *door) {
		for u := range 1250 {
			if _, err := d.box.Add(map[string]any{"emails": fmt.Sprintf("u%d@x.test", u)}); err != nil {
				t.Fatal(err)
			}
			if u%10 == 0 {
				time.Sleep(time.Second)
			}
		}
		ctx := t.Context()
		one, two := d.sharer("one"), d.sharer("two")
		run, err := one.take(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(one.survey(ctx, ctx, run), one.pages(ctx, ctx, run)); err != nil {
			t.Fatal(err)
		}
		if _, err := two.take(ctx); !errors.Is(err, errNotOurs) || two.now().Page != 10 {
			t.Errorf("another process reads what one reads: %v, %d pages", err, two.now().Page)
		}
		time.Sleep(backfillLease + time.Second) // one is dead, or asleep
		if err := two.read(ctx, ctx); err != nil {
			t.Fatal(err)
		}
		if err := one.pages(ctx, ctx, run); !errors.Is(err, errNotOurs) {
			t.Errorf("who lost its lease goes on: %v", err)
		}
		if book := one.now(); !book.Done || book.Contacts != 1250 || book.Page != 13 {
			t.Errorf("the book: %+v", book)
		}
		for _, b := range []*backfill{one, two} {
			if err := b.catchUp(ctx, ctx); err != nil {
				t.Fatal(err)
			}
		}
		ann, bob := one.guessed(t, "ann", "u7@x.test"), two.guessed(t, "bob", "u7@x.test")
		if !one.claims(t, ann) || two.claims(t, bob) || !one.claims(t, ann) {
			t.Error("two users in two processes are both to adopt one contact, or none is")
		}
		if free, err := two.mayAdopt(ctx, nil, bob.lane.guess.contact, bob.lane.user); err != nil || free {
			t.Errorf("a call of its own adopts what a bulk has claimed: %v, %v", free, err)
		}
		// What people change meanwhile counts for all, however they learn of it.
		eve := two.guessed(t, "eve", "u9@x.test")
		if _, err := d.box.Edit(eve.lane.guess.contact, map[string]any{"external_id": "stranger"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(checkEvery)
		pass, _, err := one.gate.enter(ctx, classContact, 5)
		if err != nil {
			t.Fatal(err)
		}
		if err := one.check(ctx, ctx, pass); err != nil {
			t.Fatal(err)
		}
		before := d.box.CallCount()
		if err := two.check(ctx, ctx, pass); err != nil || two.claims(t, eve) || d.box.CallCount() != before {
			t.Errorf("a stranger's contact, or it was asked for twice: %v, %d calls", err, d.box.CallCount()-before)
		}
		// Who comes later knows all of it.
		three := d.sharer("three")
		if err := three.sync(context.WithoutCancel(ctx)); err != nil {
			t.Fatal(err)
		}
		if three.claims(t, bob) || three.claims(t, eve) || !three.claims(t, three.guessed(t, "carl", "u11@x.test")) {
			t.Error("a process that comes later knows less")
		}
		// A part is lost: the index is not used, and the next run begins anew.
		if err := d.store.DropState(ctx, three.now().Parts[0]); err != nil {
			t.Fatal(err)
		}
		four := d.sharer("four")
		if err := four.sync(ctx); err != nil || four.now().active() {
			t.Errorf("an index with a hole is used: %v", err)
		}
		if _, err := four.take(ctx); err != nil {
			t.Errorf("nothing can begin any more: %v", err)
		}
	})
}

// fill fills STATE until not even one byte more is taken.
func (d *door) fill() {
	d.t.Helper()
	for size, n := 100<<10, 0; size > 0; n++ {
		_, err := d.store.PutState(d.t.Context(), fmt.Sprint("filler.", time.Now().UnixNano(), "-", n), make([]byte, size), 0)
		if errors.Is(err, queue.ErrFull) {
			size /= 2
		} else if err != nil {
			d.t.Fatal(err)
		}
	}
}

// STATE is full to the brim: a run that is under way ends and takes its parts away.
func TestABackfillEndsInAFullState(t *testing.T) {
	doorBubble(t, sandbox.Options{}, func(t *testing.T, d *door) {
		for u := range 1250 {
			if _, err := d.box.Add(map[string]any{"emails": fmt.Sprintf("u%d@x.test", u)}); err != nil {
				t.Fatal(err)
			}
			if u%10 == 0 {
				time.Sleep(time.Second)
			}
		}
		ctx := t.Context()
		b := d.sharer("one")
		run, err := b.take(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(b.survey(ctx, ctx, run), b.pages(ctx, ctx, run)); err != nil || len(b.now().Parts) != 1 {
			t.Fatal(err, b.now())
		}
		d.fill()
		if err := b.pages(ctx, ctx, run); !errors.Is(noRoom(err), giveUp{endedRoom, retryWorth}) {
			t.Errorf("%v", err)
		}
		b.step(ctx, ctx)
		keys, err := d.store.StateKeys(ctx, backfillKey)
		if err != nil || len(keys) > 0 || b.now().active() || !time.Now().Before(b.now().NotUntil) {
			t.Errorf("it has not ended: %v, %v, %+v", keys, err, b.now())
		}
	})
}

// Nor is there room to begin: then nobody waits, again and again, for what cannot be.
func TestABackfillThatCannotBeginIsNotWaitedFor(t *testing.T) {
	doorBubble(t, sandbox.Options{}, func(t *testing.T, d *door) {
		b, ann := d.sharer("one"), &turn{lane: &lane{user: "ann"}}
		if !b.consult(ann) {
			t.Fatal("it was to begin")
		}
		b.waiting = nil // ann is let go
		d.fill()
		b.step(t.Context(), t.Context())
		if b.consult(ann) {
			t.Error("she waits for the next one at once")
		}
		time.Sleep(retryWorth)
		if !b.consult(ann) {
			t.Error("there is never another one")
		}
	})
}

// Whoever has the lock reads the book without another: it does not change under its hands, not even when it is given up without STATE.
func TestABookIsGivenUpBetweenTwoReaders(t *testing.T) {
	doorBubble(t, sandbox.Options{}, func(t *testing.T, d *door) {
		b := d.sharer("one")
		if _, err := b.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			b.abandon(t.Context(), giveUp{endedRoom, retryWorth})
			close(ended)
		}()
		synctest.Wait()
		if !b.book.active() {
			t.Error("it has changed while somebody read it")
		}
		b.release()
		if <-ended; b.book.active() {
			t.Error("it is still used")
		}
	})
}

package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestPartitionsAreSpreadAsProcessesComeAndGo(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		const partitions = 16
		a := join(t, broker, partitions).own(t)
		time.Sleep(5 * time.Second)
		spread(t, partitions, a)
		b := join(t, broker, partitions).own(t)
		time.Sleep(15 * time.Second)
		spread(t, partitions, a, b)
		c := join(t, broker, partitions).own(t)
		time.Sleep(15 * time.Second)
		spread(t, partitions, a, b, c)
		a.leave(t) // politely: nobody waits for its leases to run out
		time.Sleep(10 * time.Second)
		spread(t, partitions, b, c)
		b.leave(t)
		time.Sleep(10 * time.Second)
		spread(t, partitions, c)
		c.leave(t)
	})
}

// A process that is gone without a word keeps its partitions for a lease time and not much longer.
func TestALeaseIsTakenOverWhenItHasRunOutAndNotBefore(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		a := join(t, broker, 4).own(t)
		time.Sleep(5 * time.Second)
		b := join(t, broker, 4).own(t)
		time.Sleep(20 * time.Second)
		spread(t, 4, a, b)
		lost := a.numbers()
		had, _ := a.owned()
		first := had[lost[0]]
		a.wire.cut()
		cut := time.Now()
		var deadline time.Time
		for time.Since(cut) < 2*leaseTime {
			time.Sleep(100 * time.Millisecond)
			if err := first.Held(); err != nil && deadline.IsZero() {
				deadline = time.Now()
			}
		}
		spread(t, 4, b)
		_, taken := b.owned()
		for _, p := range lost {
			if taken[p].Before(deadline) {
				t.Errorf("partition %d was taken %v before its owner stopped to send", p, deadline.Sub(taken[p]))
			}
			if waited := taken[p].Sub(cut); waited > leaseTime*3/2 {
				t.Errorf("partition %d stood still for %v", p, waited)
			}
		}
		a.wire.down.Store(false) // back again: it learns that it has lost them and takes its share anew
		time.Sleep(time.Minute)
		if err := first.Err(); !errors.Is(err, ErrLost) {
			t.Errorf("the old tenure ended with %v", err)
		}
		spread(t, 4, a, b)
		a.leave(t)
		b.leave(t)
	})
}

// A commit of several partitions, one of which has another owner by now: that one stores nothing, the others do.
func TestACommitIsFencedByTheLeaseOfEachPartition(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		a := join(t, broker, 2).own(t)
		time.Sleep(5 * time.Second)
		users := map[int]string{}
		owns, _ := a.owned()
		for i := 0; len(users) < 2; i++ {
			user := a.User(fmt.Sprint("user", i))
			for n, p := range owns {
				if p.Owns(user) {
					users[n] = user
				}
			}
		}
		stranger := holder{Process: "stranger", Tenure: "t"}
		if _, err := a.js.Publish(t.Context(), a.names.lease(0), stranger.encode()); err != nil {
			t.Fatal(err)
		}
		answers := map[int]chan error{0: make(chan error, 1), 1: make(chan error, 1)}
		lost, kept := owns[0], owns[1]
		for n, p := range map[int]*Partition{0: lost, 1: kept} {
			p.Commit(&Settlement{User: users[n], Record: []byte("x"), Done: func(_ uint64, err error) { answers[n] <- err }})
		}
		if err := <-answers[0]; !errors.Is(err, ErrLost) {
			t.Errorf("the lost partition's commit was answered with %v", err)
		}
		if err := <-answers[1]; err != nil {
			t.Errorf("the other partition's commit was answered with %v", err)
		}
		if _, rev, err := lost.Record(t.Context(), users[0]); rev != 0 || err != nil {
			t.Errorf("a record of the lost partition is stored at %d, %v", rev, err)
		}
		if _, rev, err := kept.Record(t.Context(), users[1]); rev == 0 || err != nil {
			t.Errorf("the other partition's record is not stored: %v", err)
		}
		if err := lost.Hold(t.Context(), time.Second); !errors.Is(err, ErrLost) {
			t.Errorf("a call for the lost partition is let through: %v", err)
		}
		letter := Letter{User: users[0], Position: 7, Reason: "invalid"} // the new owner's: what the old one knows of letters is old
		if err := kept.PutLetter(t.Context(), letter, false); err != nil {
			t.Fatal(err)
		}
		if err := lost.DropLetter(t.Context(), letterID(letter.User, letter.Position)); !errors.Is(err, ErrLost) {
			t.Errorf("the old owner may drop a letter: %v", err)
		}
		if _, err := a.Letter(t.Context(), letterID(letter.User, letter.Position)); err != nil {
			t.Errorf("the new owner's letter: %v", err)
		}
		time.Sleep(2 * leaseTime) // the stranger never renews
		spread(t, 2, a)
		a.leave(t)
	})
}

// Several processes store into the same log at once: every event once, and the totals count them all.
func TestSeveralPublishersKeepTheTotals(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		const each = 60
		nodes := []*node{join(t, broker, 1), join(t, broker, 1), join(t, broker, 1)}
		var wg sync.WaitGroup
		for i, n := range nodes {
			wg.Go(func() {
				for k := range each {
					if err := n.Publish(t.Context(), []Entry{{UserID: fmt.Sprint(i), Data: fmt.Appendf(nil, "%d-%d", i, k)}}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got, err := nodes[0].accepted(t.Context(), logID{}); got != each*3 || err != nil {
			t.Errorf("the totals say %d of %d, %v", got, each*3, err)
		}
		nodes[1].own(t)
		time.Sleep(10 * time.Second)
		if l, err := nodes[1].Ledger(t.Context()); err != nil || l.Delivered != each*3 || l.Difference() != 0 || l.Pending != 0 {
			t.Errorf("%+v, %v", l, err)
		}
		for _, n := range nodes {
			n.leave(t)
		}
	})
}

// Trimming one partition leaves the others alone, and every partition keeps its last pack, whose totals the next one continues.
func TestAPartitionTrimsOnlyItself(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 4)
		for i := range 40 {
			if err := n.Publish(t.Context(), []Entry{{UserID: fmt.Sprint(i), Data: []byte("x")}}); err != nil {
				t.Fatal(err)
			}
		}
		n.own(t)
		time.Sleep(30 * time.Second)
		info, err := n.events.Info(t.Context())
		if err != nil || info.State.Msgs != 4 {
			t.Errorf("%d packs are left, %v", info.State.Msgs, err)
		}
		if err := n.Publish(t.Context(), []Entry{{UserID: "1", Data: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if l, err := n.Ledger(t.Context()); err != nil || l.Accepted != 41 || l.Delivered != 41 || l.Difference() != 0 {
			t.Errorf("%+v, %v", l, err)
		}
		n.leave(t)
	})
}

// Trouble with one partition gives that one back, and it is taken again; only what makes the store doubtful ends the process.
func TestTroubleWithAPartitionDoesNotEndTheProcess(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 2)
		var tenures atomic.Int64
		trouble := make(chan error, 1)
		trouble <- errors.New("no answer")
		done := make(chan error, 1)
		go func() {
			done <- n.Own(t.Context(), func(ctx context.Context, p *Partition) error {
				tenures.Add(1)
				if p.Number() == 1 {
					select {
					case err := <-trouble:
						return err
					case <-ctx.Done():
					}
				}
				<-ctx.Done()
				return nil
			})
		}()
		time.Sleep(10 * time.Second)
		if got := tenures.Load(); got != 3 || len(n.Owned()) != 2 {
			t.Errorf("%d tenures, %d partitions are owned", got, len(n.Owned()))
		}
		trouble <- fmt.Errorf("reading: %w", ErrConflict)
		if err := <-done; !errors.Is(err, ErrConflict) || len(n.Owned()) != 0 {
			t.Errorf("owning ended with %v, and %d partitions", err, len(n.Owned()))
		}
		n.leave(t)
	})
}

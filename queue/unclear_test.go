package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// deafly has a process write while it hears nothing: the broker stores, the answer is lost, and for a while so is everything else.
func deafly(n *node, write func()) {
	n.wire.deafen(n.nc)
	unheard(n, write)
}

// deaflyAt loses what the broker answers from the first message to a subject on: what is asked before is answered.
func deaflyAt(n *node, subject string, write func()) {
	n.wire.deafenAt(subject)
	unheard(n, write)
}

func unheard(n *node, write func()) {
	done := make(chan struct{})
	go func() { defer close(done); write() }()
	time.Sleep(4 * time.Second) // longer than any single try waits, but for a commit's
	n.wire.hear()
	<-done
	time.Sleep(2 * time.Second) // it connects anew
}

// The answer to every kind of write is lost, once for each kind. Nothing is stored twice, nothing that is stored passes for lost
// for ever, and the tenure goes on.
func TestALostAnswerToAnyWriteIsCleared(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 1).own(t)
		time.Sleep(5 * time.Second)
		owns, _ := n.owned()
		p := owns[0]
		user := n.User("a")

		deafly(n, func() {
			if err := n.Publish(t.Context(), []Entry{{UserID: "a", Data: []byte("x")}}); err != nil {
				t.Errorf("a pack: %v", err)
			}
		})
		time.Sleep(10 * time.Second)
		if l := books(t, n); l.Accepted != 1 || l.Delivered != 1 || l.Difference() != 0 {
			t.Errorf("a pack whose answer was lost: %+v", l)
		}

		var rev uint64
		deafly(n, func() {
			revs, err := commit(t.Context(), p, []*Settlement{{User: user, Record: []byte("x"), Tally: Tally{{Type: "track", Outcome: Discarded}: 1}}})
			if err != nil {
				t.Fatalf("a commit: %v", err)
			}
			rev = revs[0]
		})
		if data, stored, err := p.Record(t.Context(), user); string(data) != "x" || stored != rev || err != nil {
			t.Errorf("a record is at %d, told was %d: %q, %v", stored, rev, data, err)
		}
		if l := books(t, n); l.Discarded != 1 {
			t.Errorf("a commit whose answer was lost is counted %d times", l.Discarded)
		}

		deafly(n, func() {
			if _, err := n.PutState(t.Context(), "quota", []byte("spent"), 0); !errors.Is(err, ErrUnavailable) {
				t.Errorf("state: %v", err)
			}
		})
		data, rev, err := n.State(t.Context(), "quota")
		if string(data) != "spent" || err != nil {
			t.Errorf("the state is %q, %v", data, err)
		}
		if _, err := n.PutState(t.Context(), "quota", []byte("again"), 0); !errors.Is(err, ErrConflict) {
			t.Errorf("state upon a revision that is old: %v", err)
		}
		if _, err := n.PutState(t.Context(), "quota", []byte("again"), rev); err != nil {
			t.Errorf("state upon what was read back: %v", err)
		}

		letter := Letter{User: user, Position: 7, Reason: "invalid", Event: []byte("first")}
		deaflyAt(n, n.names.letter(user), func() {
			if err := p.PutLetter(t.Context(), letter, false); !errors.Is(err, ErrUnavailable) {
				t.Errorf("a letter: %v", err)
			}
		})
		letter.Event = []byte("second")
		if err := p.PutLetter(t.Context(), letter, false); err != nil {
			t.Errorf("the same letter again: %v", err)
		}
		if l, err := n.Letter(t.Context(), letterID(user, 7)); string(l.Event) != "first" || err != nil || books(t, n).Dead != 1 {
			t.Errorf("the letter is %q, %v", l.Event, err)
		}
		deafly(n, func() { _ = p.DropLetter(t.Context(), letterID(user, 7)) }) // it may have been removed, and may be told so later
		if err := p.DropLetter(t.Context(), letterID(user, 7)); err != nil || books(t, n).Dead != 0 {
			t.Errorf("removing it again: %v", err)
		}

		held, _ := p.held()
		deafly(n, func() { // a renewal comes every 8 s
			for now, _ := p.held(); time.Since(held.sent) < leaseTime/2 && now.rev == held.rev; now, _ = p.held() {
				time.Sleep(100 * time.Millisecond)
			}
		})
		time.Sleep(10 * time.Second)
		if now, _ := p.held(); p.Err() != nil || now.rev == held.rev || now.left(time.Now()) < leaseTime/2 {
			t.Errorf("after a lost renewal: %v, the lease is at %d (before: %d) and has %v left", p.Err(), now.rev, held.rev, now.left(time.Now()))
		}
		n.leave(t)
	})
}

// The answer to taking a lease is lost: the process looks, finds its own name, and takes it.
func TestALeaseWhoseAnswerWasLostIsTaken(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 4)
		n.wire.deafen(n.nc)
		n.own(t)
		time.Sleep(4 * time.Second)
		n.wire.hear()
		time.Sleep(20 * time.Second)
		spread(t, 4, n)
		n.leave(t)
	})
}

// countingRun settles each event by a record that counts its user's events, and skips what a record covers, as lanes do.
func countingRun(ctx context.Context, p *Partition) error {
	known := map[string]uint64{} // revisions
	return p.Run(ctx, func(ctx context.Context, items []Item) error {
		for _, it := range items {
			if _, ok := known[it.User]; !ok {
				known[it.User] = 0
			}
			data, rev, err := p.Record(ctx, it.User)
			if err != nil {
				return err
			}
			if last := known[it.User]; last > rev {
				return fmt.Errorf("a record is at %d, and was told to be at %d", rev, last)
			}
			var position, count uint64
			if rev > 0 {
				if _, err := fmt.Sscanf(string(data), "%d %d", &position, &count); err != nil {
					return err
				}
			}
			if position >= it.Position {
				p.Skip(it.Position)
				continue
			}
			done := make(chan error, 1)
			p.Commit(&Settlement{
				User: it.User, Record: fmt.Appendf(nil, "%d %d", it.Position, count+1), Rev: rev, Positions: []uint64{it.Position},
				Tally: Tally{{Type: "identify", Outcome: Delivered}: 1}, Done: func(rev uint64, err error) { known[it.User] = rev; done <- err },
			})
			if err := <-done; err != nil {
				return err
			}
		}
		return nil
	})
}

// Two processes, whose answers are lost now and then for as long as it happens to be, while events come in through both and are
// settled by both. In the end every event is stored once and settled once.
func TestAnswersLostAtAnyMomentChangeNothing(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			shared(t, func(t *testing.T, broker *embedded) {
				rng := rand.New(rand.NewPCG(seed, 1))
				const users, each = 12, 8
				nodes := []*node{join(t, broker, 4), join(t, broker, 4)}
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, len(nodes))
				for _, n := range nodes {
					go func() { ended <- n.Own(ctx, countingRun) }()
				}
				var traffic sync.WaitGroup
				for u := range users {
					pace := time.Duration(rng.IntN(8000)) * time.Millisecond
					traffic.Go(func() {
						for k := range each {
							if err := nodes[(u+k)%2].Publish(t.Context(), []Entry{{UserID: fmt.Sprint("user", u), Data: []byte("x")}}); err != nil {
								t.Error(err)
							}
							time.Sleep(pace)
						}
					})
				}
				for range 15 {
					n := nodes[rng.IntN(2)]
					time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
					n.wire.deafen(n.nc)
					time.Sleep(time.Duration(rng.IntN(5000)) * time.Millisecond) // a lease time is 30 s: the tenures outlast it, mostly
					n.wire.hear()
				}
				traffic.Wait()
				time.Sleep(2 * time.Minute)
				l := books(t, &node{Store: nodes[0].Store}, &node{Store: nodes[1].Store})
				if l.Accepted != users*each || l.Delivered != users*each || l.Pending != 0 || l.Difference() != 0 || l.Reading {
					t.Errorf("%+v", l)
				}
				for u := range users {
					data, _, err := nodes[0].readState(t.Context(), nodes[0].names.user(nodes[0].User(fmt.Sprint("user", u))))
					if _, count, _ := strings.Cut(string(data), " "); count != strconv.Itoa(each) || err != nil {
						t.Errorf("user%d: the record counts %s of %d events, %v", u, count, each, err)
					}
				}
				stop()
				for _, n := range nodes {
					if err := <-ended; err != nil {
						t.Error(err)
					}
					n.leave(t)
				}
			})
		})
	}
}

package queue

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// standstill has a process stand still when it is about to ask DEAD for something, as SIGSTOP would.
type standstill struct {
	jetstream.Stream

	at      atomic.Value // the call, a string
	reached chan struct{}
	wake    chan struct{}
}

func standingStill(n *node) *standstill {
	s := &standstill{Stream: n.dead, reached: make(chan struct{}), wake: make(chan struct{})}
	n.dead = s
	return s
}

func (s *standstill) pass(call string) {
	if s.at.CompareAndSwap(call, "") {
		close(s.reached)
		<-s.wake
	}
}

func (s *standstill) GetLastMsgForSubject(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	s.pass("last")
	return s.Stream.GetLastMsgForSubject(ctx, subject)
}

func (s *standstill) GetMsg(ctx context.Context, seq uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	s.pass("get")
	return s.Stream.GetMsg(ctx, seq, opts...)
}

func (s *standstill) SecureDeleteMsg(ctx context.Context, seq uint64) error {
	s.pass("delete")
	return s.Stream.SecureDeleteMsg(ctx, seq)
}

// heir takes a partition over as a worker does: letters that no record covers go, and what the former owner left open is settled by
// deliver.
func heir(t *testing.T, n *node, deliver func(p *Partition, it Item)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	n.stop, n.done = cancel, make(chan error, 1)
	go func() {
		n.done <- n.Own(ctx, func(ctx context.Context, p *Partition) error {
			if err := p.Reconcile(ctx, func(Letter) (bool, error) { return false, nil }); err != nil {
				return err
			}
			return p.Run(ctx, func(_ context.Context, items []Item) error {
				for _, it := range items {
					deliver(p, it)
				}
				return nil
			})
		})
	}()
}

func delivered(p *Partition, it Item) {
	p.Commit(&Settlement{Positions: []uint64{it.Position}, Tally: Tally{{Type: "identify", Outcome: Delivered}: 1}, Done: func(uint64, error) {}})
}

// buries sets an item aside.
func buries(t *testing.T) func(p *Partition, it Item) {
	return func(p *Partition, it Item) {
		if err := p.PutLetter(t.Context(), letterOf(it), false); err != nil {
			t.Error(err)
		}
		p.Commit(&Settlement{Positions: []uint64{it.Position}, Tally: Tally{{Type: "identify", Outcome: Dead, Reason: "invalid"}: 1}, Done: func(uint64, error) {}})
	}
}

func letterOf(it Item) Letter {
	return Letter{User: it.User, Position: it.Position, Type: "identify", Reason: "invalid", Event: it.Data}
}

// open has a process own the one partition and one call that it has not settled.
func open(t *testing.T, n *node) (p *Partition, it Item) {
	t.Helper()
	items := make(chan Item, 1)
	n.keepOpen = func(it Item) bool {
		select {
		case items <- it:
		default: // a later tenure reads it again
		}
		return true
	}
	n.own(t)
	if err := n.Publish(t.Context(), []Entry{{UserID: "a", Data: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	it = <-items
	owns, _ := n.owned()
	return owns[0], it
}

// inOrder says whether a process sees so many letters and books that add up.
func inOrder(t *testing.T, n *node, letters int) {
	t.Helper()
	page, err := n.Letters(t.Context(), LetterQuery{})
	if err != nil || len(page.Letters) != letters || page.Total != letters {
		t.Errorf("%d letters of %d, not %d: %+v, %v", len(page.Letters), page.Total, letters, page.Letters, err)
	}
	if l, err := n.Ledger(t.Context()); err != nil || l.Dead != int64(letters) || l.Pending != 0 || l.Difference() != 0 {
		t.Errorf("the ledger is %+v, %v", l, err)
	}
}

// A process stands still when it is about to store a letter, past its lease. The next owner delivers that call, and then the letter
// arrives. It must not be stored: nobody would look at it again.
func TestALetterOfAFormerOwnerIsNotStored(t *testing.T) {
	for name, update := range map[string]bool{"anew": false, "in place of one": true} {
		t.Run(name, func(t *testing.T) {
			shared(t, func(t *testing.T, broker *embedded) {
				a := join(t, broker, 1)
				p, it := open(t, a)
				held, arrive := a.wire.hold(a.names.letter(letterOf(it).User))
				put := make(chan error, 1)
				go func() { put <- p.PutLetter(t.Context(), letterOf(it), update) }()
				<-held
				a.wire.down.Store(true)
				b := join(t, broker, 1)
				heir(t, b, delivered)
				time.Sleep(2 * leaseTime)
				inOrder(t, b, 0)
				if err := arrive(); err != nil {
					t.Fatal(err)
				}
				if err := <-put; err == nil {
					t.Error("the letter passes for stored")
				}
				inOrder(t, b, 0)
				a.wire.down.Store(false)
				time.Sleep(time.Minute)
				if err := p.PutLetter(t.Context(), letterOf(it), update); !errors.Is(err, ErrLost) {
					t.Errorf("the former owner's next letter: %v", err)
				}
				b.leave(t)
				time.Sleep(time.Minute)
				inOrder(t, a, 0) // also for those who come later
				a.leave(t)
			})
		})
	}
}

// The process goes on by itself when it wakes up, with a connection: its letter is refused, it learns why, and the call is the next
// owner's to bury: once.
func TestAFormerOwnerLearnsThatItsLetterIsRefused(t *testing.T) {
	for name, update := range map[string]bool{"anew": false, "in place of one": true} {
		t.Run(name, func(t *testing.T) {
			shared(t, func(t *testing.T, broker *embedded) {
				a := join(t, broker, 1)
				still := standingStill(a)
				p, it := open(t, a)
				still.at.Store("last")
				put := make(chan error, 1)
				go func() { put <- p.PutLetter(t.Context(), letterOf(it), update) }()
				<-still.reached
				a.wire.cut()
				b := join(t, broker, 1)
				heir(t, b, delivered)
				time.Sleep(2 * leaseTime)
				a.wire.down.Store(false)
				time.Sleep(5 * time.Second)
				close(still.wake)
				if err := <-put; !errors.Is(err, ErrLost) {
					t.Errorf("the former owner is told %v", err)
				}
				inOrder(t, b, 0)
				b.leave(t)
				a.leave(t)
			})
		})
	}
}

// A process stands still while it removes a letter that does not count, wherever in that, past its lease. The next owner sets the same
// call aside, and that letter counts: it must stay.
func TestALateRemovalLeavesANewOwnersLetter(t *testing.T) {
	for _, call := range []string{"last", "get", "delete"} {
		t.Run(call, func(t *testing.T) {
			shared(t, func(t *testing.T, broker *embedded) {
				a := join(t, broker, 1)
				still := standingStill(a)
				p, it := open(t, a)
				if err := p.PutLetter(t.Context(), letterOf(it), false); err != nil {
					t.Fatal(err)
				}
				still.at.Store(call)
				dropped := make(chan error, 1)
				go func() { dropped <- p.DropLetter(t.Context(), letterID(it.User, it.Position)) }()
				<-still.reached
				a.wire.cut()
				b := join(t, broker, 1)
				heir(t, b, buries(t))
				time.Sleep(2 * leaseTime)
				inOrder(t, b, 1)
				a.wire.down.Store(false)
				time.Sleep(5 * time.Second)
				close(still.wake)
				if err := <-dropped; err != nil && !errors.Is(err, ErrLost) && !errors.Is(err, ErrUnavailable) { // the next owner was quicker
					t.Error(err)
				}
				inOrder(t, b, 1)
				b.leave(t)
				a.leave(t)
			})
		})
	}
}

// A letter that had no answer is on its way when its call is delivered after all. The owner is the same, so the lease is no help.
func TestALetterWithoutAnAnswerDoesNotComeAfterItsRemoval(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 1)
		p, it := open(t, n)
		_, arrive := n.wire.hold(n.names.letter(it.User))
		if err := p.PutLetter(t.Context(), letterOf(it), false); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a letter without an answer: %v", err)
		}
		n.wire.cut()
		n.wire.down.Store(false)
		time.Sleep(2 * time.Second)
		if err := p.DropLetter(t.Context(), letterID(it.User, it.Position)); err != nil {
			t.Error(err)
		}
		delivered(p, it)
		if err := arrive(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		inOrder(t, n, 0)
		if err := p.Err(); err != nil {
			t.Errorf("the tenure ended: %v", err)
		}
		n.leave(t)
	})
}

// A letter that had no answer is on its way. The next in line, which is of another user, is refused for want of room: that says nothing
// about the first one, whose call is delivered after all.
func TestARefusedLetterDoesNotClearUpTheOneBefore(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 1)
		still := standingStill(n)
		p, it := open(t, n)
		for i := uint64(0); ; i++ { // up to where a small letter has room and a large one has none
			l := Letter{User: n.User("fill"), Position: 100 + i, Reason: "invalid", Event: make([]byte, 400_000)}
			if err := p.PutLetter(t.Context(), l, false); errors.Is(err, ErrFull) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		before, err := n.Ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		still.at.Store("last") // past the look at the fence, as a lane is that waits for its turn
		large := make(chan error, 1)
		go func() {
			large <- p.PutLetter(t.Context(), Letter{User: n.User("large"), Position: 99, Reason: "invalid", Event: make([]byte, 400_000)}, true)
		}()
		<-still.reached
		_, arrive := n.wire.hold(n.names.letter(it.User))
		if err := p.PutLetter(t.Context(), letterOf(it), false); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a letter without an answer: %v", err)
		}
		n.wire.cut()
		n.wire.down.Store(false)
		time.Sleep(2 * time.Second)
		close(still.wake)
		if err := <-large; !errors.Is(err, ErrFull) {
			t.Errorf("a letter without room: %v", err)
		}
		if err := p.DropLetter(t.Context(), letterID(it.User, it.Position)); err != nil {
			t.Error(err)
		}
		delivered(p, it)
		if err := arrive(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if l, err := n.Ledger(t.Context()); err != nil || l.Dead != before.Dead {
			t.Errorf("%d letters, there were %d before the one whose call was delivered, %v", l.Dead, before.Dead, err)
		}
		n.leave(t)
	})
}

// Somebody has emptied DEAD, or removed the fence: its owner puts up another.
func TestAFenceThatIsGoneIsPutUpAgain(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 1).own(t)
		time.Sleep(5 * time.Second)
		owns, _ := n.owned()
		for i := range uint64(3) {
			if err := owns[0].PutLetter(t.Context(), Letter{User: n.User("a"), Position: i + 1, Reason: "invalid"}, false); err != nil {
				t.Error(err)
			}
			if err := n.dead.Purge(t.Context(), jetstream.WithPurgeSubject(n.names.fence(0))); err != nil {
				t.Fatal(err)
			}
		}
		if page, err := n.Letters(t.Context(), LetterQuery{}); err != nil || page.Total != 3 {
			t.Errorf("%+v, %v", page, err)
		}
		n.leave(t)
	})
}

// DEAD takes nothing more. The next owner starts all the same, keeps the former one out, and stores letters when there is room again.
func TestAnOwnerStartsWhileTheLettersHaveNoRoom(t *testing.T) {
	for name, none := range map[string]bool{"with a fence": false, "without one": true} {
		t.Run(name, func(t *testing.T) {
			shared(t, func(t *testing.T, broker *embedded) {
				a := join(t, broker, 1).own(t)
				time.Sleep(5 * time.Second)
				if none { // as a version left it that put up none
					if err := a.dead.Purge(t.Context(), jetstream.WithPurgeSubject(a.names.fence(0))); err != nil {
						t.Fatal(err)
					}
				}
				ids := stuff(t, a)
				owns, _ := a.owned()
				former := owns[0]
				a.wire.cut()
				b := join(t, broker, 1).own(t)
				time.Sleep(2 * leaseTime)
				spread(t, 1, b)
				if fence, err := b.lastFence(t.Context(), b.names.fence(0)); err != nil || none != (fence == 0) || fence == former.fence.seq {
					t.Errorf("the fence is %d, the former was %d, %v", fence, former.fence.seq, err)
				}
				owns, _ = b.owned()
				l := Letter{User: b.User("late"), Position: 1, Reason: "invalid", Event: make([]byte, 1000)}
				if err := owns[0].PutLetter(t.Context(), l, false); !errors.Is(err, ErrFull) {
					t.Errorf("a letter without room: %v", err)
				}
				if err := owns[0].DropLetter(t.Context(), ids[0]); err != nil {
					t.Errorf("a removal without room: %v", err)
				}
				if err := owns[0].PutLetter(t.Context(), l, false); err != nil {
					t.Errorf("a letter with room again: %v", err)
				}
				if got, err := b.Ledger(t.Context()); err != nil || got.Dead != int64(len(ids)) {
					t.Errorf("%d letters of %d, %v", got.Dead, len(ids), err)
				}
				a.wire.down.Store(false)
				time.Sleep(5 * time.Second)
				a.leave(t)
				b.leave(t)
			})
		})
	}
}

// stuff stores letters until not even the smallest has room.
func stuff(t *testing.T, n *node) (ids []string) {
	t.Helper()
	position := uint64(100)
	for size := 500_000; size > 0; {
		position++
		id := letterID(n.User("fill"), position)
		msg, err := letterMsg(n.names.letter(id), Letter{ID: id, User: n.User("fill"), Position: position})
		if err != nil {
			t.Fatal(err)
		}
		msg.Data = make([]byte, size)
		switch _, err := n.js.PublishMsg(t.Context(), msg); {
		case isFull(err):
			size /= 10
		case err != nil:
			t.Fatal(err)
		default:
			ids = append(ids, id)
		}
	}
	return ids
}

// Fences are no letters for anybody who counts, lists or moves them, and a process that knows none meets one that is nobody's.
func TestAFenceIsNoLetter(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 4).own(t)
		time.Sleep(5 * time.Second)
		owns, _ := n.owned()
		users := map[int]string{}
		for i := 0; len(users) < len(owns); i++ {
			user := n.User(string(rune('a' + i)))
			for number, p := range owns {
				if p.Owns(user) {
					users[number] = user
				}
			}
		}
		for number, p := range owns {
			for i := range uint64(2) { // the second copy pushes none out
				if err := p.PutLetter(t.Context(), Letter{User: users[number], Position: 7, Reason: "invalid", Attempts: int(i)}, i > 0); err != nil {
					t.Fatal(err)
				}
			}
			if l, err := p.Ledger(t.Context()); err != nil || l.Dead != 1 {
				t.Errorf("partition %d: %+v, %v", number, l, err)
			}
		}
		page, err := n.Letters(t.Context(), LetterQuery{Sort: "user"})
		if err != nil || page.Total != 4 || slices.ContainsFunc(page.Letters, func(l Letter) bool { return l.Reason != "invalid" }) {
			t.Errorf("%+v, %v", page, err)
		}
		if _, total, err := n.LetterGroups(t.Context(), LetterFilter{}); total != 4 || err != nil {
			t.Errorf("%d letters in groups, %v", total, err)
		}
		if l, err := n.Ledger(t.Context()); err != nil || l.Dead != 4 {
			t.Errorf("%+v, %v", l, err)
		}
		info, err := n.letterInfo(t.Context())
		if err != nil || info.State.Msgs != 8 {
			t.Errorf("%d messages for 4 letters and 4 fences, %v", info.State.Msgs, err)
		}

		msg, err := n.dead.GetLastMsgForSubject(t.Context(), n.names.fence(0))
		if err != nil {
			t.Fatal(err)
		}
		l, err := decodeLetter(msg.Header, msg.Data)
		if err != nil || slices.ContainsFunc(n.Owned(), func(p *Partition) bool { return p.Owns(l.User) }) {
			t.Errorf("%+v, %v", l, err)
		}
		if (LetterFilter{Reason: "exhausted"}).Matches(l) || (LetterFilter{FirstBefore: time.Now().AddDate(100, 0, 0)}).Matches(l) {
			t.Errorf("%+v would be replayed, or expire", l)
		}
		n.leave(t)
		synctest.Wait()
	})
}

// A move to other streams takes the letters along and no fence.
func TestAFenceDoesNotMove(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 4).own(t)
		time.Sleep(5 * time.Second)
		for _, p := range n.Owned() {
			if user := n.User("a"); p.Owns(user) {
				if err := p.PutLetter(t.Context(), Letter{User: user, Position: 7, Reason: "invalid"}, false); err != nil {
					t.Fatal(err)
				}
			}
		}
		n.leave(t)
		time.Sleep(leaseTime + time.Second) // its sign may be there as long
		from := n.cfg
		to := from
		to.Prefix, to.Partitions = "relay2", 2
		m, err := Migrate(t.Context(), from, to)
		if err != nil || m.Letters != 1 {
			t.Fatalf("%+v, %v", m, err)
		}
		moved, err := Open(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := moved.dead.Info(t.Context()); err != nil || info.State.Msgs != 1 {
			t.Errorf("%d messages for one letter, %v", info.State.Msgs, err)
		}
		closeStore(t, moved)
	})
}

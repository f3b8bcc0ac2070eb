package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"
)

// books asks every node for the ledger; they must say the same, whoever owns what.
func books(t *testing.T, nodes ...*node) Ledger {
	t.Helper()
	var first Ledger
	for i, n := range nodes {
		l, err := n.Ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = l
		} else if diff := cmp.Diff(first, l, cmpopts.IgnoreFields(Ledger{}, "Oldest")); diff != "" {
			t.Errorf("node %d has other books than node 0: %s", i, diff)
		}
		if l.Oldest.IsZero() != (l.Pending == 0) {
			t.Errorf("node %d: %d are pending, the oldest since %v", i, l.Pending, l.Oldest)
		}
	}
	return first
}

func publishMany(t *testing.T, n *node, users int) {
	t.Helper()
	for i := range users {
		if err := n.Publish(t.Context(), []Entry{{UserID: fmt.Sprint("user", i), Data: []byte{byte(i), 'x'}}}); err != nil {
			t.Fatal(err)
		}
	}
}

// Every process has the whole ledger: one that owns all, one that owns a part, one that only takes calls in, and all of them
// while nobody delivers.
func TestEveryProcessKnowsTheWholeLedger(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		const partitions, users = 8, 40
		door := join(t, broker, partitions)
		publishMany(t, door, users)
		if l := books(t, door); l.Accepted != users || l.Pending != users || l.Difference() != 0 {
			t.Errorf("before anybody delivers: %+v", l)
		}
		a, b := join(t, broker, partitions).own(t), join(t, broker, partitions).own(t)
		time.Sleep(30 * time.Second)
		spread(t, partitions, a, b)
		if l := books(t, a, b, door); l.Accepted != users || l.Delivered != users || l.Pending != 0 || l.Difference() != 0 || l.Reading {
			t.Errorf("shared: %+v", l)
		}
		a.leave(t)
		b.leave(t)
		publishMany(t, door, users)
		if l := books(t, door); l.Accepted != 2*users || l.Delivered != users || l.Pending != users || l.Difference() != 0 {
			t.Errorf("after the others have left: %+v", l)
		}
		door.leave(t)
	})
}

// What is settled beyond an open event is not pending, though the floor stands before it; and an owner that is cut off leaves
// books that are right.
func TestTheLedgerCountsBehindTheFloor(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		door, owner := join(t, broker, 1), join(t, broker, 1)
		owner.keepOpen = func(it Item) bool { return it.Data[0] == 3 || it.Data[0] == 30 }
		owner.own(t)
		publishMany(t, door, 40)
		time.Sleep(20 * time.Second)
		before := books(t, owner, door)
		if before.Delivered != 38 || before.Pending != 2 || before.Difference() != 0 {
			t.Errorf("with two open events: %+v", before)
		}
		owner.wire.cut()
		time.Sleep(time.Minute)
		if diff := cmp.Diff(before, books(t, door)); diff != "" {
			t.Error(diff)
		}
		owner.wire.down.Store(false)
		time.Sleep(10 * time.Second)
		owner.leave(t)
		door.leave(t)
	})
}

// Counters of a version that did not say how far it had come: the sum says what it lacks.
func TestWhatCannotBeCountedIsSaid(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 2)
		publishMany(t, n, 20)
		if _, err := n.writeState(t.Context(), n.names.counters(logID{number: 1}), []byte(`{"commit":1,"rows":[]}`)); err != nil {
			t.Fatal(err)
		}
		l := books(t, n)
		if l.Accepted != 20 || l.Pending == 0 || l.Pending == 20 || !cmp.Equal(l.Uncounted, []int{1}) {
			t.Errorf("%+v", l)
		}
		n.own(t)
		time.Sleep(20 * time.Second)
		if l := books(t, n); len(l.Uncounted) != 0 || l.Difference() != 0 {
			t.Errorf("once it is owned: %+v", l)
		}
		n.leave(t)
	})
}

// What a process says of itself besides is what it said with its last sign.
func TestProcessesHearWhatOthersSay(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		door, other := join(t, broker, 1), join(t, broker, 1)
		heard := func() string {
			around, err := other.Sharing(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range around.Processes {
				if !p.Self {
					return string(p.Says)
				}
			}
			return ""
		}
		if got := heard(); got != "1" {
			t.Errorf("with its first sign it said %q", got)
		}
		time.Sleep(30 * time.Second)
		if got, now := heard(), strconv.Itoa(int(door.signs.Load())); got != now || got == "1" {
			t.Errorf("later it is heard to say %q, and says %s", got, now)
		}
		door.leave(t)
		other.leave(t)
	})
}

func TestProcessesSeeEachOther(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		look := func(n *node) (roles []string, owned, unowned int) {
			t.Helper()
			around, err := n.Sharing(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range around.Processes {
				role := p.Role
				if p.Self {
					role += ", self"
				}
				if p.Silent {
					role += ", silent"
				}
				if p.Delivers {
					role += ", delivers"
				}
				if p.Host == "" || p.PID == 0 || p.Seen.IsZero() {
					t.Errorf("%+v does not say who it is", p)
				}
				roles = append(roles, role)
			}
			return roles, len(around.Owners), len(around.Unowned)
		}
		door := joinAs(t, broker, 4, "ingest")
		time.Sleep(time.Second)
		if roles, owned, unowned := look(door); !cmp.Equal(roles, []string{"ingest, self"}) || owned != 0 || unowned != 4 {
			t.Errorf("alone: %q, %d and %d", roles, owned, unowned)
		}
		worker := joinAs(t, broker, 4, "worker").own(t)
		time.Sleep(20 * time.Second)
		if roles, owned, unowned := look(door); !cmp.Equal(roles, []string{"ingest, self", "worker, delivers"}) || owned != 4 || unowned != 0 {
			t.Errorf("together: %q, %d and %d", roles, owned, unowned)
		}
		spread(t, 4, worker) // the door counts for nothing there
		worker.wire.cut()
		time.Sleep(leaseTime + time.Second)
		if roles, owned, unowned := look(door); !cmp.Equal(roles, []string{"ingest, self", "worker, silent, delivers"}) || owned != 0 || unowned != 4 {
			t.Errorf("cut off: %q, %d and %d", roles, owned, unowned)
		}
		worker.wire.down.Store(false)
		time.Sleep(20 * time.Second)
		worker.leave(t)
		if roles, owned, unowned := look(door); !cmp.Equal(roles, []string{"ingest, self"}) || owned != 0 || unowned != 4 {
			t.Errorf("at the end: %q, %d and %d", roles, owned, unowned)
		}
		door.leave(t)
	})
}

// A process that does nothing at the moment is in the way of a migration, too. One that gave no sign for a lease time is not, and
// when it wakes up it stores nothing in the old log.
func TestAMigrationKnowsOfIdleProcesses(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		dial := func(opts ...nats.Option) (*nats.Conn, error) {
			return nats.Connect("", append(opts, nats.InProcessServer(broker.server))...)
		}
		from := Config{Prefix: "freshrelay", MaxBytes: MinMaxBytes, Account: "sandbox", External: &External{Replicas: 1, Dial: dial}, Covers: position}
		to := from
		to.Prefix, to.Partitions = "relay2", 3
		idle := joinAs(t, broker, 2, "ingest")
		_, err := Migrate(t.Context(), from, to)
		if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "role ingest") || !strings.Contains(err.Error(), "stop every process") {
			t.Errorf("with an idle process: %v", err)
		}
		if err := idle.Publish(t.Context(), []Entry{{UserID: "a", Data: []byte("x")}}); err != nil {
			t.Errorf("after the refusal: %v", err)
		}
		worker := join(t, broker, 2).own(t)
		time.Sleep(10 * time.Second)
		worker.leave(t)
		idle.wire.cut()
		time.Sleep(leaseTime + time.Second)
		if _, err := Migrate(t.Context(), from, to); err != nil {
			t.Fatalf("with a process that is gone: %v", err)
		}
		idle.wire.down.Store(false)
		time.Sleep(5 * time.Second)
		if err := idle.Ready(t.Context()); err != nil {
			t.Errorf("it cannot know yet: %v", err)
		}
		for _, user := range []string{"a", "b", "c", "d"} {
			if err := idle.Publish(t.Context(), []Entry{{UserID: user, Data: []byte("x")}}); !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrMoved) {
				t.Errorf("stored in a log that has moved: %v", err)
			}
		}
		if err := idle.Ready(t.Context()); !errors.Is(err, ErrMoved) {
			t.Errorf("ready with %v", err)
		}
		idle.leave(t)
	})
}

// An event that comes while the store is being copied: nothing moves, and the old store goes on.
func TestAnEventDuringAMigrationStopsIt(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 3)
		mv := &move{src: n.Store, dst: &Store{cfg: Config{Prefix: "relay2"}}}
		var err error
		if mv.ends, err = n.checkDrained(t.Context()); err != nil {
			t.Fatal(err)
		}
		digest := n.identity.digest("late")
		for i := 0; n.identity.partition(digest) != 2; i++ { // the others' logs are closed by then, and opened again
			digest = n.identity.digest(fmt.Sprint("late", i))
		}
		if err := n.publish(t.Context(), []packed{{kind: KindEvent, digest: digest, data: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
		if err := mv.closeLog(t.Context()); !errors.Is(err, ErrNotDrained) {
			t.Errorf("closed with %v", err)
		}
		publishMany(t, n, 20)
		n.own(t)
		time.Sleep(10 * time.Second)
		if l := books(t, n); l.Delivered != 21 || l.Difference() != 0 {
			t.Errorf("%+v", l)
		}
		n.leave(t)
	})
}

// Each commit says how far its partition is, its own events included: nobody has to wait for the next one.
func TestEveryCommitTellsTheOthersHowFarItIs(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		publishOne(t, s, "a")
		publishOne(t, s, "b")
		ctx, cancel := context.WithCancel(t.Context())
		var told []int64
		err := s.Partition().Run(ctx, func(_ context.Context, items []Item) error {
			if _, err := commit(t.Context(), s.Partition(), []*Settlement{{Positions: []uint64{items[0].Position}}}); err != nil {
				return err
			}
			l, err := s.storedLedger(t.Context(), logID{})
			if told = append(told, l.Pending); len(told) == 2 {
				cancel()
			}
			return err
		})
		if err != nil || !cmp.Equal(told, []int64{1, 0}) {
			t.Errorf("after each of two events the others are told that %v are pending, %v", told, err)
		}
	})
}

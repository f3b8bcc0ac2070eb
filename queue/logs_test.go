package queue_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

func activity(user string, n int) queue.Entry {
	e := entry(user, n)
	e.Activity = true
	return e
}

func tracked(n int) queue.Tally {
	return queue.Tally{{Type: "track", Outcome: queue.Delivered}: n}
}

func checkLedger(t *testing.T, s *queue.Store, accepted, delivered, pending int64) {
	t.Helper()
	l, err := s.Ledger(t.Context())
	if err != nil || l.Difference() != 0 || l.Accepted != accepted || l.Delivered != delivered || l.Pending != pending {
		t.Errorf("ledger %+v, %v; want %d accepted, %d delivered, %d pending", l, err, accepted, delivered, pending)
	}
}

// Each log is read, settled and remembered by itself; the ledger is about both.
func TestActivitiesHaveALogOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	user := ""
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		publish(t, s, activity("a", 1), entry("a", 2), activity("b", 3), entry("b", 4))
		user = s.User("a")
		p := s.Partition()
		contacts, activities := queuetest.Collect(t, p, 2), queuetest.Collect(t, p.Activities(), 2)
		if diff := cmp.Diff([][]string{{"a-2", "b-4"}, {"a-1", "b-3"}}, [][]string{data(contacts), data(activities)}); diff != "" {
			t.Error(diff)
		}
		if activities[0].Position < contacts[1].Position {
			t.Error("an activity stands before the contacts' events that it came with")
		}
		checkLedger(t, s, 4, 0, 4)
		for _, it := range contacts {
			commit(t, p, queue.Settlement{User: it.User, Record: []byte("contact"), Tally: delivered(1), Positions: []uint64{it.Position}})
		}
		commit(t, p.Activities(), queue.Settlement{User: user, Record: []byte("activity"), Tally: tracked(1), Positions: []uint64{activities[0].Position}})
		checkLedger(t, s, 4, 3, 1)
		commit(t, p, queue.Settlement{}) // takes the floor along
	})
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		p := s.Partition()
		activities := queuetest.Collect(t, p.Activities(), 2)
		if diff := cmp.Diff([]string{"a-1", "b-3"}, data(activities)); diff != "" {
			t.Error(diff)
		}
		for log, want := range map[*queue.Partition]string{p: "contact", p.Activities(): "activity"} {
			if got, rev, err := log.Record(t.Context(), user); string(got) != want || rev == 0 || err != nil {
				t.Errorf("record %q at %d, %v; want %q", got, rev, err, want)
			}
		}
		p.Activities().Skip(activities[0].Position) // its record says so
		commit(t, p.Activities(), queue.Settlement{Tally: tracked(1), Positions: []uint64{activities[1].Position}})
		publish(t, s, entry("c", 5))
		checkLedger(t, s, 5, 4, 1)
	})
}

func TestEachLogHasAHorizonOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	const packs = 3
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		for i := range packs {
			publish(t, s, entry("a", i), activity("a", i))
		}
		queuetest.Collect(t, s.Partition(), packs) // an owner that got this far in both and died
		queuetest.Collect(t, s.Partition().Activities(), packs)
	})
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		recovered := func(p *queue.Partition) bool {
			select {
			case <-p.Recovered():
				return true
			default:
				return false
			}
		}
		contacts, activities := s.Partition(), s.Partition().Activities()
		if recovered(contacts) || recovered(activities) {
			t.Error("recovered before anything is read")
		}
		if l, err := s.Ledger(t.Context()); err != nil || !l.Reading || l.Difference() != 0 {
			t.Errorf("ledger %+v, %v", l, err)
		}
		queuetest.Collect(t, contacts, packs)
		if !recovered(contacts) || recovered(activities) {
			t.Error("the horizon of one log counts for the other")
		}
		queuetest.Collect(t, activities, packs)
		if !recovered(activities) {
			t.Error("the log of activities is read as far as before and does not go on")
		}
	})
}

func TestUnreadTellsOfPacksBetweenTheLogs(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		publish(t, s, entry("a", 1))    // 1
		publish(t, s, activity("a", 2)) // 2
		publish(t, s, entry("a", 3))    // 3
		publish(t, s, activity("a", 4)) // 4
		for _, c := range []struct {
			after, position uint64
			want            bool
		}{{0, 2000, true}, {1000, 2000, false}, {1000, 4000, true}, {3000, 4000, false}, {3000, 2000, false}, {3000, 99_000, false}} {
			if got, err := s.Partition().Unread(t.Context(), c.after, c.position); got != c.want || err != nil {
				t.Errorf("unread after %d before %d: %v, %v", c.after, c.position, got, err)
			}
		}
	})
}

// drain reads both logs until the returned function is called; settle says what is settled.
func drain(t *testing.T, s *queue.Store, settle func(contacts bool) bool) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, p := range []*queue.Partition{s.Partition(), s.Partition().Activities()} {
		wg.Go(func() {
			err := p.Run(ctx, func(_ context.Context, items []queue.Item) error {
				if settle(p == s.Partition()) {
					for _, it := range items {
						p.Commit(&queue.Settlement{Positions: []uint64{it.Position}, Tally: delivered(1), Done: func(uint64, error) {}})
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// One log that stands still must not keep the other's packs, nor lose its own.
func TestTheLogsAreTrimmedApartAndTogether(t *testing.T) {
	const packs, size = 40, 100 << 10
	for name, c := range map[string]struct {
		contacts, activities bool // settled
		left                 int  // packs that must stay, roughly
	}{
		"both settled":       {true, true, 2},
		"activities wait":    {true, false, packs + 1},
		"contacts wait":      {false, true, packs + 1},
		"nothing is settled": {false, false, 2 * packs},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				s := queuetest.Open(t, dir)
				stop := drain(t, s, func(contacts bool) bool { return contacts && c.contacts || !contacts && c.activities })
				for i := range packs {
					for _, act := range []bool{false, true} {
						publish(t, s, queue.Entry{UserID: "a", Activity: act, Data: []byte(strings.Repeat(fmt.Sprint(i%10), size))})
					}
				}
				time.Sleep(2 * time.Minute)
				stop()
				sizes, err := s.Bytes(t.Context())
				if got := int(sizes["EVENTS"]) / size; err != nil || got < c.left || got > c.left+1 {
					t.Errorf("EVENTS holds %d packs, want %d, %v", got, c.left, err)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				s := queuetest.Open(t, dir)
				want := 0
				for _, settled := range []bool{c.contacts, c.activities} {
					if !settled {
						want += packs
					}
				}
				checkLedger(t, s, 2*packs, int64(2*packs-want), int64(want))
				if !c.activities {
					queuetest.Collect(t, s.Partition().Activities(), packs)
				}
				if !c.contacts {
					queuetest.Collect(t, s.Partition(), packs)
				}
			})
		})
	}
}

// A command about a letter takes its turn in the log that the letter's event was in, and so does an imported letter.
func TestCommandsGoWhereTheirLettersComeFrom(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		p := s.Partition()
		for log, position := range map[*queue.Partition]uint64{p: 1000, p.Activities(): 2000} {
			if err := log.PutLetter(t.Context(), queue.Letter{User: s.User("a"), Position: position, Reason: "invalid"}, false); err != nil {
				t.Fatal(err)
			}
		}
		a := s.User("a")
		if err := s.Replay(t.Context(), []string{a + ".1000", a + ".2000"}); err != nil {
			t.Fatal(err)
		}
		if err := s.Command(t.Context(), []string{a + ".2000"}, queue.Order{Discard: "by_operator"}); err != nil {
			t.Fatal(err)
		}
		letter, err := s.Letter(t.Context(), a+".2000")
		if err != nil || !letter.Activity {
			t.Fatalf("letter %+v, %v", letter, err)
		}
		if err := s.Import(t.Context(), []queue.Letter{letter}); err != nil {
			t.Fatal(err)
		}
		if items := queuetest.Collect(t, p, 1); items[0].Letter != 1000 {
			t.Errorf("%+v", items)
		}
		items := queuetest.Collect(t, p.Activities(), 3)
		if items[0].Letter != 2000 || items[1].Letter != 2000 || items[1].Order.Discard != "by_operator" || items[2].Kind != queue.KindEvent {
			t.Errorf("%+v", items)
		}
		if l, imported, err := queue.DecodeImport(items[2].Data); !imported || !l.Activity || err != nil {
			t.Errorf("imported %+v, %v, %v", l, imported, err)
		}
	})
}

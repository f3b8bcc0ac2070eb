package queue

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// fillState stores large records of users until STATE is that full (percent).
func fillState(t *testing.T, s *Store, percent int) {
	t.Helper()
	for n := 0; ; n++ {
		time.Sleep(lookEvery)
		if state, _ := s.room.look(t.Context()); state >= percent {
			return
		}
		if _, err := s.js.Publish(t.Context(), s.names.user(s.User(fmt.Sprint("old", n))), make([]byte, 100<<10)); err != nil {
			t.Fatal(err)
		}
	}
}

func commitRecord(s *Store, user string, size int, rev uint64) <-chan error {
	done := make(chan error, 1)
	s.Partition().Commit(&Settlement{User: s.User(user), Record: make([]byte, size), Rev: rev, Done: func(_ uint64, err error) { done <- err }})
	return done
}

func TestATightStateRefusesNewUsersAtTheDoor(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		fillState(t, s, tightShare-5)
		publishOne(t, s, "new before")
		fillState(t, s, tightShare)
		ctx := t.Context()
		if err := s.Publish(ctx, []Entry{{UserID: "old0", Data: []byte("x")}, {UserID: "new", Data: []byte("x")}}); !errors.Is(err, ErrFull) {
			t.Errorf("a new user's event was answered with %v", err)
		}
		publishOne(t, s, "old0")
		if err := <-commitRecord(s, "new before", 10, 0); err != nil { // accepted before, so there is room for it
			t.Errorf("the record of an event that was accepted before: %v", err)
		}
		publishOne(t, s, "new before")
		if err := s.Ready(ctx); err != nil {
			t.Errorf("events of known users can be stored, but: %v", err)
		}
		if err := s.state.Purge(ctx, jetstream.WithPurgeSubject(s.names.user(s.User("old1")))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
		if state, _ := s.room.look(ctx); state < tightShare {
			publishOne(t, s, "new")
		}
	})
}

// What is left of STATE is for users who have a record: new ones wait, without holding anybody else, and without an error
// upon which their changes would be sent again.
func TestTheLastOfStateIsForKnownUsers(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		fillState(t, s, lastShare)
		waits := []<-chan error{commitRecord(s, "new", 10, 0), commitRecord(s, "newer", 10, 0)}
		_, rev, err := s.Partition().Record(ctx, s.User("old0"))
		if err != nil {
			t.Fatal(err)
		}
		if err := <-commitRecord(s, "old0", 10, rev); err != nil {
			t.Errorf("a known user: %v", err)
		}
		fillState(t, s, lastShare)
		time.Sleep(time.Hour)
		for _, w := range waits {
			select {
			case err := <-w:
				t.Errorf("a new user's settlement was answered with %v", err)
			default:
			}
		}
		for n := range 10 {
			if err := s.state.Purge(ctx, jetstream.WithPurgeSubject(s.names.user(s.User(fmt.Sprint("old", n))))); err != nil {
				t.Fatal(err)
			}
		}
		for _, w := range waits { // by itself
			if err := <-w; err != nil {
				t.Error(err)
			}
		}
		if _, rev, err := s.Partition().Record(ctx, s.User("newer")); rev == 0 || err != nil {
			t.Errorf("its record is at %d, %v", rev, err)
		}
	})
}

// Known users' records that grow can fill it up. The committer waits then: an error would have the change sent again.
func TestAFullStateIsWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		fillState(t, s, 98)
		_, rev, err := s.Partition().Record(ctx, s.User("old0"))
		if err != nil {
			t.Fatal(err)
		}
		grows := commitRecord(s, "old0", MaxRecord, rev)
		time.Sleep(time.Hour)
		select {
		case err := <-grows:
			t.Fatalf("answered with %v", err)
		default:
		}
		for n := range 10 {
			if err := s.state.Purge(ctx, jetstream.WithPurgeSubject(s.names.user(s.User(fmt.Sprint("old", n+1))))); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-grows; err != nil {
			t.Error(err)
		}
	})
}

func TestSettlementsThatWaitForRoomAreAnsweredAtTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		fillState(t, s, lastShare)
		waits := commitRecord(s, "new", 10, 0)
		time.Sleep(time.Minute)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-waits; !errors.Is(err, errClosed) {
			t.Errorf("answered with %v", err)
		}
	})
}

func TestARecordThatIsTooLargeIsRefusedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		if err := <-commitRecord(s, "a", MaxRecord+1, 0); !errors.Is(err, ErrTooLarge) {
			t.Errorf("a record of more than the limit: %v", err)
		}
		if err := <-commitRecord(s, "a", MaxRecord, 0); err != nil {
			t.Errorf("a record of the limit: %v", err)
		}
	})
}

// Activities can wait for days, so they must not take the whole log: what is left of it is for contacts.
func TestActivitiesLeaveRoomForContacts(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		large := Entry{UserID: "a", Activity: true, Data: make([]byte, 400<<10)}
		var err error
		for n := 0; err == nil && n < 1000; n++ {
			time.Sleep(lookEvery)
			err = s.Publish(ctx, []Entry{large})
		}
		if sizes, sizesErr := s.Sizes(ctx); !errors.Is(err, ErrFull) || sizesErr != nil || sizes["EVENTS"].Bytes*100 > sizes["EVENTS"].Limit*80 {
			t.Fatalf("activities were refused with %v at %+v, %v", err, sizes["EVENTS"], sizesErr)
		}
		for range 10 {
			if err := s.Publish(ctx, []Entry{{UserID: "a contact", Data: large.Data}}); err != nil {
				t.Fatal(err)
			}
		}
		accepted := func() int64 {
			l, err := s.Ledger(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return l.Accepted
		}
		if err := s.Publish(ctx, []Entry{{UserID: "a", Activity: true, Erases: true, Data: []byte("x")}}); err != nil {
			t.Errorf("a call that erases: %v", err)
		}
		before := accepted()
		if err := s.Publish(ctx, []Entry{large, {UserID: "a", Data: []byte("x")}}); !errors.Is(err, ErrFull) {
			t.Errorf("both together: %v", err)
		}
		if after := accepted(); after != before+1 {
			t.Errorf("%d of them were stored, want the contact alone", after-before)
		}
		if err := s.events.Purge(ctx, jetstream.WithPurgeSubject(s.names.packs(logID{activities: true})), jetstream.WithPurgeKeep(1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
		if err := s.Publish(ctx, []Entry{large}); err != nil {
			t.Errorf("with room again: %v", err)
		}
	})
}

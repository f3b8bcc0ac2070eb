package worker

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
)

const (
	// shelfEvery is how often lanes that wait for something are looked at.
	shelfEvery = time.Second
	// shelfMax is the longest wait for a contact without looking again.
	shelfMax = time.Minute
)

// newActivities makes the other half of a partition: the lanes of its log of activities. Letters and the gate are shared.
func newActivities(contacts *partition) *partition {
	part := &partition{
		pool: contacts.pool, log: contacts.log.Activities(), again: contacts.again, contacts: contacts,
		backlog: newBacklog(contacts.backlog.limit/4, contacts.pool.behind),
	}
	part.backlog.activities, contacts.backlog.settled = true, part.backlog.wake
	return part
}

// start has the activities performed until waitCtx ends; their log is still to be read.
func (part *partition) start(waitCtx, callCtx context.Context, serve func(func())) {
	serve(func() {
		for sleep(waitCtx, shelfEvery) {
			part.backlog.wakeDue(time.Now())
		}
	})
	serve(func() {
		for _, log := range []*queue.Partition{part.log, part.contacts.log} {
			select {
			case <-log.Recovered():
			case <-waitCtx.Done():
				return
			}
		}
		for range cap(part.pool.performing) {
			serve(func() { part.perform(waitCtx, callCtx) })
		}
	})
}

// perform is one runner of activities. They have places of their own, since they can wait for hours and contacts must not.
func (part *partition) perform(waitCtx, callCtx context.Context) {
	for {
		l, release := part.backlog.next(waitCtx)
		if l == nil {
			release()
			return
		}
		select {
		case part.pool.performing <- struct{}{}:
		case <-waitCtx.Done():
			release()
			return
		}
		t := newTurn(waitCtx, callCtx, part, l)
		err := t.happen()
		<-part.pool.performing
		release()
		if err != nil && waitCtx.Err() == nil {
			part.pool.log.Error("a user's activities could not be worked on, trying again", zap.String("lane", l.user), zap.Error(err))
			part.retryLater(l, l.stall())
		}
	}
}

// contactBefore is what is known of the user's contact, once everything is settled that was stored for it before a position of the
// other log. waits says that something is not, or not even read.
func (part *partition) contactBefore(ctx context.Context, user string, position uint64) (record mapping.Record, waits bool, err error) {
	contacts := part.contacts
	if contacts.backlog.waitsBefore(user, position) {
		return record, true, nil
	}
	if waits, err = contacts.log.Unread(ctx, contacts.backlog.readTo(), position); waits || err != nil {
		return record, waits, err
	}
	if contacts.backlog.waitsBefore(user, position) { // handed out meanwhile
		return record, true, nil
	}
	if record, _, err = contacts.loadRecord(ctx, user); err != nil {
		return record, false, err
	}
	_, heir, err := part.pool.heirs(ctx, user, record) // itself, unless an alias call gave its contact away
	if err != nil {
		return record, false, err
	}
	for _, r := range []*mapping.Record{&record, &heir} {
		if r.Suppressed != 0 || position < r.Allowed { // let come again since: not with what came before
			return record, false, errSuppressed
		}
	}
	return heir, false, nil
}

// waitForContact puts the lane aside until its contact has come as far.
func (part *partition) waitForContact(t *turn, position uint64) error {
	due := time.Now().Add(shelfMax)
	if !part.contacts.backlog.waitsBefore(t.lane.user, position) {
		due = time.Now().Add(shelfEvery) // it is the reader that is not as far, and nobody tells of that
	}
	part.backlog.shelve(t.lane, due)
	if _, waits, err := part.contactBefore(t.callCtx, t.lane.user, position); !waits && err == nil {
		part.backlog.wake(t.lane.user) // it got there before the lane was put aside
	}
	return nil
}

// shelve ends a turn of a lane that waits for something else than a runner: until wake or due.
func (b *backlog) shelve(l *lane, due time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.place, l.due = placeParked, due
}

// wake makes a user's lane ready if it was put aside.
func (b *backlog) wake(user string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.lanes[user]; l != nil && l.place == placeParked {
		b.put(l)
		signal(b.more)
	}
}

// waitsBefore says whether something of the user waits that was stored before a position.
func (b *backlog) waitsBefore(user string, position uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lanes[user]
	return l != nil && len(l.waiting) > 0 && l.waiting[0].Position < position
}

// readTo is the highest position that has come into the lanes.
func (b *backlog) readTo() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

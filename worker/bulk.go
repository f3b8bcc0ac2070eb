package worker

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
)

const (
	// bulkLinger is how long a bulk that is not full waits for more.
	bulkLinger = 300 * time.Millisecond
	// bulkWaiting bounds the changes that wait for a bulk; more wait in their lanes, where they cost less memory.
	bulkWaiting = 3 * freshmarketer.MaxBulk
	// bulkFlights is how many jobs of a partition are at work. More than a few are answered 405 (seen in client code).
	bulkFlights = 3
	// bulkSlots is how many jobs are waited for at most, of which most are done and not asked for: see trust.
	bulkSlots = 32
	// bulkPatience is how long the next job waits for one to end before changes go one by one meanwhile: a job that hangs is
	// followed for much longer, and only those who are in it wait for that.
	bulkPatience = 10 * time.Minute
	// bulkWorth is the fewest changes for which a bulk, which takes two calls, is cheaper.
	bulkWorth = 3
)

// bulks sends the changes of a partition's lanes together while more are ready than the account takes one by one. A
// lane in a bulk is busy until the job has ended and its settlement is committed, so nothing of one user overtakes
// anything.
type bulks struct {
	part *partition
	log  *zap.Logger
	wake chan struct{} // capacity 1: a change waits
	room chan struct{} // capacity 1: changes were taken away
	revs [bulkSlots]uint64
	free chan int      // slots of jobs
	work chan struct{} // one element per job that may be at work

	mu      sync.Mutex // of what follows, and of room
	waiting []*turn
	stuck   bool // jobs do not end: nobody waits for one
}

func newBulks(part *partition, log *zap.Logger) *bulks {
	b := &bulks{part: part, log: log, wake: make(chan struct{}, 1), room: make(chan struct{}, 1), free: make(chan int, bulkSlots), work: make(chan struct{}, bulkFlights)}
	for slot := range bulkSlots {
		b.free <- slot
	}
	return b
}

// pressed says whether so many changes are ready that they go together.
func (b *bulks) pressed() bool {
	b.mu.Lock()
	stuck := b.stuck
	b.mu.Unlock()
	return !stuck && b.part.pool.gate.bulkPays(b.part.backlog.changes()+b.size())
}

// take takes a change over from its runner, if it may be sent with others now.
func (b *bulks) take(t *turn) bool {
	if !b.pressed() {
		return false
	}
	if !t.bulkable() {
		// Whoever is finding out goes on: the others wait for the end of this very turn.
		return t.learning == nil && t.mayFly() && t.p.custom.park(func() { b.part.backlog.giveBack(t.lane) })
	}
	away := false // from the place that the runner has
	defer func() {
		if away {
			t.p.places <- struct{}{} // places come free without us: nobody who has one waits for this
		}
	}()
	for {
		b.mu.Lock()
		if b.stuck {
			b.mu.Unlock()
			return false
		}
		if len(b.waiting) < bulkWaiting {
			b.waiting = append(b.waiting, t)
			if signal(b.wake); len(b.waiting) < bulkWaiting {
				signal(b.room) // one signal stands for the room of many
			}
			b.mu.Unlock()
			return true
		}
		room := b.room
		b.mu.Unlock()
		if !away { // a job takes its time, in which others have a use for the place, and for calls of the quota
			away = true
			t.leave()
			t.p.end()
		}
		select {
		case <-room:
		case <-t.waitCtx.Done():
			return true // the lane is let go: what is not settled is read again
		}
	}
}

// bulkable says whether nothing about the change needs the answer that only a single call gives.
func (t *turn) bulkable() bool {
	if !t.mayFly() {
		return false
	}
	for _, f := range t.rowFields() {
		if f.Custom && t.p.customs.mode(freshmarketer.OpBulkUpsert) != CustomFieldsMerge || !t.p.custom.bulkable(t.p.catalogue, f) {
			return false
		}
	}
	return true
}

// mayFly is bulkable but for what is known of custom fields.
func (t *turn) mayFly() bool {
	l := t.lane
	if l.contact() == "" || l.guess != nil && !t.p.backfill.usable() || t.isAlone() || l.trouble != nil || l.limit > 0 || !l.doubted.IsZero() || len(t.dropped) > 0 || t.noEmail != "" {
		return false
	}
	for _, c := range t.calls {
		if c.letter != nil {
			return false
		}
	}
	if t.account() || len(t.links) > 0 || l.record.Contested() {
		return false
	}
	for _, f := range t.result.Change.Fields {
		if f.Add {
			return false
		}
	}
	return true
}

// run sends what waits until waitCtx ends, and returns when no job is followed any more.
func (b *bulks) run(waitCtx, callCtx context.Context) {
	var flights sync.WaitGroup
	defer flights.Wait()
	for b.gathered(waitCtx) {
		var slot int
		select {
		case slot = <-b.free:
		case <-waitCtx.Done():
			return
		}
		if !b.mayWork(waitCtx) {
			return
		}
		f, err := b.depart(waitCtx, callCtx, slot)
		if f == nil {
			<-b.work
			b.free <- slot
			if err != nil && waitCtx.Err() != nil {
				return
			}
			continue
		}
		flights.Go(func() {
			f.run()
			f.landed()
			b.free <- slot
			signal(b.wake)
		})
	}
}

// mayWork waits until one more job may be at work. While that takes too long, nobody waits for it. It returns false when we are
// stopping.
func (b *bulks) mayWork(ctx context.Context) bool {
	patience := time.NewTimer(bulkPatience)
	defer patience.Stop()
	select {
	case b.work <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	case <-patience.C:
	}
	b.log.Warn("the jobs of bulks do not end, sending changes one by one until they do", zap.Int("jobs", bulkFlights), zap.Duration("waited", bulkPatience))
	for _, t := range b.hang(true) {
		t.aside()
	}
	defer b.hang(false)
	select {
	case b.work <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// hang says whether jobs hang, and takes the changes away that wait for one if they do.
func (b *bulks) hang(now bool) (waiting []*turn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stuck = now; now {
		waiting, b.waiting = b.waiting, nil
		close(b.room) // whoever waits for room has to look
		b.room = make(chan struct{}, 1)
	}
	return waiting
}

// gathered waits until a bulk is full, or has lingered.
func (b *bulks) gathered(ctx context.Context) bool {
	for {
		n := b.size()
		if n >= freshmarketer.MaxBulk || n > 0 && b.part.backlog.changes() == 0 {
			return ctx.Err() == nil
		}
		wait := time.Hour // until somebody wakes us
		if n > 0 {
			wait = bulkLinger
		}
		timer := time.NewTimer(wait)
		select {
		case <-b.wake:
			timer.Stop()
		case <-timer.C:
			if n > 0 {
				return true
			}
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}

func (b *bulks) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting)
}

// depart gets leave for a job's calls, and only then takes the changes: while it waits, more come, and those that are
// there grow. It returns nil if there is nothing to send together.
func (b *bulks) depart(waitCtx, callCtx context.Context, slot int) (*flight, error) {
	pass, waited, err := b.part.pool.gate.enter(waitCtx, classContact, 2+b.checks())
	if err != nil {
		return nil, err
	}
	var turns []*turn
	for _, t := range b.cut() {
		if waited || time.Since(t.folded) > freshFor {
			if !t.refresh() {
				continue
			}
		}
		turns = append(turns, t)
	}
	turns = b.verified(waitCtx, callCtx, pass, turns)
	if len(turns) < bulkWorth {
		pass.leave()
		for _, t := range turns {
			t.releaseClaims()
			t.aside()
		}
		return nil, nil //nolint:nilnil // nothing to send is an ordinary outcome
	}
	return newFlight(waitCtx, callCtx, b, slot, pass, turns), nil
}

func (b *bulks) cut() []*turn {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.waiting), freshmarketer.MaxBulk)
	turns := append([]*turn(nil), b.waiting[:n]...)
	b.waiting = append([]*turn(nil), b.waiting[n:]...)
	signal(b.room)
	return turns
}

// refresh makes the change anew. It returns false if the lane has been settled or given back instead. What has come meanwhile and is
// no part of a change, or asks for more than a bulk can do, is for a turn of its own: the whole of run.
func (t *turn) refresh() bool {
	err := t.gather()
	t.cutAtPrevious()
	if err == nil && (len(t.calls) == 0 || t.aliases() || t.deletes()) {
		t.part.backlog.giveBack(t.lane)
		return false
	}
	if err == nil {
		err = t.fold()
	}
	if err == nil && t.result.Change.Empty() {
		err = t.settle(t.result.Record, nil, "")
		if err == nil {
			return false
		}
	}
	if err != nil {
		t.stall(err)
		return false
	}
	if !t.bulkable() || len(t.result.Change.Links) > 0 {
		t.part.backlog.giveBack(t.lane)
		return false
	}
	return true
}

// aside lets the lane's next change go alone.
func (t *turn) aside() {
	t.lane.alone = true
	t.part.backlog.giveBack(t.lane)
}

// stall lets the lane come again after trouble with our own store.
func (t *turn) stall(err error) {
	if t.waitCtx.Err() != nil {
		return // stopping: what is not settled is read again
	}
	t.p.log.Error("a user's events could not be worked on, trying again", zap.String("lane", t.lane.user), zap.Error(err))
	t.part.retryLater(t.lane, t.lane.stall())
}

// row is the change as a line of a bulk.
func (t *turn) row() freshmarketer.BulkRow {
	return freshmarketer.BulkRow{Identifier: "id", Value: t.lane.contact(), Write: t.rowWrite()}
}

// delivered settles a change that a job has made.
func (t *turn) delivered() {
	record := t.result.Record
	record.ContactID = t.lane.contact()
	t.lane.guess = nil // the account has taken it
	if err := t.settle(record, nil, ""); err != nil {
		t.stall(err)
	}
}

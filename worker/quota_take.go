package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/queue"
)

// takeTries bounds how often a block is tried for while other processes write in between.
const takeTries = 10

// blockSize is how many calls are taken at a time: half a hundredth of the hour, so that a crash costs next to nothing,
// and a small part of the minute, so that several processes share it.
func (q *quota) blockSize(allowed budget) int {
	return max(1, min(allowed.hour/200, allowed.minute/10, 50))
}

// take gets a new block of at least the calls that are needed, or says how long to wait until there can be one.
func (q *quota) take(ctx context.Context, needed int) (wait time.Duration, err error) {
	if err := q.syncClock(ctx); err != nil {
		return 0, err
	}
	for range takeTries {
		if wait, err = q.tryTake(ctx, needed); !errors.Is(err, queue.ErrConflict) {
			return wait, err
		}
	}
	return 0, err
}

func (q *quota) tryTake(ctx context.Context, needed int) (wait time.Duration, err error) {
	s, rev, err := q.read(ctx)
	if err != nil {
		return 0, err
	}
	q.mu.Lock()
	now := q.brokerTime(time.Now())
	q.retire()
	closed := q.settle(&s)
	told := q.apply(&s, now)
	s.tidy(now)
	q.seen, q.seenRev = s, rev
	allowed := s.limits(q.cfg, now)
	calls, wait := s.room(now, allowed, needed, max(needed, q.blockSize(allowed)))
	if barred := s.barred(now); barred > 0 {
		calls, wait = 0, max(wait, barred)
	}
	if calls == 0 {
		q.mu.Unlock()
		if len(closed) > 0 || told > 0 { // others who wait should know, too
			if err := q.write(ctx, s, rev); err != nil {
				return 0, err
			}
			q.mu.Lock()
			q.written(s, closed, told)
			q.mu.Unlock()
		}
		return wait, nil
	}
	q.blocks++
	b := &block{id: fmt.Sprintf("%s.%d", q.owner, q.blocks), calls: calls, end: time.Now().Add(blockLife)}
	s.Taken = append(s.Taken, taken{ID: b.id, End: now.Add(blockLife + callMax).UnixMilli(), Calls: calls})
	q.mu.Unlock()

	if err := q.write(ctx, s, rev); err != nil {
		q.mu.Lock()
		defer q.mu.Unlock()
		b.calls, b.end = 0, time.Now() // it may be stored all the same: the next one that is written takes it back
		q.retired = append(q.retired, b)
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.written(s, closed, told)
	q.block = b
	return 0, nil
}

// retire ends the present block: what is left of it is given back with the next write.
func (q *quota) retire() {
	if q.block != nil {
		q.retired = append(q.retired, q.block)
		q.block = nil
	}
}

// settle corrects what is written down about our earlier blocks, and returns those that need no further correction.
func (q *quota) settle(s *spending) (closed []*block) {
	for _, b := range q.retired {
		mayBegin := b.granted > b.made && time.Now().Before(b.end)
		switch {
		case mayBegin:
			s.put(taken{ID: b.id, End: q.brokerTime(b.end).Add(callMax).UnixMilli(), Calls: b.granted}, b.id)
		case b.flying > 0:
			s.put(taken{ID: b.id, End: q.brokerTime(time.Now()).Add(callMax).UnixMilli(), Calls: b.made}, b.id)
		default:
			s.put(taken{End: q.brokerTime(b.last).UnixMilli(), Calls: b.made}, b.id)
			closed = append(closed, b)
		}
	}
	return closed
}

// written forgets what STATE now knows: told of the limits that were learnt, and what closed blocks were spent on.
func (q *quota) written(s spending, closed []*block, told int) {
	q.retired = slices.DeleteFunc(q.retired, func(b *block) bool { return slices.Contains(closed, b) })
	q.seen, q.lower = s, q.lower[told:]
	q.apply(&q.seen, q.brokerTime(time.Now())) // what was learnt while it was being written
}

// close gives back what is left when the process stops, so that its successor need not wait.
func (q *quota) close() {
	q.mu.Lock()
	q.retire()
	nothing := len(q.retired) == 0
	q.mu.Unlock()
	if !nothing {
		q.tell()
	}
}

// news says whether a 429 taught something that STATE does not know.
func (q *quota) news() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.lower) > 0
}

// tell writes down what was learnt and what became of our blocks. It is worth one try: what fails goes with the next block.
func (q *quota) tell() {
	ctx, cancel := context.WithTimeout(context.Background(), tellTimeout)
	defer cancel()
	s, rev, err := q.read(ctx)
	if err != nil {
		return
	}
	q.mu.Lock()
	now := q.brokerTime(time.Now())
	closed := q.settle(&s)
	told := q.apply(&s, now)
	s.tidy(now)
	q.mu.Unlock()
	if q.write(ctx, s, rev) != nil {
		return // it costs a block
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.written(s, closed, told)
}

func (q *quota) read(ctx context.Context) (spending, uint64, error) {
	data, rev, err := q.store.State(ctx, quotaKey)
	if err != nil {
		return spending{}, 0, err
	}
	s, err := decodeSpending(data)
	return s, rev, err
}

func (q *quota) write(ctx context.Context, s spending, rev uint64) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encoding STATE %s: %w", quotaKey, err)
	}
	_, err = q.store.PutState(ctx, quotaKey, data, rev)
	return err
}

// look sees what other processes have taken since, for status.
func (q *quota) look(ctx context.Context) error {
	if q.cfg.off() {
		return nil
	}
	if err := q.syncClock(ctx); err != nil {
		return err
	}
	s, rev, err := q.read(ctx)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if rev > q.seenRev {
		q.seen, q.seenRev = s, rev
		q.apply(&q.seen, q.brokerTime(time.Now()))
	}
	return nil
}

// syncClock compares our clock with the broker's, which all processes go by. Between two looks the monotonic clock counts,
// so that a clock that is set meanwhile does no harm.
func (q *quota) syncClock(ctx context.Context) error {
	q.mu.Lock()
	fresh := !q.local.IsZero() && time.Since(q.local) < clockAge
	q.mu.Unlock()
	if fresh {
		return nil
	}
	asked := time.Now()
	broker, err := q.store.Clock(ctx)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	took := time.Since(asked)
	if took < clockSlack || q.local.IsZero() { // a slow answer says less than what is known
		q.broker, q.local = broker, asked.Add(took/2)
	}
	return nil
}

// brokerTime is one of our moments by the broker's clock.
func (q *quota) brokerTime(t time.Time) time.Time { return q.broker.Add(t.Sub(q.local)) }

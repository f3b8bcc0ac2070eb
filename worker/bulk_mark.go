package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer"
)

// mark is what STATE holds of a bulk under way, in one of a partition's slots. The zero mark says that there is none.
type mark struct {
	At       time.Time `json:"at,omitzero"`   // before the POST
	Job      string    `json:"job,omitempty"` // "" while the POST is not answered
	Contacts int       `json:"contacts,omitempty"`
}

func (b *bulks) key(slot int) string { return fmt.Sprintf("bulk.%d.%d", b.part.log.Number(), slot) }

func (b *bulks) put(ctx context.Context, slot int, m mark) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding the mark of a bulk: %w", err)
	}
	rev, err := b.part.pool.store.PutState(ctx, b.key(slot), data, b.revs[slot])
	if err != nil {
		// It may be stored all the same: what is there is what the next one builds on.
		if _, now, readErr := b.part.pool.store.State(ctx, b.key(slot)); readErr == nil {
			b.revs[slot] = now
		}
		return fmt.Errorf("noting a bulk: %w", err)
	}
	b.revs[slot] = rev
	return nil
}

func (f *flight) write(m mark) error {
	f.mark = m
	return f.b.put(f.callCtx, f.slot, m)
}

// clear takes the mark away: no job can be at work any more.
func (f *flight) clear() {
	if err := f.b.put(f.callCtx, f.slot, mark{}); err != nil {
		f.b.log.Warn("the mark of a bulk that has ended could not be removed, the next start looks for its job", zap.Error(err))
	}
}

// recover waits for the jobs that an earlier owner of the partition may have left at work. Until then nothing may be
// sent: an older value of theirs could land after a newer one of ours.
func (b *bulks) recover(waitCtx, callCtx context.Context) error {
	for slot := range bulkSlots {
		data, rev, err := b.part.pool.store.State(callCtx, b.key(slot))
		if err != nil {
			return err
		}
		b.revs[slot] = rev
		var m mark
		if rev > 0 {
			if err := json.Unmarshal(data, &m); err != nil {
				b.log.Warn("the mark of a bulk cannot be read, waiting for as long as its job may be at work", zap.Error(err))
				m = mark{At: time.Now()}
			}
		}
		if m.At.IsZero() {
			continue
		}
		b.log.Info("an earlier run has left a bulk at work", zap.Int("contacts", m.Contacts), zap.Bool("known", m.Job != ""))
		if err := b.outlast(waitCtx, callCtx, m); err != nil {
			return err
		}
		if err := b.put(callCtx, slot, mark{}); err != nil {
			return err
		}
	}
	return nil
}

// outlast waits for the end of a job, or for as long as it may be at work if nobody tells.
func (b *bulks) outlast(waitCtx, callCtx context.Context, m mark) error {
	began, unclear := time.Now(), cmp.Or(failpoint.Unclear(), bulkUnclear)
	end := began.Add(min(unclear, max(0, time.Until(m.At.Add(unclear)))))
	for wait := time.Duration(0); m.Job != ""; wait = b.part.pool.pace.next(time.Since(began)) {
		if !sleep(waitCtx, wait) {
			return context.Cause(waitCtx)
		}
		limited, cancel := context.WithDeadline(waitCtx, time.Now().Add(bulkUnclear))
		status, err := b.ask(limited, callCtx, m.Job, nil)
		cancel()
		switch {
		case waitCtx.Err() != nil:
			return context.Cause(waitCtx)
		case err == nil && (status.State == freshmarketer.JobDone || status.State == freshmarketer.JobFailed):
			return nil
		case time.Since(m.At) > bulkLongest, err != nil && time.Now().After(end):
			return nil
		}
		if untold(err) {
			break
		}
	}
	if !sleep(waitCtx, max(0, time.Until(end))) {
		return context.Cause(waitCtx)
	}
	return nil
}

const (
	paceStart = 5 * time.Second
	paceLeast = time.Second
	paceMost  = 2 * time.Minute
)

// pace knows how long jobs take, so that the first question after one finds it done.
type pace struct {
	mu       sync.Mutex
	expected time.Duration
}

func (p *pace) first() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.expected == 0 {
		return paceStart
	}
	return p.expected
}

// next is how long to wait once more after so long in all.
func (p *pace) next(soFar time.Duration) time.Duration {
	return min(max(soFar/2, paceLeast), paceMost)
}

// took notes after how long a job was found done: a little less is tried next time, and more if that was too early.
func (p *pace) took(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.expected > 0 && d <= p.expected+p.expected/10 {
		d = d * 19 / 20
	} else if p.expected > 0 {
		d += d / 10
	}
	p.expected = min(max(d, paceLeast), paceMost)
}

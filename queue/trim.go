package queue

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/failpoint"
)

// apartEvery is how often a log is trimmed further than the other of its partition, in an embedded store: the broker has to
// look through what stays, so it is not done at every tick.
const apartEvery = 30 * time.Second

// trimmer removes what is settled from both logs of a partition. They share a stream, and one may stand still for days, waiting
// for quota, while the other goes on.
type trimmer struct {
	p      *Partition
	common uint64                // both are trimmed as far as this
	to     map[*Partition]uint64 // and each as far as this
	apart  time.Time             // when a log was trimmed by itself last

	filling uint64    // up to which pack all was settled when the log was filled for erasures last
	filled  uint64    // the pack up to which it must be trimmed for that; 0: nothing is under way
	since   uint64    // bytes that have come behind filled, as far as they were counted; not 0: too much to be sure at the first trim
	seen    uint64    // the pack up to which they were counted
	passed  uint64    // the same, so that none of the broker's files with such packs can be there any more; 0: not known
	eraseAt time.Time // when it was filled last
}

// trimLoop removes what lies below the floors, on a timer: also when nothing is committed any more.
func (p *Partition) trimLoop(ctx context.Context) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	t := &trimmer{p: p, to: map[*Partition]uint64{p: 0, p.activities: 0}}
	t.loadErasure(ctx)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, log := range []*Partition{p, p.activities} {
			log.storeProgress()
		}
		if err := t.trim(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("trimming the log failed, trying again", zap.Error(err))
		}
		if err := t.erase(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("erasing what is settled from the log's files failed, trying again", zap.Error(err))
		}
	}
}

// storeProgress has committed how far the log is, if the last commit says something else: the floor has moved, or items were
// skipped that an earlier run had settled.
func (p *Partition) storeProgress() {
	p.mu.Lock()
	c := p.stored.counters
	told := int64(0)
	if c.Settled != nil {
		told = *c.Settled
	}
	moved := p.progress.floor > p.stored.floor || told != p.progress.settledEvents(nil) || c.Reading != p.reading()
	p.mu.Unlock()
	if moved {
		p.Commit(&Settlement{Done: func(uint64, error) {}}) // takes it along
	}
}

// keep is the first pack that must stay: the one after the stored floor, or the last one, whose header holds the running totals.
func (p *Partition) keep() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return min(p.stored.floor+1, p.progress.readSeq)
}

// trim removes what both logs have settled, and then what one has by itself. Where the stream is this partition's alone the first
// is much cheaper for the broker.
func (t *trimmer) trim(ctx context.Context) error {
	keeps := map[*Partition]uint64{t.p: t.p.keep(), t.p.activities: t.p.activities.keep()}
	if t.p.s.Alone() && t.p.s.identity.Partitions == 1 {
		if err := t.trimCommon(ctx, keeps); err != nil || time.Since(t.apart) < apartEvery {
			return err
		}
	}
	for log, keep := range keeps {
		if keep <= t.to[log] {
			continue
		}
		if err := t.purge(ctx, jetstream.WithPurgeSequence(keep), jetstream.WithPurgeSubject(t.p.s.names.packs(log.id))); err != nil {
			return err
		}
		t.to[log], t.apart = keep, time.Now()
	}
	return nil
}

// trimCommon removes everything below what either log keeps.
func (t *trimmer) trimCommon(ctx context.Context, keeps map[*Partition]uint64) error {
	lowest := keeps[t.p]
	// Asked for after the keeps: an activity that is stored later lies above what was read of the contacts by then.
	last, err := t.p.s.lastPack(ctx, t.p.activities.id)
	if err != nil {
		return err
	}
	if last != nil {
		lowest = min(lowest, keeps[t.p.activities])
	}
	if lowest <= t.common {
		return nil
	}
	if err := t.purge(ctx, jetstream.WithPurgeSequence(lowest)); err != nil {
		return err
	}
	t.common = lowest
	for log, to := range t.to {
		t.to[log] = max(to, lowest)
	}
	return nil
}

func (t *trimmer) purge(ctx context.Context, opts ...jetstream.StreamPurgeOpt) error {
	failpoint.Hit(failpoint.TrimBefore)
	if err := t.p.s.events.Purge(ctx, opts...); err != nil {
		return err
	}
	failpoint.Hit(failpoint.TrimAfter)
	return nil
}

package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
)

const (
	unmappedKey = "unmapped" // in STATE
	// unmappedEvery is how much of the report a crash may forget.
	unmappedEvery = time.Minute
	unmappedSave  = 2 * time.Second // what saving it may take when the pool stops
)

// unmapped keeps the report of traits that find no field. It survives restarts but for its last minute, and several
// processes add to the same.
type unmapped struct {
	store *queue.Store
	log   *zap.Logger

	mu     sync.Mutex
	stored mapping.Report // as read last
	saving mapping.Report // on its way there
	fresh  mapping.Report // counted here since
}

func (u *unmapped) add(source string, o mapping.Outcome, at time.Time) {
	if o.Unmapped == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fresh.Add(source, o, at)
}

// report is what is known now.
func (u *unmapped) report() mapping.Report {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all mapping.Report
	all.Merge(u.stored)
	all.Merge(u.saving)
	all.Merge(u.fresh)
	return all
}

// run reads what an earlier run counted and then saves from time to time.
func (u *unmapped) run(ctx context.Context) {
	for more := true; more; more = sleep(ctx, unmappedEvery) {
		u.save(ctx)
	}
}

// close saves for the last time.
func (u *unmapped) close() {
	ctx, cancel := context.WithTimeout(context.Background(), unmappedSave)
	defer cancel()
	u.save(ctx)
}

// save adds what was counted here to what is stored. It does not matter if it fails: the next time carries it along.
func (u *unmapped) save(ctx context.Context) {
	const tries = 3 // others may save at the same moment
	for range tries {
		err := u.trySave(ctx)
		if errors.Is(err, queue.ErrConflict) {
			continue
		}
		if err != nil && ctx.Err() == nil {
			u.log.Warn("the report of unmapped traits could not be saved", zap.Error(err))
		}
		return
	}
}

func (u *unmapped) trySave(ctx context.Context) error {
	data, rev, err := u.store.State(ctx, unmappedKey)
	if err != nil {
		return err
	}
	all, err := mapping.DecodeReport(data)
	if err != nil { // of a version to come, or broken: it only explains, so it begins anew
		u.log.Warn("the report of unmapped traits is unreadable and begins anew", zap.Error(err))
	}
	u.mu.Lock()
	u.saving.Merge(u.fresh) // not empty if the last try failed
	u.stored, u.fresh = all, mapping.Report{}
	var next mapping.Report // a copy: what stands in u is read by others
	next.Merge(u.stored)
	next.Merge(u.saving)
	nothing := u.saving.Empty()
	u.mu.Unlock()
	if nothing {
		return nil
	}
	if data, err = next.Encode(); err != nil {
		return err
	}
	if _, err = u.store.PutState(ctx, unmappedKey, data, rev); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stored, u.saving = next, mapping.Report{}
	return nil
}

// Unmapped are the traits that find no field, the most frequent first.
func (p *Pool) Unmapped() []mapping.Unmapped {
	report := p.unmapped.report()
	return report.List()
}

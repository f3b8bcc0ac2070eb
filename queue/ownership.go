package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// ownership decides which partitions this process owns on a broker that it shares with others. Every process that delivers
// says so (presence), takes at most an equal share of the partitions, and gives back what it has beyond that.
type ownership struct {
	s    *Store
	log  *zap.Logger
	id   string // of this process
	time time.Duration
	run  func(context.Context, *Partition) error

	seen    map[string]sighting // by subject
	tenures map[int]*tenure
	ended   chan tenureEnd
	told    string // of the spread, last said in the log
}

func (s *Store) newOwnership(run func(context.Context, *Partition) error) *ownership {
	return &ownership{
		s: s, log: s.log.Named("ownership"), id: s.process, time: s.cfg.External.lease(), run: run,
		seen: map[string]sighting{}, tenures: map[int]*tenure{}, ended: make(chan tenureEnd, s.identity.Partitions),
	}
}

// keep takes and gives back partitions until parent ends or a partition fails, and then gives all back.
func (o *ownership) keep(parent context.Context) error {
	tick := time.NewTicker(o.time / leaseParts)
	defer tick.Stop()
	o.s.presence.deliver(true)
	defer o.s.presence.deliver(false) // the others share what this process has given back
	done := parent.Done()
	var failure error
	stopping := false
	for {
		switch {
		case stopping && len(o.tenures) == 0:
			return failure
		case stopping:
			o.renew()
		default:
			if err := o.round(parent); err != nil && parent.Err() == nil {
				if errors.Is(err, ErrMismatch) {
					failure, stopping = err, true
					o.stopAll()
					continue
				}
				o.log.Warn("looking after the partitions failed, trying again", zap.Error(err))
			}
		}
		select {
		case <-tick.C:
		case end := <-o.ended:
			delete(o.tenures, end.number)
			switch {
			case end.err == nil || errors.Is(end.err, ErrLost):
			case final(end.err):
				if failure == nil {
					failure, stopping = end.err, true
					o.stopAll()
				}
			default: // the servers' trouble, as a rule: the partition is free for whoever has none
				o.log.Warn("a partition could not be worked on and was given back", zap.Int("partition", end.number), zap.Error(end.err))
			}
		case <-done:
			done, stopping = nil, true
			o.stopAll()
		}
	}
}

// final says that the process must not go on: the store is not what it took it for, or nothing is committed any more.
func final(err error) bool {
	for _, kind := range []error{ErrConflict, ErrMismatch, errClosed, errPack} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

func (o *ownership) stopAll() {
	for _, t := range o.tenures {
		t.stop()
		t.stopping = true
	}
}

// round is one look around, and what follows from it.
func (o *ownership) round(ctx context.Context) error {
	o.renew()
	processes, err := o.processes(ctx)
	if err != nil {
		return err
	}
	share := (o.s.identity.Partitions + processes - 1) / processes
	o.giveBack(share)
	free, err := o.free(ctx)
	if err != nil {
		return err
	}
	for _, f := range free {
		if o.active() >= share {
			break
		}
		o.renew() // taking many over takes its time
		if err := o.take(ctx, f); err != nil {
			return err
		}
	}
	if told := fmt.Sprint(o.active(), processes); told != o.told {
		o.told = told
		o.log.Info("partitions owned", zap.Int("owned", o.active()), zap.Int("of", o.s.identity.Partitions), zap.Int("processes", processes))
	}
	return nil
}

func (o *ownership) active() (n int) {
	for _, t := range o.tenures {
		if !t.stopping {
			n++
		}
	}
	return n
}

// renew asks the committer for renewals that are due; it sends them, so that no batch of its own is fenced by an older one.
func (o *ownership) renew() {
	for _, t := range o.tenures {
		if t.p.toRenew() {
			t.p.Commit(&Settlement{Done: func(uint64, error) { t.p.renewalAnswered() }})
		}
	}
}

package queue

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// strays knows which letters may be in DEAD and not count: those stored for a settlement that is not committed yet, and those
// whose settlement is committed and which are not removed yet. Every commit says so, so that an owner's start looks at these
// few and not at all there are. It is guarded by its partition.
type strays struct {
	from uint64            // every letter of the partition with a smaller sequence in DEAD counts, or is in gone
	last uint64            // once Reconcile has ended, no letter stored from now on has a sequence up to this one
	told bool              // Reconcile has ended
	open map[uint64]uint64 // by position of the item: the least sequence that its letter can have
	gone map[string]bool   // ids
}

func newStrays(c counters) strays {
	s := strays{from: c.DeadFrom, open: map[uint64]uint64{}, gone: map[string]bool{}}
	for _, id := range c.Gone {
		s.gone[id] = true
	}
	return s
}

// next is what a commit of these settlements says about strays.
func (s *strays) next(settlements []*Settlement) (from uint64, gone []string) {
	if from = s.from; s.told {
		from = s.last + 1
	}
	settled := map[uint64]bool{}
	ids := maps.Clone(s.gone)
	for _, settlement := range settlements {
		for _, position := range settlement.Positions {
			settled[position] = true
		}
		for _, id := range settlement.Gone {
			ids[id] = true
		}
	}
	for position, seq := range s.open {
		if !settled[position] {
			from = min(from, seq)
		}
	}
	return from, slices.Sorted(maps.Keys(ids))
}

// committed follows a commit.
func (s *strays) committed(settlement *Settlement) {
	for _, position := range settlement.Positions {
		delete(s.open, position)
	}
	for _, id := range settlement.Gone {
		s.gone[id] = true
	}
}

// itemOf is the position of the item whose settlement a letter is stored for.
func itemOf(l Letter) uint64 {
	if l.Command != 0 {
		return l.Command
	}
	return l.Position
}

// burying notes that a letter is about to be stored.
func (p *Partition) burying(l Letter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.strays.open[itemOf(l)]; !known {
		p.strays.open[itemOf(l)] = p.strays.last + 1
	}
}

// buried notes where a letter was stored.
func (p *Partition) buried(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.strays.told {
		p.strays.last = max(p.strays.last, seq)
	}
}

func (p *Partition) dropped(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.strays.gone, id)
}

// HasDead says whether the partition, in both of its logs, has dead letters of a reason, by the ledger.
func (p *Partition) HasDead(reason string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, row := range p.stored.counters.Rows {
		if row.Outcome == Dead && row.Reason == reason && row.N > 0 {
			return true
		}
	}
	return p.activities != nil && p.activities.HasDead(reason)
}

// Reconcile puts the dead letters of this log in order after a start, before anything is delivered: letters that do not count
// are removed. It asks of those alone that were on their way when the last owner ended, however many there are. (A store of
// which no owner has noted that yet, as after Migrate, is looked through as a whole.)
func (p *Partition) Reconcile(ctx context.Context, counts func(Letter) (bool, error)) error {
	p.mu.Lock()
	from, gone := p.strays.from, slices.Collect(maps.Keys(p.strays.gone))
	p.mu.Unlock()
	last, err := p.s.LastLetter(ctx)
	if err != nil {
		return err
	}
	kept := map[string]uint64{}
	err = p.s.scanLetters(ctx, letterScan{from: from}, func(seq uint64, l Letter) (bool, error) {
		if !p.Owns(l.User) || l.Activity != p.id.activities { // it is the other log's
			return true, nil
		}
		ok, err := counts(l)
		if err == nil && !ok {
			gone = append(gone, l.ID)
		} else {
			kept[l.ID] = seq
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("looking through the dead letters: %w", err)
	}
	if err := p.shredFormer(ctx, kept); err != nil {
		return err
	}
	for _, id := range gone {
		if err := p.DropLetter(ctx, id); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.strays.last, p.strays.told = last, true // 0 in a store that never had one: the first has sequence 1
	return nil
}

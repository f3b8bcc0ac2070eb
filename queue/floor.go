package queue

import (
	"fmt"
	"time"
)

// progress knows which packs have been read and how many of their items are still open. The floor is the highest
// pack below which everything is settled; after a restart the log is read from there. It is not safe for concurrent
// use: Partition guards it.
type progress struct {
	floor uint64
	packs map[uint64]*openPack
	order []uint64 // sequences of packs above the floor, ascending

	openEvents int    // events handed out and not settled
	readSeq    uint64 // last pack read
	readEvents uint64 // running total of events in that pack's header
}

type openPack struct {
	left int
	open []Kind    // by index in the pack; 0 once settled
	at   time.Time // when the pack was stored
}

func newProgress(floor uint64) *progress {
	return &progress{floor: floor, packs: map[uint64]*openPack{}, readSeq: floor}
}

// read notes a pack that is about to be handed out.
func (p *progress) read(seq, totalEvents uint64, at time.Time, items []Item) {
	pack := &openPack{left: len(items), open: make([]Kind, len(items)), at: at}
	for i, it := range items {
		pack.open[i] = it.Kind
		if it.Kind == KindEvent {
			p.openEvents++
		}
	}
	p.packs[seq], p.order = pack, append(p.order, seq)
	p.readSeq, p.readEvents = seq, totalEvents
	p.advance()
}

// settled notes one item as done. Settling an unknown item, or one twice, would let the floor pass an open event.
func (p *progress) settled(position uint64) error {
	seq := position / positionStep
	pack := p.packs[seq]
	if pack == nil {
		return fmt.Errorf("settling position %d: its pack is not open", position)
	}
	index := position % positionStep
	if index >= uint64(len(pack.open)) || pack.open[index] == 0 {
		return fmt.Errorf("settling position %d: it is not open", position)
	}
	if pack.open[index] == KindEvent {
		p.openEvents--
	}
	pack.open[index] = 0
	if pack.left--; pack.left == 0 {
		p.advance()
	}
	return nil
}

// settledEvents is how many events of the log are settled once the items at these positions are, too.
func (p *progress) settledEvents(more []uint64) int64 {
	n := int64(p.readEvents) - int64(p.openEvents)
	for _, position := range more {
		pack, index := p.packs[position/positionStep], position%positionStep
		if pack != nil && index < uint64(len(pack.open)) && pack.open[index] == KindEvent {
			n++
		}
	}
	return n
}

func (p *progress) advance() {
	for len(p.order) > 0 && p.packs[p.order[0]].left == 0 {
		p.floor = p.order[0]
		delete(p.packs, p.floor)
		p.order = p.order[1:]
	}
}

// oldest is when the oldest open pack was stored; zero if none is open.
func (p *progress) oldest() time.Time {
	if len(p.order) == 0 {
		return time.Time{}
	}
	return p.packs[p.order[0]].at
}

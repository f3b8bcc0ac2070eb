package worker

import (
	"context"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/mapping"
)

// Whoever waits for room among the changes of a bulk, for minutes if jobs hang, keeps neither a place nor calls of the quota.
func TestWaitingForRoomHoldsNothing(t *testing.T) {
	gateBubble(t, func(t *testing.T, g *gateRig) {
		p := &Pool{gate: g.gate, places: make(chan struct{}, 1)}
		part := &partition{pool: p, backlog: newBacklog(1<<20, nil)}
		b := newBulks(part, zap.NewNop())
		b.waiting = make([]*turn, bulkWaiting)
		for range bulkWaiting {
			part.backlog.ready = append(part.backlog.ready, &lane{})
		}
		ctx, cancel := context.WithCancel(t.Context())
		turn := newTurn(ctx, ctx, part, &lane{loaded: true, record: mapping.Record{ContactID: "1"}})
		var err error
		if turn.pass, err = g.tryEnter(classContact, 1); err != nil {
			t.Fatal(err)
		}
		p.places <- struct{}{}
		taken := make(chan bool)
		go func() { taken <- b.take(turn) }()
		synctest.Wait()
		if turn.pass != nil || len(p.places) != 0 {
			t.Errorf("it holds a pass (%v) or a place (%d)", turn.pass != nil, len(p.places))
		}
		b.hang(true)
		if <-taken || len(p.places) != 1 {
			t.Error("it was to go alone, in its place")
		}
		cancel()
	})
}

package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/queue"
)

const (
	orderKey = "pause"
	// orderEvery is how soon a process follows what was said to another one.
	orderEvery = 10 * time.Second
)

// order is what an operator said last about sending. STATE keeps it, so that it holds for all processes and survives
// their restarts.
type order struct {
	Paused bool      `json:"paused"`
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty"`   // who said so
	Note   string    `json:"note,omitempty"` // why
}

// Pause stops all API calls, in all processes of the store, until Resume. Calls under way end; events are taken in as before.
// by and note say who wants it and why; "" if nobody said. It may be repeated, with another note too: the pause goes on then.
// After an error the order may have been stored all the same, and takes effect within seconds then.
func (p *Pool) Pause(ctx context.Context, by, note string) error {
	return p.order(ctx, order{Paused: true, By: by, Note: note})
}

// Resume ends a Pause. It may be repeated, and does not end any other hold.
func (p *Pool) Resume(ctx context.Context) error { return p.order(ctx, order{}) }

func (p *Pool) order(ctx context.Context, next order) error {
	for range takeTries {
		now, rev, err := p.readOrder(ctx)
		if err != nil {
			return err
		}
		if now.Paused != next.Paused || next.Note != "" && next.Note != now.Note {
			if next.At = now.At; now.Paused != next.Paused {
				next.At = time.Now().UTC()
			}
			now = next
			data, err := json.Marshal(now)
			if err != nil {
				return fmt.Errorf("encoding STATE %s: %w", orderKey, err)
			}
			if rev, err = p.store.PutState(ctx, orderKey, data, rev); errors.Is(err, queue.ErrConflict) {
				continue // somebody else said something at the same time
			} else if err != nil {
				return err
			}
		}
		p.gate.obey(now, rev)
		return nil
	}
	return fmt.Errorf("%w: others write STATE %s all the time", queue.ErrUnavailable, orderKey)
}

func (p *Pool) readOrder(ctx context.Context) (order, uint64, error) {
	data, rev, err := p.store.State(ctx, orderKey)
	if err != nil || rev == 0 {
		return order{}, 0, err
	}
	var o order
	if err := json.Unmarshal(data, &o); err != nil {
		return order{}, 0, fmt.Errorf("STATE %s is unreadable: %w", orderKey, err)
	}
	return o, rev, nil
}

// followOrders looks at intervals what was said to other processes, and what they have taken from the quota.
func (p *Pool) followOrders(ctx context.Context) {
	for sleep(ctx, orderEvery) {
		if o, rev, err := p.readOrder(ctx); err == nil {
			p.gate.obey(o, rev)
		} else if ctx.Err() == nil {
			p.log.Warn("cannot see whether sending is to pause; it goes on as it was", zap.Error(err))
		}
		_ = p.gate.quota.look(ctx) // only for status: whoever takes looks for itself
	}
}

// obey follows an order unless a later one is known already.
func (g *gate) obey(o order, rev uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if rev <= g.orderRev {
		return
	}
	changed := o.Paused != g.order.Paused
	g.order, g.orderRev = o, rev
	if !changed {
		return
	}
	g.metrics.SetPaused(string(HoldOperator), o.Paused)
	if o.Paused {
		g.log.Info("sending is paused by an operator")
		g.idle.begin()
		return
	}
	g.log.Info("sending is resumed by an operator", zap.String("held_for_besides", string(g.hold)))
	g.idle.end()
	g.broadcast()
}

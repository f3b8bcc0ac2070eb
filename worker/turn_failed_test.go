package worker

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

// A change may need our own store between two of its calls. What fails there is no try for its user, however often it does: the lane
// is left as it was, for whoever retries our own trouble.
func TestTroubleWithOurStoreIsNoUsersTrouble(t *testing.T) {
	gateBubble(t, func(t *testing.T, g *gateRig) {
		retry := Retry{Initial: time.Second, Max: time.Minute, MaxAge: 15 * time.Minute}
		p := &Pool{gate: g.gate, attempts: zap.NewNop(), cfg: Config{Retry: retry, Metrics: metrics.New()}}
		part, l := &partition{pool: p, backlog: newBacklog(1<<20, nil)}, &lane{user: "ann"}
		turn := newTurn(t.Context(), t.Context(), part, l)
		turn.counts = true // the call before went well
		again, err := turn.failed(queue.ErrUnavailable)
		if again || !errors.Is(err, queue.ErrUnavailable) || l.trouble != nil {
			t.Errorf("again %v, %v, %d attempts", again, err, l.attempts())
		}
		time.Sleep(2 * retry.Max)
		if len(part.backlog.ready) > 0 {
			t.Error("the lane was given back, and will be by whoever got the error")
		}
	})
}

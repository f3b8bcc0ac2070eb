package worker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Quota says how many calls the account gives and which part of them is not ours. It is spent by all processes of a store
// together, and every call counts: probes, polls and look-ups too.
// Source: Freshworks support 50000005599 (1,000 to 5,000 an hour for the whole account, by plan) and 50000010026 (400 a
// minute besides, on classic plans).
type Quota struct {
	PerHour   int     // calls in any 60 minutes; 0: no limit of ours
	PerMinute int     // calls in any 60 seconds; 0: no limit of ours
	Reserve   float64 // part of both that is left to people and to other integrations: 0 to below 1
}

// DefaultQuota is that of the smallest plan.
func DefaultQuota() Quota { return Quota{PerHour: 1000, PerMinute: 400, Reserve: 0.1} }

func (q Quota) check() error {
	if q.PerHour < 0 || q.PerMinute < 0 || q.Reserve < 0 || q.Reserve >= 1 {
		return fmt.Errorf("freshmarketer.quota is %+v: per_hour and per_minute must not be negative, reserve at least 0 and below 1", q)
	}
	if allowed := q.allowed(); min(allowed.hour, allowed.minute) < MinCalls {
		return fmt.Errorf("freshmarketer.quota is %+v: it leaves us fewer than %d calls in a window", q, MinCalls)
	}
	return nil
}

// MinCalls is what a window must leave us at least: one change takes several calls.
const MinCalls = 10

func (q Quota) off() bool { return q.PerHour == 0 && q.PerMinute == 0 }

// of is what a limit leaves us.
func (q Quota) of(limit int) int {
	if limit == 0 {
		return math.MaxInt32
	}
	return limit - q.reserved(limit)
}

// reserved is the part of a limit that is not ours, rounded up: it is theirs first.
func (q Quota) reserved(limit int) int { return int(math.Ceil(float64(limit)*q.Reserve - 1e-9)) }

func (q Quota) allowed() budget { return budget{hour: q.of(q.PerHour), minute: q.of(q.PerMinute)} }

// budget is a number of calls for each of the two windows.
type budget struct{ hour, minute int }

// class is what a call is for. When calls are short, a lower class is served before a higher one.
type class int

const (
	classSystem   class = iota // what all others wait for: probes, the account's fields, jobs under way
	classContact               // contacts
	classReplay                // contacts of dead letters alone: live ones go first
	classActivity              // activities and events: they can wait longest
	classes
)

const (
	// blockLife is how long calls of a block may be begun. It only has to cover one change's calls.
	blockLife = time.Minute
	// callMax is longer than any call takes, so that a call which nobody reported is not forgotten too early.
	callMax = 15 * time.Second
	// clockAge is how long the difference to the broker's clock is believed.
	clockAge = time.Minute
	// quotaRetry and quotaRetryMax are the waits while STATE does not answer: nothing is spent that is not written down.
	quotaRetry    = 500 * time.Millisecond
	quotaRetryMax = 15 * time.Second
	tellTimeout   = 500 * time.Millisecond
)

// errNoCalls says that the quota has no call now and that the caller did not want to wait.
var errNoCalls = errors.New("no call is left in the quota now")

// account is where processes share what was spent. *queue.Store is one.
type account interface {
	State(ctx context.Context, key string) (data []byte, rev uint64, err error)
	PutState(ctx context.Context, key string, data []byte, rev uint64) (uint64, error)
	Clock(ctx context.Context) (time.Time, error)
}

// quota grants calls. Calls are taken from the account in small blocks, written down before the first of them is made, so
// that a crash wastes at most a block and never spends a call twice. Waiters of one class are served in their order.
type quota struct {
	cfg   Quota
	store account
	log   *zap.Logger
	owner string              // begins the ids of our blocks
	dry   func(waitsNow bool) // told when calls are waited for, and when no more; called without locks
	wake  chan struct{}       // capacity 1: somebody waits, or something was given back

	mu      sync.Mutex
	waiting [classes][]*waiter
	block   *block    // calls are granted from it; nil: none
	retired []*block  // not granted from any more, and not yet settled in STATE
	blocks  int       // taken so far, for ids
	seen    spending  // as STATE had it last
	seenRev uint64    // of STATE
	lower   []learnt  // limits to be written with the next block
	cap     *seenCap  // what the API said is left
	passed  int       // contacts that were served since a replay was, while one waited
	short   time.Time // when contacts waited last
	begun   time.Time // when activities got calls last

	broker, local time.Time // one moment by the broker's clock and by ours
	failing       bool
}

// block is a number of calls that this process may make until its end.
type block struct {
	id      string
	calls   int
	granted int // to somebody, made or not
	made    int
	flying  int       // made and not answered
	last    time.Time // answer of the last one
	end     time.Time // none is begun after
}

func (b *block) left() int { return b.calls - b.granted }

// waiter waits for a number of calls.
type waiter struct {
	calls int
	ready chan *grant // capacity 1
}

func newQuota(cfg Quota, store account, owner string, log *zap.Logger) *quota {
	return &quota{cfg: cfg, store: store, owner: owner, log: log, dry: func(bool) {}, wake: make(chan struct{}, 1)}
}

// acquire waits until so many calls may be made, after all who waited before in the same class.
func (q *quota) acquire(ctx context.Context, c class, calls int) (*grant, error) {
	if q.cfg.off() {
		return &grant{}, nil
	}
	if g, err := q.tryAcquire(c, calls); err == nil {
		return g, nil
	}
	w := &waiter{calls: calls, ready: make(chan *grant, 1)}
	q.mu.Lock()
	q.waiting[c] = append(q.waiting[c], w)
	q.mu.Unlock()
	signal(q.wake)
	select {
	case g := <-w.ready:
		return g, nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	for i, other := range q.waiting[c] {
		if other == w {
			q.waiting[c] = append(q.waiting[c][:i:i], q.waiting[c][i+1:]...)
			break
		}
	}
	q.mu.Unlock()
	signal(q.wake) // for those behind
	select {
	case g := <-w.ready: // granted at the same moment
		g.giveBack()
	default:
	}
	return nil, context.Cause(ctx)
}

// most keeps a wish below what the windows can ever give at once.
func (q *quota) most(calls int) int {
	allowed := q.seen.limits(q.cfg, q.brokerTime(time.Now()))
	return max(1, min(calls, allowed.hour, allowed.minute))
}

// reach is how many of so many calls can be given at once, if one waits for them.
func (q *quota) reach(calls int) int {
	if q.cfg.off() {
		return calls
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.most(calls)
}

// tryAcquire grants calls if they are at hand and nobody waits for them.
func (q *quota) tryAcquire(c class, calls int) (*grant, error) {
	if q.cfg.off() {
		return &grant{}, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, before := range q.waiting[:c+1] {
		if len(before) > 0 {
			return nil, errNoCalls
		}
	}
	if c == classActivity && q.mind(calls) > 0 {
		return nil, errNoCalls
	}
	if g := q.grantLocked(q.most(calls)); g != nil {
		return g, nil
	}
	return nil, errNoCalls
}

// more grants one call to a change under way, which would have to begin anew without: before all who wait, if one is at hand or comes
// free within patience. It does not wait for longer: what the change has read must not grow old.
func (q *quota) more(patience time.Duration) (*grant, error) {
	if q.cfg.off() {
		return &grant{}, nil
	}
	q.mu.Lock()
	g := q.grantLocked(1)
	q.mu.Unlock()
	switch {
	case g != nil:
		return g, nil
	case patience == 0:
		return nil, errNoCalls
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return q.acquire(ctx, classSystem, 1)
}

func (q *quota) grantLocked(calls int) *grant {
	q.cap = q.cap.now(time.Now(), calls)
	if q.block == nil || !time.Now().Before(q.block.end) || q.block.left() < calls || !q.cap.lets(calls) {
		return nil
	}
	q.block.granted += calls
	q.cap.spend(calls)
	return &grant{quota: q, block: q.block, left: calls}
}

package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// leaseParts divides the lease time: a round of looking around is one part, a renewal comes every four (8 s of 30 s), and one
// is the margin that a deadline keeps.
const leaseParts = 15

const renewParts = 4

// lease is one partition's, as this process holds it. Guarded by the standing's mutex.
type lease struct {
	holder holder
	rev    uint64        // of lease.<p> as it is stored: what every commit is fenced with
	sent   time.Time     // when the renewal that is stored was sent
	time   time.Duration // of a lease
}

// holder is the value of lease.<p>. The tenure tells two holdings of one process apart.
type holder struct {
	Process string `json:"process"` // "": nobody
	Tenure  string `json:"tenure,omitempty"`
}

func decodeHolder(data []byte) (holder, error) {
	var h holder
	if len(data) == 0 {
		return h, nil
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return h, fmt.Errorf("%w: a lease is unreadable: %w", ErrMismatch, err)
	}
	return h, nil
}

func (h holder) encode() []byte {
	data, _ := json.Marshal(h) //nolint:errchkjson // two strings
	return data
}

// left is how long the lease still holds for its holder: from the sending of the last renewal, so that nobody else can have
// begun to count earlier. The monotonic clock may stand still while a machine sleeps and the wall clock may be set, so the
// more careful of the two counts. No clock is compared with another machine's.
func (l *lease) left(now time.Time) time.Duration {
	return l.time - elapsed(now.Sub(l.sent), now.Round(0).Sub(l.sent.Round(0)))
}

// elapsed is how much time may have passed by the monotonic and by the wall clock: the more, so that the lease is shorter.
func elapsed(monotonic, wall time.Duration) time.Duration { return max(monotonic, wall) }

func (l *lease) margin() time.Duration { return l.time / leaseParts }

func (l *lease) due(now time.Time) bool { return now.Sub(l.sent) >= renewParts*l.time/leaseParts }

// renewed notes that a renewal is stored which was sent, for the first time, at that moment.
func (st *standing) renewed(rev uint64, sent time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.lease.rev, st.lease.sent = rev, sent
}

// holdPoll is how often somebody who waits for a renewal looks.
const holdPoll = 50 * time.Millisecond

// Hold waits until this process is sure to own the partition for the time that a call may take, and a margin. It returns an
// error when the partition is lost or ctx ends. The owner of an embedded store owns it as long as it lives.
func (st *standing) Hold(ctx context.Context, call time.Duration) error {
	for {
		st.mu.Lock()
		l, err := st.lease, st.err
		ok := l == nil || l.left(time.Now()) > call+l.margin()
		st.mu.Unlock()
		if err != nil {
			return err
		}
		if ok {
			return nil
		}
		if err := pause(ctx, holdPoll); err != nil {
			return err
		}
	}
}

// pause waits, or returns why ctx has ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Held is Hold for the very moment before bytes leave: nil as long as the lease has not run out, without waiting.
func (st *standing) Held() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.err != nil {
		return st.err
	}
	if st.lease != nil && st.lease.left(time.Now()) <= st.lease.margin() {
		return fmt.Errorf("%w: the lease has run out", ErrLost)
	}
	return nil
}

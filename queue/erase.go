package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/failpoint"
)

// Purging takes messages out of the broker's index and leaves their bytes in its files until a whole file is settled, which
// in a quiet log can take months. So after a user was erased the log is pushed on: packs without items fill the broker's
// current file up to where the next trim rewrites it without what is gone. (nats-server 2.15: a purge rewrites a file of more
// than 2 MB of which less than half is left.) What an erased user sends later is discarded, and goes the same way.

const (
	// fillPacks of nearly 512 KB are more than the 2 MB from which the broker rewrites a file.
	fillPacks = 5
	// eraseEvery bounds what erasing costs, however many users are erased: one round of filling a minute.
	eraseEvery = time.Minute
	// eraseLateEvery is the same for calls of erased users that come later: some clients never stop.
	eraseLateEvery = time.Hour
	// brokerFile is the most that one of the broker's files holds (nats-server 2.15).
	brokerFile = 8 << 20
)

// erasure is what a partition knows of users that were erased and whose calls may still be in its logs' files.
type erasure struct {
	mu     sync.Mutex
	behind uint64 // the pack of the newest erasure; 0: none
	late   uint64 // the pack of the newest call of an erased user that came later; 0: none
}

// Erase makes the broker forget a user but for what a settlement does: the journal's lines now, and the bytes of calls in the
// log's files with the next trim after everything up to position is settled. It may be repeated. Records and letters are for
// the settlement. Errors: ErrUnavailable, ErrLost.
func (p *Partition) Erase(ctx context.Context, user string, position uint64) error {
	if err := p.Hold(ctx, publishTimeout); err != nil {
		return err
	}
	p.erased.mu.Lock()
	defer p.erased.mu.Unlock()
	p.erased.behind = max(p.erased.behind, position/positionStep)
	if _, err := p.s.write(ctx, "STATE", &nats.Msg{Subject: p.eraseKey(), Data: []byte(strconv.FormatUint(p.erased.behind, 10))}); err != nil {
		return fmt.Errorf("%w: noting an erasure: %w", ErrUnavailable, err)
	}
	if err := p.s.journal.Purge(ctx, jetstream.WithPurgeSubject(p.s.names.journal(user))); err != nil {
		return fmt.Errorf("%w: erasing journal lines: %w", ErrUnavailable, err)
	}
	failpoint.Hit(failpoint.EraseNoted)
	return nil
}

// EraseLate notes that the call at position is one of an erased user, before it is settled: its bytes leave the log's files within
// about an hour of that. Only the first call of an hour costs a write. Errors: ErrUnavailable, ErrLost.
func (p *Partition) EraseLate(ctx context.Context, position uint64) error {
	p.erased.mu.Lock()
	defer p.erased.mu.Unlock()
	if p.erased.late == 0 {
		if err := p.Hold(ctx, publishTimeout); err != nil {
			return err
		}
		// Which pack it was is not worth a write for each: whoever reads this takes the log's end for it.
		if _, err := p.s.js.Publish(ctx, p.eraseLateKey(), []byte("1")); err != nil {
			return fmt.Errorf("%w: noting a call of an erased user: %w", ErrUnavailable, err)
		}
	}
	p.erased.late = max(p.erased.late, position/positionStep)
	return nil
}

func (p *Partition) eraseKey() string { return p.s.names.state("erase." + strconv.Itoa(p.id.number)) }

func (p *Partition) eraseLateKey() string {
	return p.s.names.state("eraselate." + strconv.Itoa(p.id.number))
}

// loadErasure reads what an earlier owner left to do.
func (t *trimmer) loadErasure(ctx context.Context) {
	p := t.p
	behind, _, err := p.s.readNumber(ctx, p.eraseKey())
	_, late, lateErr := p.s.readNumber(ctx, p.eraseLateKey())
	if err := errors.Join(err, lateErr); err != nil && ctx.Err() == nil {
		p.log.Warn("an erasure that may be outstanding could not be read", zap.Error(err))
	}
	p.erased.mu.Lock()
	defer p.erased.mu.Unlock()
	p.erased.behind = max(p.erased.behind, behind)
	if late > 0 {
		p.erased.late = max(p.erased.late, p.oldEnd, p.activities.oldEnd, 1)
	}
}

// erase pushes the log on once everything up to the newest erasure is settled, and is done when the log is trimmed up to there
// and the broker has written its file anew.
func (t *trimmer) erase(ctx context.Context) error {
	p := t.p
	p.erased.mu.Lock()
	behind, late := p.erased.behind, p.erased.late
	p.erased.mu.Unlock()
	if behind == 0 && late == 0 {
		return nil
	}
	if t.filled > 0 {
		return t.filledErasure(ctx)
	}
	settled, err := p.settledUpTo(ctx)
	since := time.Since(t.eraseAt)
	if err != nil || (behind == 0 || settled < behind || since < eraseEvery) && (late == 0 || settled < late || since < eraseLateEvery) {
		return err
	}
	t.filling = settled
	if !p.s.Alone() || p.s.identity.Partitions > 1 { // other servers' files are not ours to fill
		return t.eraseDone(ctx)
	}
	t.eraseAt = time.Now()
	for range fillPacks {
		if err := p.s.fill(ctx, p.id, maxEntryBytes); err != nil {
			return err
		}
	}
	for _, log := range []*Partition{p, p.activities} { // the last pack of each stays
		last, err := p.s.lastPack(ctx, log.id)
		if err != nil {
			return err
		}
		if last == nil {
			continue
		}
		if err := p.s.fill(ctx, log.id, 1); err != nil {
			return err
		}
	}
	last, err := p.s.lastPack(ctx, p.id)
	if err == nil && last != nil {
		t.filled = last.Sequence
		failpoint.Hit(failpoint.EraseFilled)
	}
	return err
}

// settledUpTo is the pack of the stream up to which this log has settled everything: packs of the other log may be behind its floor.
func (p *Partition) settledUpTo(ctx context.Context) (uint64, error) {
	info, err := p.s.events.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("asking for the state of the log: %w", err)
	}
	last, err := p.s.lastPack(ctx, p.id) // after that, so it is none that came in between
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if last == nil || last.Sequence <= p.stored.floor {
		return info.State.LastSeq, nil
	}
	return p.stored.floor, nil
}

// filledErasure looks, after the log was filled, whether the file with what is to go has been written anew, or removed as a whole.
// Neither is sure where the log was trimmed so far only after more had come than was filled; then it is filled again.
func (t *trimmer) filledErasure(ctx context.Context) error {
	if t.common < t.filled {
		return nil
	}
	info, err := t.p.s.events.Info(ctx)
	if err != nil {
		return fmt.Errorf("asking for the state of the log: %w", err)
	}
	const half = fillPacks * maxEntryBytes / 2
	left := info.State.Bytes
	switch {
	case t.passed > 0 && t.common >= t.passed, t.since == 0 && left < half:
		return t.eraseDone(ctx)
	case left < half:
		t.filled, t.since, t.seen, t.passed = 0, 0, 0, 0
	case t.passed == 0 && t.common > t.seen: // what is left has come since the last count
		if t.since, t.seen = t.since+left, info.State.LastSeq; t.since >= brokerFile {
			t.passed = t.seen
		}
	}
	return nil
}

// eraseDone forgets the erasures that were settled when the log was filled, and the calls that had come late.
func (t *trimmer) eraseDone(ctx context.Context) error {
	failpoint.Hit(failpoint.EraseTrimmed)
	p := t.p
	p.erased.mu.Lock()
	defer p.erased.mu.Unlock()
	t.filled, t.since, t.seen, t.passed = 0, 0, 0, 0
	for key, mark := range map[string]*uint64{p.eraseKey(): &p.erased.behind, p.eraseLateKey(): &p.erased.late} {
		if *mark == 0 || *mark > t.filling {
			continue // another round for those
		}
		if err := p.s.state.Purge(ctx, jetstream.WithPurgeSubject(key)); err != nil {
			return fmt.Errorf("forgetting an erasure: %w", err)
		}
		*mark = 0
	}
	return nil
}

// fill stores a pack without items of about size bytes.
func (s *Store) fill(ctx context.Context, id logID, size int) error {
	n := id.number
	if id.activities {
		n += s.identity.Partitions
	}
	call := newPublishCall(1)
	if err := s.publishers[n].enqueue([]packed{{kind: kindFill, data: make([]byte, size)}}, call); err != nil {
		return err
	}
	select {
	case err := <-call.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// Erasing says whether calls of erased users may still be in the log's files, those that came later among them.
func (s *Store) Erasing(ctx context.Context) (bool, error) {
	for number := range s.identity.Partitions {
		for _, mark := range []string{"erase.", "eraselate."} {
			_, rev, err := s.readNumber(ctx, s.names.state(mark+strconv.Itoa(number)))
			if err != nil || rev > 0 {
				return rev > 0, err
			}
		}
	}
	return false, nil
}

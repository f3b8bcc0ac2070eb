package queue

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// Purging takes messages out of the broker's index and leaves their bytes in its files until a whole file is settled, which
// in a quiet log can take months. So after a user was erased the log is pushed on: packs without items fill the broker's
// current file up to where the next trim rewrites it without what is gone. (nats-server 2.15: a purge rewrites a file of more
// than 2 MB of which less than half is left.)

const (
	// fillPacks of nearly 512 KB are more than the 2 MB from which the broker rewrites a file.
	fillPacks = 5
	// eraseEvery bounds what erasing costs, however many users are erased: one round of filling a minute.
	eraseEvery = time.Minute
)

// erasure is what a partition knows of users that were erased and whose calls may still be in the log's files.
type erasure struct {
	mu     sync.Mutex
	behind uint64 // the pack of the newest erasure; 0: none
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
	if _, err := p.s.js.Publish(ctx, p.eraseKey(), []byte(strconv.FormatUint(p.erased.behind, 10))); err != nil {
		return fmt.Errorf("%w: noting an erasure: %w", ErrUnavailable, err)
	}
	if err := p.s.journal.Purge(ctx, jetstream.WithPurgeSubject(p.s.names.journal(user))); err != nil {
		return fmt.Errorf("%w: erasing journal lines: %w", ErrUnavailable, err)
	}
	return nil
}

func (p *Partition) eraseKey() string { return p.s.names.state("erase." + strconv.Itoa(p.id.number)) }

// loadErasure reads what an earlier owner left to do.
func (t *trimmer) loadErasure(ctx context.Context) {
	behind, _, err := t.p.s.readNumber(ctx, t.p.eraseKey())
	if err != nil && ctx.Err() == nil {
		t.p.log.Warn("an erasure that may be outstanding could not be read", zap.Error(err))
	}
	t.p.erased.mu.Lock()
	defer t.p.erased.mu.Unlock()
	t.p.erased.behind = max(t.p.erased.behind, behind)
}

// erase pushes the log on once everything up to the newest erasure is settled, and is done when the log is trimmed up to there.
func (t *trimmer) erase(ctx context.Context) error {
	p := t.p
	p.erased.mu.Lock()
	behind := p.erased.behind
	p.erased.mu.Unlock()
	if behind == 0 {
		return nil
	}
	if t.filled > 0 {
		if t.common < t.filled {
			return nil
		}
		return t.eraseDone(ctx)
	}
	p.mu.Lock()
	floor := p.stored.floor
	p.mu.Unlock()
	if floor < behind || time.Since(t.eraseAt) < eraseEvery {
		return nil
	}
	if !p.s.Alone() || p.s.identity.Partitions > 1 { // other servers' files are not ours to fill
		t.filling = behind
		return t.eraseDone(ctx)
	}
	t.filling, t.eraseAt = behind, time.Now()
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
	}
	return err
}

// eraseDone forgets the erasures up to the one for which the log was filled.
func (t *trimmer) eraseDone(ctx context.Context) error {
	p := t.p
	p.erased.mu.Lock()
	defer p.erased.mu.Unlock()
	t.filled = 0
	if p.erased.behind > t.filling {
		return nil // another round for those
	}
	if err := p.s.state.Purge(ctx, jetstream.WithPurgeSubject(p.eraseKey())); err != nil {
		return fmt.Errorf("forgetting an erasure: %w", err)
	}
	p.erased.behind = 0
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

// Erasing says whether the calls of erased users may still be in the log's files.
func (s *Store) Erasing(ctx context.Context) (bool, error) {
	for number := range s.identity.Partitions {
		behind, _, err := s.readNumber(ctx, s.names.state("erase."+strconv.Itoa(number)))
		if err != nil || behind > 0 {
			return behind > 0, err
		}
	}
	return false, nil
}

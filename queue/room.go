package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/freshrelay/freshrelay/failpoint"
)

const (
	// tightShare is how full STATE may be, in percent, before users without a record are refused at the door. What is left is
	// for the records of those who have one, and of those whose events were accepted before.
	tightShare = 80
	// lastShare is how full STATE may be before new records wait: the rest keeps known users, counters and floors going. A
	// last-value stream that is quite full refuses every value that is larger than the one before (see DiscardNew).
	lastShare = 95
	// activitiesShare is how full EVENTS may be, in percent, before activities are refused at the door. They can wait for calls of
	// the quota for days, and would take the room of contacts.
	activitiesShare = 75
	// minFree is what must be free on the disk of the embedded broker for events to be taken. Once a write has failed for
	// want of space the broker stores nothing any more until it is started again, so it must not come to that.
	minFree = 32 << 20
	// unknownFree stands for a disk that nobody can look at.
	unknownFree = 1 << 62
	// lookEvery bounds how often the broker is asked how full the streams are.
	lookEvery = time.Second
)

// room knows how full the store and its disk are. It looks when it is asked, at the streams not more often than lookEvery.
type room struct {
	s *Store

	mu    sync.Mutex
	at    time.Time
	state int    // percent of STATE in use
	log   int    // percent of EVENTS in use
	free  uint64 // bytes on the disk; the maximum where nobody can tell
	tight bool   // as last said in the log
	short bool   // likewise
	heaps bool   // likewise
	// endless are streams that have no byte limit, as last said: how full they are is no question then.
	endless map[string]bool
}

// look returns the levels. What cannot be looked up stays as it was: a broker that does not answer is found out by others.
// While one caller asks the broker, the others go by what was known before.
func (r *room) look(ctx context.Context) (state int, free uint64) {
	r.mu.Lock()
	// The disk is asked each time, which costs a microsecond: a quick one fills up between two looks.
	r.free = unknownFree
	var fs unix.Statfs_t
	if r.s.broker != nil && !failpoint.NoRoom() && unix.Statfs(r.s.cfg.Dir, &fs) == nil {
		r.free = fs.Bavail * uint64(fs.Bsize)
	}
	due := r.at.IsZero() || time.Since(r.at) >= lookEvery
	if due {
		r.at = time.Now()
	}
	r.mu.Unlock()
	asked, endless := map[*int]int{}, map[string]bool{}
	if due {
		ctx, cancel := context.WithTimeout(ctx, lookEvery/2)
		defer cancel()
		for level, stream := range map[*int]jetstream.Stream{&r.state: r.s.state, &r.log: r.s.events} {
			info, err := stream.Info(ctx)
			if err != nil {
				continue
			}
			if endless[info.Config.Name] = info.Config.MaxBytes <= 0; info.Config.MaxBytes > 0 {
				asked[level] = int(info.State.Bytes * 100 / uint64(info.Config.MaxBytes))
			} else {
				asked[level] = 0
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for level, percent := range asked {
		*level = percent
	}
	r.say()
	for stream, now := range endless {
		r.sayEndless(stream, now)
	}
	return r.state, r.free
}

// sayEndless logs that somebody has taken a stream's limit away while this process runs; a start would have refused that.
func (r *room) sayEndless(stream string, now bool) {
	if now == r.endless[stream] {
		return
	}
	if r.endless == nil {
		r.endless = map[string]bool{}
	}
	if r.endless[stream] = now; !now {
		r.s.log.Info("a stream has a byte limit again", zap.String("stream", stream))
		return
	}
	total, err := r.s.total()
	if err != nil {
		total = defaultMaxBytes
	}
	limit := r.s.streamConfig(strings.TrimPrefix(stream, r.s.names.stream("")), total, "").MaxBytes
	r.s.log.Error("a stream has no byte limit any more: nothing is refused before the servers' disks are full",
		zap.String("stream", stream), zap.String("mend", fmt.Sprintf("nats stream edit %s --max-bytes=%d", stream, limit)))
}

// crowded says that what is left of EVENTS is for contacts.
func (r *room) crowded(ctx context.Context) bool {
	r.look(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log >= activitiesShare
}

// say logs what has changed.
func (r *room) say() {
	if tight := r.state >= tightShare; tight != r.tight {
		r.tight = tight
		if tight {
			r.s.log.Error("STATE is nearly full: events of users without a record are refused (503) until nats.max_bytes gives it more room",
				zap.Int("percent", r.state), zap.Int("limit_percent", tightShare))
		} else {
			r.s.log.Info("STATE has room again", zap.Int("percent", r.state))
		}
	}
	if heaps := r.log >= activitiesShare; heaps != r.heaps {
		r.heaps = heaps
		if heaps {
			r.s.log.Warn("the log of events fills up: track and page calls are refused (503), contacts go on: forward fewer events, or give it more room (nats.max_bytes)",
				zap.Int("percent", r.log), zap.Int("limit_percent", activitiesShare))
		} else {
			r.s.log.Info("the log of events has room for track and page calls again", zap.Int("percent", r.log))
		}
	}
	if short := r.free < minFree; short != r.short {
		r.short = short
		if short {
			r.s.log.Error("the disk is nearly full: events are refused (503) until there is space again", zap.Uint64("free_bytes", r.free), zap.Uint64("needed_bytes", minFree))
		} else {
			r.s.log.Info("the disk has space again", zap.Uint64("free_bytes", r.free))
		}
	}
}

// admit refuses what there is no room for.
func (r *room) admit(ctx context.Context, items []packed) error {
	state, free := r.look(ctx)
	if free < minFree {
		return fmt.Errorf("%w: %d bytes are free on its disk and %d are needed: make space", ErrFull, free, uint64(minFree))
	}
	if state < tightShare {
		return nil
	}
	for _, it := range items {
		if it.kind != KindEvent {
			continue
		}
		_, err := r.s.state.GetLastMsgForSubject(ctx, r.s.names.user(token(it.digest)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return fmt.Errorf("%w: STATE is %d %% full, so users without a record are refused: nats.max_bytes gives it more room", ErrFull, state)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return nil
}

// last says that what is left of STATE is for users who have a record.
func (r *room) last(ctx context.Context) bool {
	state, _ := r.look(ctx)
	return state >= lastShare
}

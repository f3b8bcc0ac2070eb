package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
)

const (
	resyncKey = "resync" // in STATE
	// resyncEvery is after how long another process of the same store notices.
	resyncEvery = time.Minute
	// maxResyncs bounds the users whose values are to be sent again one by one.
	maxResyncs = 1000
)

// ErrTooManyResyncs says that so many users have been asked for one by one that the whole store should be.
var ErrTooManyResyncs = fmt.Errorf("more than %d users were resynced one by one within resend_after", maxResyncs)

// resyncs says up to when what was sent is forgotten. No record is touched for it: each takes it into account when its
// user's next call comes.
type resyncs struct {
	store   *queue.Store
	log     *zap.Logger
	options mapping.Options

	current atomic.Pointer[resyncState]
}

// resyncState is what STATE holds; times are unix seconds.
type resyncState struct {
	All   int64            `json:"all,omitempty"`
	Users map[string]int64 `json:"users,omitempty"` // by the keyed hash of the userId
}

// since is the time up to which the user's values are forgotten, 0 for never.
func (r *resyncs) since(user string) int64 {
	s := r.current.Load()
	if s == nil {
		return 0
	}
	return max(s.All, s.Users[user])
}

// run keeps up with what other processes were asked for.
func (r *resyncs) run(ctx context.Context) {
	for more := true; more; more = sleep(ctx, resyncEvery) {
		if _, _, err := r.read(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("what is to be sent again could not be read", zap.Error(err))
		}
	}
}

func (r *resyncs) read(ctx context.Context) (resyncState, uint64, error) {
	var s resyncState
	data, rev, err := r.store.State(ctx, resyncKey)
	if err != nil {
		return s, 0, err
	}
	if rev > 0 {
		if err := json.Unmarshal(data, &s); err != nil {
			return s, 0, fmt.Errorf("STATE %s is unreadable: %w", resyncKey, err)
		}
	}
	r.current.Store(&s)
	return s, rev, nil
}

// ask forgets what was sent until now to one user, or with "" to all.
func (r *resyncs) ask(ctx context.Context, user string, now time.Time) error {
	for {
		s, rev, err := r.read(ctx)
		if err != nil {
			return err
		}
		next := resyncState{All: s.All, Users: maps.Clone(s.Users)}
		if user == "" {
			next = resyncState{All: now.Unix()} // the single users are among them
		} else if err := next.add(user, now, r.options.ResendAfter); err != nil {
			return err
		}
		data, err := json.Marshal(next)
		if err != nil {
			return fmt.Errorf("encoding STATE %s: %w", resyncKey, err)
		}
		if _, err = r.store.PutState(ctx, resyncKey, data, rev); errors.Is(err, queue.ErrConflict) {
			continue
		}
		if err == nil {
			r.current.Store(&next)
		}
		return err
	}
}

// add notes a user and drops those whose values are sent again by now anyway.
func (s *resyncState) add(user string, now time.Time, resendAfter time.Duration) error {
	if resendAfter <= 0 {
		resendAfter = mapping.DefaultResendAfter
	}
	old := now.Add(-resendAfter).Unix()
	maps.DeleteFunc(s.Users, func(_ string, at int64) bool { return at < old })
	if s.Users == nil {
		s.Users = map[string]int64{}
	}
	if _, again := s.Users[user]; !again && len(s.Users) >= maxResyncs {
		return ErrTooManyResyncs
	}
	s.Users[user] = now.Unix()
	return nil
}

// Resync forgets what was sent to the contact of one user (the keyed hash of the userId), or with "" to all contacts: the
// next call sends all it carries, whatever people have changed in between. For all, the account's fields are read again
// too, and what was learnt of it is learnt anew. Nothing is sent at once, and clocks stay: older never beats newer.
func (p *Pool) Resync(ctx context.Context, user string) error {
	if err := p.resyncs.ask(ctx, user, time.Now()); err != nil {
		return fmt.Errorf("resync: %w", err)
	}
	if user == "" {
		p.catalogue.expire()
		p.customs.forget(ctx)
	}
	p.log.Info("what was sent is forgotten", zap.String("lane", user), zap.Bool("all", user == ""))
	return nil
}

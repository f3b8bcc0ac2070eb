package app

import (
	"context"
	"errors"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/replay"
)

// errOnlyTakesIn is the answer of a process of role ingest to what needs the account's fields.
var errOnlyTakesIn = errors.New("this process only takes calls in: ask one of role worker or all")

// startReplays begins to work on the jobs that send dead letters again.
func (s *service) startReplays(context.Context) error {
	if s.opts.Role == RoleIngest {
		// Jobs can be begun and looked at here; a process that delivers works on them.
		s.replays = replay.New(replay.Config{Store: s.store, Logger: s.log})
		return nil
	}
	s.replays = replay.New(replay.Config{Store: s.store, Logger: s.log, Retention: s.cfg.Dead.Retention})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.replays.Run(ctx)
	}()
	s.onStop("the replays", stopQuick, func(context.Context) error { cancel(); <-done; return nil })
	return nil
}

// preview is the workers' preview in the words of the admin API.
func (s *service) preview(ctx context.Context, letters []queue.Letter, edits []queue.Edit) ([]admin.Preview, error) {
	if s.pool == nil {
		return nil, errOnlyTakesIn
	}
	previews, err := s.pool.Preview(ctx, letters, edits)
	if err != nil {
		return nil, err
	}
	out := make([]admin.Preview, len(previews))
	for i, p := range previews {
		out[i] = admin.Preview{
			ID: p.Letter.ID, Message: p.Letter.MessageID, Outcome: p.Outcome, Reason: p.Reason,
			Fields: append([]queue.JournalField{}, p.Fields...), LeftOut: append([]queue.JournalLeftOut{}, p.LeftOut...),
			Requests: []admin.PreviewRequest{},
		}
		for _, r := range p.Requests {
			out[i].Requests = append(out[i].Requests, admin.PreviewRequest{Method: r.Method, Path: r.Path, Body: r.Body})
		}
	}
	return out, nil
}

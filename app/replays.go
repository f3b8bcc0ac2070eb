package app

import (
	"context"
	"errors"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/replay"
	"github.com/freshrelay/freshrelay/worker"
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

// waiting is what the workers know of calls that wait, in the words of the admin API.
func (s *service) waiting(ctx context.Context, user, messageID string, limit int) (admin.WaitingList, error) {
	if s.pool == nil {
		return admin.WaitingList{}, nil
	}
	found, whole, err := s.pool.Waiting(ctx, worker.WaitingQuery{User: user, MessageID: messageID, Limit: limit})
	out := admin.WaitingList{Whole: whole}
	for _, w := range found {
		c := admin.WaitingCall{
			User: w.User, MessageID: w.MessageID, Type: w.Type, Source: w.Source, Position: w.Position, Received: w.Received,
			Ahead: w.Ahead, OfUser: w.OfUser, Tries: w.Tries, NextTry: w.Next,
		}
		for _, reason := range w.Why {
			c.Why = append(c.Why, admin.WhyWaits(reason))
		}
		out.Calls = append(out.Calls, c)
	}
	return out, err
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
			ID: p.Letter.ID, Message: p.Letter.MessageID, Outcome: p.Outcome, Reason: p.Reason, Note: p.Note,
			Fields: append([]queue.JournalField{}, p.Fields...), LeftOut: append([]queue.JournalLeftOut{}, p.LeftOut...),
			Requests: []admin.PreviewRequest{},
		}
		for _, r := range p.Requests {
			out[i].Requests = append(out[i].Requests, admin.PreviewRequest{Method: r.Method, Path: r.Path, Body: r.Body})
		}
	}
	return out, nil
}

package main

import (
	"context"
	"slices"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/replay"
)

// fakeJob is a replay in the rig: its letters are settled when they are gone or were tried again.
type fakeJob struct {
	replay.Job

	letters []queue.Letter // as they were
}

func (s *store) Start(_ context.Context, j replay.Job) (replay.Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j.ID, j.State = uint64(1000+len(s.jobs)), replay.StateRunning
	job := &fakeJob{Job: j}
	for _, l := range s.list {
		if len(j.IDs) > 0 && slices.Contains(j.IDs, l.ID) || len(j.IDs) == 0 && j.Filter.Matches(l) {
			job.letters = append(job.letters, l)
		}
	}
	s.jobs = append(s.jobs, job)
	for _, l := range job.letters {
		s.replayed = append(s.replayed, l.ID)
		if s.onReplay != nil {
			s.onReplay(s, l.ID)
		} else {
			deliver(s, l.ID)
		}
	}
	return s.report(job), nil
}

// report is made of what the letters have become; the store is locked.
func (s *store) report(j *fakeJob) replay.Report {
	r := replay.Report{ID: replay.Name(j.ID), Action: j.Action, Actor: j.Actor, State: j.State, Selected: len(j.letters), Reasons: map[string]int{}, Held: map[string]int{}, Edited: []string{}}
	for _, was := range j.letters {
		i := slices.IndexFunc(s.list, func(l queue.Letter) bool { return l.ID == was.ID })
		switch {
		case i < 0 && j.Action == replay.ActionDiscard:
			r.Discard++
			r.Reasons["discarded:by_operator"]++
		case i < 0:
			r.Deliver++
		case s.list[i].Attempts != was.Attempts:
			r.Dead++
			r.Reasons["dead:"+was.Reason]++
		default:
			r.Waiting++
		}
	}
	if j.State == replay.StateRunning && r.Waiting == 0 {
		r.State = replay.StateDone
	}
	return r
}

func (s *store) job(id uint64, state string) (replay.Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.jobs, func(j *fakeJob) bool { return j.ID == id })
	if i < 0 {
		return replay.Report{}, replay.ErrNoJob
	}
	if state != "" {
		s.jobs[i].State = state
	}
	return s.report(s.jobs[i]), nil
}

func (s *store) Stop(_ context.Context, id uint64) (replay.Report, error) {
	return s.job(id, replay.StateStopped)
}

func (s *store) Continue(_ context.Context, id uint64) (replay.Report, error) {
	return s.job(id, replay.StateRunning)
}

func (s *store) Report(_ context.Context, id uint64) (replay.Report, error) { return s.job(id, "") }

func (s *store) Reports(context.Context) ([]replay.Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []replay.Report
	for _, j := range s.jobs {
		list = append(list, s.report(j))
	}
	return list, nil
}

func (s *store) JournalTail(ctx context.Context, after uint64, limit int) ([]queue.JournalEntry, uint64, error) {
	if after == 0 {
		return nil, 1, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from := min(int(after)-1, len(s.journal))
	lines := s.journal[from:min(from+limit, len(s.journal))]
	if len(lines) == 0 && ctx.Err() == nil {
		s.tailed()
	}
	return lines, after + uint64(len(lines)), nil
}

func (*store) JournalOff() bool { return false }

func (s *store) Audit(_ context.Context, e queue.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Seq = uint64(len(s.audits) + 1)
	s.audits = append(s.audits, e)
	return nil
}

func (s *store) AuditLog(_ context.Context, after uint64, limit int) ([]queue.AuditEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.audits[min(int(after), len(s.audits)):]
	if len(list) == 0 && after > 0 {
		s.tailed()
	}
	return slices.Clone(list[:min(limit, len(list))]), nil
}

func (s *store) Import(_ context.Context, letters []queue.Letter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.imported = append(s.imported, letters...)
	return nil
}

func (*store) ID() string { return "the-rigs-store" }

// preview shows one request for each letter, with the edits in it.
func (*rig) preview(_ context.Context, letters []queue.Letter, edits []queue.Edit) ([]admin.Preview, error) {
	var out []admin.Preview
	for _, l := range letters {
		p := admin.Preview{ID: l.ID, Message: l.MessageID, Outcome: queue.Delivered, Fields: []queue.JournalField{{Field: "cf_plan", Label: "Plan tier", Trait: "plan", Action: "set"}}}
		body := []byte(`{"contact":{"email":"ada@example.com"}}`)
		if len(edits) > 0 {
			body = []byte(`{"contact":{"cf_plan":` + string(edits[0].Value) + `}}`)
		}
		p.Requests = []admin.PreviewRequest{{Method: "PUT", Path: "/crm/sales/api/contacts/7", Body: body}}
		out = append(out, p)
	}
	return out, nil
}

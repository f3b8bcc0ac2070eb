package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/queue"
)

// forget is the worker: users erase at once, but for one whose contact the API does not delete.
func (s *store) forget(_ context.Context, userIDs []string, undo bool) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]string, len(userIDs))
	for i, user := range userIDs {
		ids[i] = fmt.Sprintf("forget-%d-%v-%s", len(s.journal), undo, user)
		e := queue.JournalEntry{At: time.Now(), User: "hash-" + user, MessageID: ids[i], Type: "delete", Outcome: queue.Delivered, Calls: []queue.JournalCall{{Operation: "forget_contact", Status: 200}}}
		switch user {
		case "stubborn":
			e.Outcome, e.Reason = queue.Dead, "exhausted"
		case "observed":
			e.Outcome = outcomeObserved
		}
		s.journal = append(s.journal, e)
	}
	return ids, nil
}

func TestForget(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	got := r.run(t, "forget", "user-1")
	wantCode(t, got, exitOK)
	wantParts(t, "forget", got.out, "user-1", "hash-user-1", "delivered", "forget_contact 200", "1 user: 1 done, 0 waiting, 0 set aside", "in the log", "not reached letters that were exported")
	if len(r.audits) != 1 || r.audits[0].Action != "forget" || r.audits[0].Count != 1 || r.audits[0].Detail != "hash-user-1" {
		t.Errorf("audit %+v", r.audits)
	}
	report := decode[ForgetReport](t, r.run(t, "forget", "--undo", "-o", "json", "user-1").out)
	if !report.Undo || report.Done != 1 || report.InLog || r.audits[1].Action != "forget --undo" {
		t.Errorf("%+v %+v", report, r.audits)
	}
	wantCode(t, r.run(t, "forget"), exitUsage)
}

func TestForgetMany(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	lines := []string{"stubborn", "observed", "", "user-0"}
	for i := range 1200 {
		lines = append(lines, fmt.Sprint("user-", i))
	}
	r.p.stdin = strings.NewReader(strings.Join(lines, "\r\n"))
	got := r.run(t, "forget", "-o", "json", "-")
	wantCode(t, got, exitPartial)
	report := decode[ForgetReport](t, got.out)
	if len(report.Users) != 1202 || report.Done != 1200 || report.Dead != 1 || report.Waiting != 1 || len(r.audits) != 3 {
		t.Errorf("%d users: %d done, %d dead, %d waiting; %d lines of audit", len(report.Users), report.Done, report.Dead, report.Waiting, len(r.audits))
	}
}

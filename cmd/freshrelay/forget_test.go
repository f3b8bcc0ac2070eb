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
		case "nobody":
			e.Calls = []queue.JournalCall{{Operation: "lookup_contacts", Status: 200}}
		case "stubborn":
			e.Outcome, e.Reason = queue.Dead, "exhausted"
		case "observed":
			e.Outcome = outcomeObserved
		}
		s.journal = append(s.journal, e)
	}
	return ids, nil
}

// erased knows of users who were erased last.
func (s *store) erased(_ context.Context, userID string) (at time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.journal {
		if e.User == "hash-"+userID {
			if at = e.At; strings.Contains(e.MessageID, "-true-") {
				at = time.Time{}
			}
		}
	}
	return at, nil
}

// Whether somebody is erased, and whether the log is rid of what was, can be asked without erasing again.
func TestForgetStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.run(t, "forget", "user-1", "user-2")
	r.run(t, "forget", "--undo", "user-2")
	audits := len(r.audits)
	got := r.run(t, "forget", "--status", "user-1", "user-2")
	wantCode(t, got, exitOK)
	wantParts(t, "status", got.out, "UTC: calls are discarded (suppressed)", "not erased: calls are taken", "in the log  earlier calls of erased users, if there were any")
	r.trimmed = true
	wantParts(t, "status", r.run(t, "forget", "--status").out, "in the log  nothing of erased users any more\n")
	st := decode[ForgetStatus](t, r.run(t, "forget", "--status", "-o", "json", "user-1", "user-2").out)
	if st.InLog || len(st.Users) != 2 || st.Users[0].Erased == nil || st.Users[1].Erased != nil || len(r.audits) != audits {
		t.Errorf("%+v, %d lines of audit", st, len(r.audits)-audits)
	}
}

// Of a user who is not known nobody says that something was erased.
func TestForgetSaysWhenThereWasNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	report := decode[ForgetReport](t, r.run(t, "forget", "-o", "json", "nobody", "user-1").out)
	if report.Users[0].Contact != "none found" || report.Users[1].Contact != "erased" {
		t.Errorf("%+v", report.Users)
	}
	wantParts(t, "forget", r.run(t, "forget", "nobody").out, "none found", "if there were any")
	wantParts(t, "undo", r.run(t, "forget", "--undo", "nobody").out, "1 user: calls of 1 are taken from now on, whether they were erased or not")
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

package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// fillLetters stores n letters with known properties; number i has position 1000+i and the attempts (i*7)%n.
func fillLetters(t *testing.T, s *queue.Store, n int) {
	t.Helper()
	for i := range n {
		at := time.Date(2026, 11, 1, 0, i, 0, 0, time.UTC)
		l := queue.Letter{
			User: s.User(fmt.Sprint(i % 3)), Position: uint64(1000 + i), MessageID: fmt.Sprint("m", i), Type: "identify", Source: "website", Reason: "invalid",
			Status: 400, Attempts: (i * 7) % n, FirstTry: at, LastTry: at, Error: fmt.Sprintf("contact %d: not a choice", i), Event: []byte("the event"),
		}
		if i%5 == 0 {
			l.Reason, l.Status, l.Error = "exhausted", 0, "Timeout"
		}
		if err := s.Partition().PutLetter(t.Context(), l, false); err != nil {
			t.Fatal(err)
		}
	}
}

// pages goes through a query page by page and returns the message ids.
func pages(t *testing.T, s *queue.Store, q queue.LetterQuery, total int) []string {
	t.Helper()
	var ids []string
	for {
		page, err := s.Letters(t.Context(), q)
		if err != nil || page.Total != total || len(page.Letters) > q.Limit {
			t.Fatalf("%+v: %d letters of %d, %v", q, len(page.Letters), page.Total, err)
		}
		for _, l := range page.Letters {
			ids = append(ids, l.MessageID)
		}
		if page.Next == "" {
			return ids
		}
		q.After = page.Next
	}
}

// Every order, with and without a filter, shows each letter once over all pages, and in that order.
func TestPagesShowEachLetterOnce(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		const n = 23
		fillLetters(t, s, n)
		for _, sort := range append(queue.LetterSorts(), "", "-position", "-attempts", "-last_try") {
			for _, f := range []struct {
				filter queue.LetterFilter
				total  int
			}{{queue.LetterFilter{}, n}, {queue.LetterFilter{Reason: "invalid"}, 18}, {queue.LetterFilter{User: s.User("1")}, 8}, {queue.LetterFilter{Text: "TIMEOUT"}, 5}} {
				ids := pages(t, s, queue.LetterQuery{LetterFilter: f.filter, Sort: sort, Limit: 4}, f.total)
				unique := slices.Clone(ids)
				slices.Sort(unique)
				if len(ids) != f.total || len(slices.Compact(unique)) != f.total {
					t.Errorf("sort %q, %+v: %v", sort, f.filter, ids)
				}
				if sort == "-position" && len(ids) == n && (ids[0] != "m22" || ids[n-1] != "m0") {
					t.Errorf("newest first: %v", ids)
				}
				if sort == "attempts" && len(ids) == n && ids[0] != "m0" || sort == "" && len(ids) == n && ids[n-1] != "m22" {
					t.Errorf("sort %q: %v", sort, ids)
				}
			}
		}
		for _, q := range []queue.LetterQuery{{Sort: "colour"}, {Sort: "-"}, {After: "x"}, {Sort: "user", After: "!"}} {
			if _, err := s.Letters(t.Context(), q); !errors.Is(err, queue.ErrQuery) {
				t.Errorf("%+v: %v", q, err)
			}
		}
	})
}

func TestLettersAreFilteredAndGrouped(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		fillLetters(t, s, 20)
		at := func(minute int) time.Time { return time.Date(2026, 11, 1, 0, minute, 0, 0, time.UTC) }
		for _, c := range []struct {
			f    queue.LetterFilter
			want int
		}{
			{queue.LetterFilter{Status: 400}, 16},
			{queue.LetterFilter{MessageID: "m3"}, 1},
			{queue.LetterFilter{Since: at(5), Until: at(8)}, 3},
			{queue.LetterFilter{FirstBefore: at(2)}, 2},
			{queue.LetterFilter{Field: "cf_plan"}, 0},
			{queue.LetterFilter{User: "*"}, 0},
			{queue.LetterFilter{User: ">"}, 0},
			{queue.LetterFilter{Reason: `in"valid`}, 0},
		} {
			if page, err := s.Letters(t.Context(), queue.LetterQuery{LetterFilter: c.f}); err != nil || page.Total != c.want {
				t.Errorf("%+v: %d, want %d, %v", c.f, page.Total, c.want, err)
			}
		}
		groups, total, err := s.LetterGroups(t.Context(), queue.LetterFilter{})
		if err != nil || total != 20 || len(groups) != 2 || groups[0].Count != 16 || groups[1].Reason != "exhausted" || !groups[0].First.Equal(at(1)) || !groups[0].Last.Equal(at(19)) {
			t.Errorf("%+v %d %v", groups, total, err)
		}
		page, err := s.Letters(t.Context(), queue.LetterQuery{LetterFilter: queue.LetterFilter{Cause: groups[0].Cause}})
		if err != nil || page.Total != 16 {
			t.Errorf("the group's cause selects %d, %v", page.Total, err)
		}
		letters, next, err := s.LettersFrom(t.Context(), queue.LetterFilter{Reason: "exhausted"}, 1, 18, 3)
		if err != nil || len(letters) != 3 || next != 16 {
			t.Errorf("%d letters, next %d, %v", len(letters), next, err)
		}
		if letters, next, err = s.LettersFrom(t.Context(), queue.LetterFilter{Reason: "exhausted"}, next, 18, 3); err != nil || len(letters) != 1 || next != 19 {
			t.Errorf("%d letters, next %d, %v", len(letters), next, err)
		}
	})
}

func TestTheAuditLogKeepsWhatWasDone(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		s := queuetest.Open(t, dir)
		if list, err := s.AuditLog(t.Context(), 0, 10); err != nil || len(list) != 0 {
			t.Errorf("%+v %v", list, err)
		}
		for i := range 5 {
			if err := s.Audit(t.Context(), queue.AuditEntry{Actor: "ann", Action: "pause", Count: i}); err != nil {
				t.Fatal(err)
			}
		}
		newest, err := s.AuditLog(t.Context(), 0, 2)
		if err != nil || len(newest) != 2 || newest[0].Count != 3 || newest[1].At.IsZero() {
			t.Errorf("%+v %v", newest, err)
		}
		if rest, err := s.AuditLog(t.Context(), newest[0].Seq, 10); err != nil || len(rest) != 1 || rest[0].Count != 4 {
			t.Errorf("%+v %v", rest, err)
		}
	})
}

func TestTheJournalIsFollowedAndCanBeOff(t *testing.T) {
	run(t, func(t *testing.T, dir string) {
		cfg := queuetest.Config(t, dir)
		s, err := queue.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		note := func(id string) {
			t.Helper()
			if err := s.Partition().Note(queue.JournalEntry{At: time.Now(), User: s.User("a"), MessageID: id}); err != nil {
				t.Fatal(err)
			}
		}
		note("before")
		time.Sleep(time.Second)
		_, next, err := s.JournalTail(t.Context(), 0, 10)
		if err != nil || next == 0 {
			t.Fatal(next, err)
		}
		time.AfterFunc(3*time.Second, func() { note("one"); note("two") })
		lines, next, err := s.JournalTail(t.Context(), next, 10)
		if err != nil || len(lines) == 0 || lines[0].MessageID != "one" {
			t.Errorf("%+v %v", lines, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		time.Sleep(time.Second)
		if _, next, err = s.JournalTail(ctx, next, 10); err != nil {
			t.Error(err)
		}
		if lines, _, err := s.JournalTail(ctx, next, 10); err != nil || len(lines) != 0 {
			t.Errorf("nothing new: %+v %v", lines, err)
		}
		queuetest.Close(t, s)

		cfg.Journal = queue.Journal{Off: true, MaxBytes: 1 << 20, MaxAge: time.Hour}
		if s, err = queue.Open(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		note("three")
		time.Sleep(time.Second)
		if found, err := s.Journal(t.Context(), queue.JournalQuery{MessageID: "three"}); err != nil || len(found) != 0 || !s.JournalOff() {
			t.Errorf("switched off: %+v %v", found, err)
		}
		queuetest.Close(t, s)
	})
}

package queue

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// deadLetters is a flag, because a million of them take a minute to make: -dead 1000000.
var deadLetters = flag.Int("dead", 20_000, "dead letters in BenchmarkLetters")

// BenchmarkLetters measures what the command line asks of many letters, and how much memory an answer holds at its end. The
// stream is made anew without an fsync for each letter: it is read here, not written.
func BenchmarkLetters(b *testing.B) {
	s, err := Open(b.Context(), Config{Dir: b.TempDir(), MaxBytes: 20 << 30, Account: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	fillDead(b, s, *deadLetters)
	ask := func(name string, ask func() (int, error)) {
		b.Run(name, func(b *testing.B) {
			var before, after runtime.MemStats
			for range b.N {
				runtime.GC()
				runtime.ReadMemStats(&before)
				n, err := ask()
				if err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(n), "letters")
				b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/(1<<20), "MB-more")
				b.ReportMetric(float64(after.Sys)/(1<<20), "MB-process")
			}
		})
	}
	page := func(q LetterQuery) func() (int, error) {
		return func() (int, error) {
			page, err := s.Letters(b.Context(), q)
			return page.Total, err
		}
	}
	groups := func() (int, error) {
		_, total, err := s.LetterGroups(b.Context(), LetterFilter{})
		return total, err
	}
	filtered := page(LetterQuery{LetterFilter: LetterFilter{Reason: "email_conflict"}, Limit: 1})
	ask("FirstPage", page(LetterQuery{}))
	ask("FilteredCount/ByReading", filtered)
	ask("Groups/ByReading", groups)
	// What a start does before anything is delivered, and behind that in the background.
	ask("Reconcile", func() (int, error) {
		s.Partition().strays.from = uint64(*deadLetters) // as the last commit has said
		n := 0
		err := s.Partition().Reconcile(b.Context(), func(Letter) (bool, error) { n++; return true, nil })
		return n, err
	})
	ask("LookAtAll", func() (n int, err error) {
		err = s.EachLetter(b.Context(), LetterFilter{}, func(Letter) error { n++; return nil })
		return n, err
	})
	ask("FilteredCount", filtered)
	ask("FilteredPage", page(LetterQuery{LetterFilter: LetterFilter{Reason: "email_conflict"}}))
	ask("Groups", groups)
	ask("FilteredByTextWithANumber", page(LetterQuery{LetterFilter: LetterFilter{Text: "choice 7"}, Limit: 1}))
	ask("SortedPage", page(LetterQuery{Sort: "-position"}))
	ask("OfOneUser", page(LetterQuery{LetterFilter: LetterFilter{User: s.User("user-7")}}))
}

// TestAnswersHoldNoMoreThanTheyShow asks of many letters and compares what the process holds in the middle and at the end: the
// figures and a page, whatever the number of letters.
func TestAnswersHoldNoMoreThanTheyShow(t *testing.T) {
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), MaxBytes: 1 << 30, Account: "bench"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const n = 20_000
	fillDead(t, s, n)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // pools are emptied by the second
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	var held []int64
	seen := 0
	err = s.EachLetter(t.Context(), LetterFilter{}, func(Letter) error {
		if seen++; seen%(n/4) == 0 { // after the first quarter all buffers are as large as they become
			held = append(held, heap())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	groups, total, err := s.LetterGroups(t.Context(), LetterFilter{})
	if err != nil || total != n || len(groups) == 0 {
		t.Fatalf("%d letters, %v", total, err)
	}
	page, err := s.Letters(t.Context(), LetterQuery{Sort: "-last_try", Limit: 50})
	if err != nil || len(page.Letters) != 50 {
		t.Fatalf("%d letters, %v", len(page.Letters), err)
	}
	const room = 2 << 20 // the headers of the other three quarters would be five times as much
	for _, now := range append(held, heap()) {
		if now-held[0] > room {
			t.Errorf("%d bytes are held, after a quarter of the letters it were %d: %v", now, held[0], held)
		}
	}
	runtime.KeepAlive(page)
}

func fillDead(b testing.TB, s *Store, n int) {
	b.Helper()
	cfg := s.names.deadConfig(20 << 30)
	cfg.PersistMode = jetstream.AsyncPersistMode
	if err := s.js.DeleteStream(b.Context(), cfg.Name); err != nil {
		b.Fatal(err)
	}
	var err error
	if s.dead, err = s.js.CreateStream(b.Context(), cfg); err != nil {
		b.Fatal(err)
	}
	event := make([]byte, 300)
	began := time.Now().UTC()
	for i := range n {
		l := Letter{
			User: s.User(fmt.Sprint("user-", i%(n/5))), Position: uint64(i), MessageID: fmt.Sprint("message-", i), Type: "identify", Source: "website",
			Reason: "invalid", Status: 400, Attempts: 1, FirstTry: began, LastTry: began, Error: fmt.Sprintf("freshmarketer: update_contact: invalid (400): not a choice %d", i%50), Event: event,
		}
		if i%10 == 0 {
			l.Reason = "email_conflict"
		}
		l.ID = letterID(l.User, l.Position)
		msg, err := letterMsg(s.names.letter(l.ID), l)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.js.PublishMsgAsync(msg); err != nil {
			b.Fatal(err)
		}
		if i%2000 == 1999 { // fewer than the client lets wait
			<-s.js.PublishAsyncComplete()
		}
	}
	<-s.js.PublishAsyncComplete()
}

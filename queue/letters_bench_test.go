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
	ask("FirstPage", page(LetterQuery{}))
	ask("FilteredCount", page(LetterQuery{LetterFilter: LetterFilter{Reason: "email_conflict"}, Limit: 1}))
	ask("FilteredByText", page(LetterQuery{LetterFilter: LetterFilter{Text: "choice 7"}, Limit: 1}))
	ask("SortedPage", page(LetterQuery{Sort: "-position"}))
	ask("OfOneUser", page(LetterQuery{LetterFilter: LetterFilter{User: s.User("user-7")}}))
	ask("Groups", func() (int, error) {
		_, total, err := s.LetterGroups(b.Context(), LetterFilter{})
		return total, err
	})
}

func fillDead(b *testing.B, s *Store, n int) {
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

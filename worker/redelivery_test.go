package worker

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/queue"
)

func always(string) bool { return true }

func TestExhaustedLettersComeAgainInTheOrderOfTheLog(t *testing.T) {
	t.Parallel()
	r := newRedelivery(nil, always, always, always, zap.NewNop())
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for i := range 150 {
		l := queue.Letter{ID: fmt.Sprint("u.", i), Position: uint64(i), Reason: ReasonExhausted, FirstTry: now.Add(-15 * time.Minute), LastTry: now}
		if i == 1 {
			l.Reason = ReasonInvalid
		}
		r.watch(l)
	}
	if ids := r.take(now.Add(14 * time.Minute)); len(ids) != 0 {
		t.Errorf("%d letters come too early", len(ids))
	}
	due := now.Add(15 * time.Minute)
	var want []string
	for i := range 101 {
		if i != 1 {
			want = append(want, fmt.Sprint("u.", i))
		}
	}
	first := r.take(due)
	if diff := cmp.Diff(want, first); diff != "" {
		t.Error(diff)
	}
	if ids := r.take(due); len(ids) != 49 || ids[0] != "u.101" {
		t.Errorf("then %v", ids)
	}
	// The commands of the first round could not be stored; one letter has been replayed by hand since.
	r.forget("u.0")
	r.putBack(first, due.Add(time.Minute))
	if ids := r.take(due.Add(time.Minute)); len(ids) != 99 || ids[0] != "u.2" {
		t.Errorf("after a failure: %v", ids)
	}
	if ids := r.take(due.Add(23 * time.Hour)); len(ids) != 0 {
		t.Errorf("%d letters have no day's grace", len(ids))
	}
}

func TestPausesDoubleUpToADay(t *testing.T) {
	t.Parallel()
	first := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	at, got := first, ""
	for range 9 {
		p := pause(queue.Letter{FirstTry: first, LastTry: at})
		got += fmt.Sprint(p, " ")
		at = at.Add(p)
	}
	if want := "15m0s 15m0s 30m0s 1h0m0s 2h0m0s 4h0m0s 8h0m0s 16h0m0s 24h0m0s "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// However many letters there are, a bounded number is in memory; that there are more is not forgotten.
func TestRedeliveryIsBounded(t *testing.T) {
	t.Parallel()
	r := newRedelivery(nil, always, always, always, zap.NewNop())
	now := time.Now()
	for i := range maxDue + 10 {
		r.watch(queue.Letter{ID: fmt.Sprint(i), Reason: ReasonExhausted, FirstTry: now, LastTry: now})
	}
	if len(r.due) != maxDue || !r.more {
		t.Errorf("%d letters in memory, more: %v", len(r.due), r.more)
	}
	r.watch(queue.Letter{ID: "1", Reason: ReasonExhausted, FirstTry: now, LastTry: now.Add(time.Hour)})
	if got := r.due["1"].at; !got.After(now.Add(time.Hour)) {
		t.Errorf("a letter that is known is not planned anew: %v", got)
	}
	if err := r.refill(t.Context()); err != nil || !r.more { // there is no room yet, so nothing is read
		t.Error(err, r.more)
	}
}

package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// inMode restarts the service in a mode.
func (r *rig) inMode(m worker.Mode) {
	r.t.Helper()
	r.mode = m
	r.restart()
}

// writes counts the sandbox's calls that had an effect.
func (r *rig) writes() (n int) {
	for _, c := range r.box.Calls() {
		if c.Effect {
			n++
		}
	}
	return n
}

// lines are the journal's lines about a call.
func (r *rig) lines(messageID string) []queue.JournalEntry {
	r.t.Helper()
	lines, err := r.store.Journal(r.t.Context(), queue.JournalQuery{MessageID: messageID, Since: time.Now().Add(-24 * time.Hour)})
	if err != nil {
		r.t.Fatal(err)
	}
	return lines
}

func (r *rig) pending(want int64) queue.Ledger {
	r.t.Helper()
	l, err := r.store.Ledger(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if l.Pending != want || l.Difference() != 0 {
		r.t.Errorf("%d events are pending, want %d: %+v", l.Pending, want, l)
	}
	return l
}

// What is observed changes nothing, is told as it would be done, and is delivered once the mode is live, by the mapping of
// that time.
func TestObserveWritesNothingAndLosesNothing(t *testing.T) {
	bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
		r.known("ann")
		before := r.writes()
		r.inMode(worker.Mode{Name: worker.ModeObserve, ObserveFor: 24 * time.Hour})
		r.publish(r.identify("ann", map[string]any{"seq": 1, "industry": "Music", "colour": "red"}))
		time.Sleep(time.Second)
		r.publish(r.identify("ann", map[string]any{"seq": 2, "colour": "blue"})) // leaves industry out
		r.publish(r.identify("bob", map[string]any{"seq": 7}), r.identify("nobody", map[string]any{"email": nil}))
		time.Sleep(time.Hour)
		r.pending(4)
		if n := r.writes(); n != before {
			t.Errorf("%d writes while observing", n-before)
		}
		second := r.lines("m3")
		if len(second) != 1 || second[0].Outcome != "observed" || second[0].Reason != "" || action(second[0], "cf_industry") != "emptied" || action(second[0], "cf_seq") != "set" {
			t.Errorf("the journal says %+v", second)
		}
		if nobody := r.lines("m5"); len(nobody) != 1 || nobody[0].Reason != "missing_email" {
			t.Errorf("the journal says %+v", nobody)
		}
		if p := r.pool.Status().Pauses; len(p) != 1 || p[0].Reason != "observe" {
			t.Errorf("pauses %+v", p)
		}
		r.inMode(r.mode) // a restart in the same mode
		time.Sleep(time.Minute)
		r.pending(4)
		r.mapping.Traits = map[string]string{"colour": "Job title"} // what was seen of it is what sets it up
		r.inMode(worker.Mode{})
		if l := r.drain(time.Minute); l.Delivered != 4 || l.Discarded != 1 {
			t.Errorf("ledger %+v", l)
		}
		r.upTo("ann", 2)
		r.upTo("bob", 7)
		if got := r.contact("ann"); got.Custom["cf_industry"] != nil || got.Fields["job_title"] != "blue" {
			t.Errorf("ann has %v, %v: what waited was not mapped anew", got.Custom, got.Fields["job_title"])
		}
		r.neverBackwards("cf_seq")
	})
}

func action(e queue.JournalEntry, field string) string {
	for _, f := range e.Fields {
		if f.Field == field {
			return f.Action
		}
	}
	return ""
}

func TestCanaryWritesItsUsersAlone(t *testing.T) {
	bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
		r.inMode(worker.Mode{Name: worker.ModeCanary, Canary: []string{"u3", "u5"}, ObserveFor: 24 * time.Hour})
		r.load(10, 6)
		time.Sleep(time.Minute)
		r.pending(8 * 6)
		for _, c := range r.box.Contacts() {
			if c.ExternalID != "u3" && c.ExternalID != "u5" {
				t.Errorf("%s was written", c.ExternalID)
			}
		}
		r.upTo("u3", 5)
		r.upTo("u5", 5)
		r.inMode(worker.Mode{})
		if l := r.drain(time.Minute); l.Delivered != 60 {
			t.Errorf("ledger %+v", l)
		}
		r.upToDate(10, 6)
		r.neverBackwards("cf_seq")
	})
}

// Nothing waits for ever, or the log would fill up: what is too old goes, counted and named, and the rest stays.
func TestWhatWaitsTooLongIsDiscarded(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.inMode(worker.Mode{Name: worker.ModeObserve, ObserveFor: 12 * time.Hour})
		r.publish(r.numbered("ann", 1, 5)...)
		r.publish(r.identify("bob", map[string]any{"seq": 1}))
		time.Sleep(11 * time.Hour)
		again := r.identify("ann", map[string]any{"seq": 6})
		r.publish(again)
		r.pending(7)
		time.Sleep(2 * time.Hour)
		l := r.pending(1)
		if n := l.Counts[queue.Count{Type: "identify", Outcome: queue.Discarded, Reason: worker.ReasonNotLive}]; n != 6 || l.Discarded != 6 {
			t.Errorf("%d were discarded: %+v", n, l)
		}
		if lines := r.lines("m1"); len(lines) == 0 || lines[len(lines)-1].Outcome != queue.Discarded || lines[len(lines)-1].Reason != worker.ReasonNotLive {
			t.Errorf("the journal says %+v", lines)
		}
		r.inMode(worker.Mode{})
		r.publish(r.identify("bob", map[string]any{"seq": 2}))
		if l := r.drain(time.Minute); l.Delivered != 2 {
			t.Errorf("ledger %+v", l)
		}
		r.upTo("ann", 6)
		r.upTo("bob", 2)
	})
}

// A letter is not replayed while its user is not written. It is not lost either, whatever becomes of the command.
func TestALetterWaitsForItsMode(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Percent: 100, Status: 400, Operation: "create_contact"})
		r.fault(sandbox.Fault{Percent: 100, Status: 400, Operation: "create_contact"})
		r.publish(r.identify("ann", map[string]any{"seq": 1}))
		r.drain(time.Hour)
		r.box.ClearFaults()
		r.inMode(worker.Mode{Name: worker.ModeObserve, ObserveFor: 12 * time.Hour})
		before := r.writes()
		replay := func() {
			t.Helper()
			if err := r.store.Replay(t.Context(), []string{r.letters()[0].ID}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		replay()
		time.Sleep(13 * time.Hour)
		if n := r.writes() - before; n != 0 || len(r.letters()) != 1 {
			t.Errorf("%d writes, %d letters", n, len(r.letters()))
		}
		r.pending(0)
		replay()
		r.inMode(worker.Mode{})
		time.Sleep(time.Minute)
		if l := r.drain(time.Minute); l.Delivered != 1 || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		r.upTo("ann", 1)
	})
}

// While more waits than there is memory for, reading stops; a start in another mode goes on where it stopped.
func TestWaitingCallsDoNotFillTheMemory(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.readAhead = 500_000 // bytes: some thousand calls
		r.inMode(worker.Mode{Name: worker.ModeObserve, ObserveFor: 24 * time.Hour})
		const calls = 4000
		r.load(200, calls/200)
		time.Sleep(time.Minute)
		if d := r.pool.Status().Pauses[0].Detail; d != "so many calls wait that the log is not read any further; nothing is lost" {
			t.Errorf("status says: %s", d)
		}
		r.pending(calls)
		if lines := r.lines(fmt.Sprint("m", calls)); len(lines) != 0 {
			t.Error("the last call was read")
		}
		r.inMode(worker.Mode{})
		if l := r.drain(time.Hour); l.Delivered != calls {
			t.Errorf("ledger %+v", l)
		}
		r.upToDate(200, calls/200)
	})
}

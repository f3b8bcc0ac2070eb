package worker_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// load publishes n calls of each user, numbered by the trait seq, in rounds.
func (r *rig) load(users, rounds int) {
	r.t.Helper()
	for round := range rounds {
		entries := make([]queue.Entry, users)
		for u := range entries {
			entries[u] = r.identify(fmt.Sprint("u", u), map[string]any{"seq": round, "plan": fmt.Sprint("p", round)})
		}
		r.publish(entries...)
		time.Sleep(500 * time.Millisecond)
	}
}

// upToDate asserts that each user's contact ends with the last round.
func (r *rig) upToDate(users, rounds int) {
	r.t.Helper()
	for u := range users {
		if got := r.contact(fmt.Sprint("u", u)).Custom["cf_seq"]; got != json.Number(fmt.Sprint(rounds-1)) {
			r.t.Errorf("u%d is stale: seq %v", u, got)
		}
	}
}

// Of first attempts: whatever the dice say, a call that is made again is answered. The few calls of a change fail once each at
// most, so no user can be in trouble for as long as it takes to be set aside, and the figures are exact.
func TestFailuresLeaveNobodyStaleAndNothingDead(t *testing.T) {
	for _, percent := range []float64{5, 30} {
		t.Run(fmt.Sprint(percent), func(t *testing.T) {
			bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
				r.fault(sandbox.Fault{Percent: percent, Seed: 7, FirstAttempts: true, Status: 500})
				r.load(200, 10)
				l := r.drain(time.Hour)
				if l.Delivered != 2000 || l.Dead != 0 {
					t.Errorf("ledger %+v", l)
					r.tellTrouble()
				}
				if failed := r.failures(); failed < int(percent) {
					t.Errorf("%d calls failed", failed)
				}
				r.upToDate(200, 10)
				r.neverBackwards("cf_seq")
			})
		})
	}
}

// Of all attempts, the repeated ones too. About fourteen failures in a row, over 15 minutes, set a user's calls aside, and pure
// chance makes that of 30 %: with 0.3^14, 5 in 100 million, where a try is one call, and with (1-0.7^2)^14, 8 in 100,000, where it
// is two. So now and then a run has such a user. It comes again by itself, and in the end nobody is stale and nothing dead.
func TestFailuresOfAnyAttemptEndByThemselves(t *testing.T) {
	for _, percent := range []float64{30, 45} {
		t.Run(fmt.Sprint(percent), func(t *testing.T) {
			bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
				r.fault(sandbox.Fault{Percent: percent, Seed: 7, Status: 500})
				r.load(200, 10)
				if l := r.redelivered(); l.Delivered != 2000 || l.Dead != 0 {
					t.Errorf("ledger %+v", l)
					r.tellTrouble()
				}
				r.upToDate(200, 10)
				r.neverBackwards("cf_seq")
			})
		})
	}
}

// failures counts the calls that a fault took.
func (r *rig) failures() int {
	n := 0
	for _, c := range r.box.Calls() {
		if c.Fault != "" {
			n++
		}
	}
	return n
}

// tellTrouble logs what led to dead letters: when each was tried, what held everything, and the calls around that.
func (r *rig) tellTrouble() {
	for _, letter := range r.letters() {
		r.t.Logf("%s: %s after %d attempts from %v to %v", letter.ID, letter.Reason, letter.Attempts, letter.FirstTry, letter.LastTry)
	}
	for _, e := range r.logs.All() {
		if e.Level == zap.WarnLevel || e.Level == zap.InfoLevel {
			r.t.Log(e.Time, e.Message, e.ContextMap())
		}
	}
	for _, c := range r.box.Calls() {
		r.t.Log(c.Time, c.Operation, c.Status, c.ContactID)
	}
}

// A timeout or a lost answer may hide an effect that happened.
func TestLostAnswersLeaveNobodyStale(t *testing.T) {
	bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Percent: 10, Seed: 1, DropAnswer: true})
		r.fault(sandbox.Fault{Percent: 5, Seed: 2, Cut: true})
		r.load(50, 20)
		if l := r.drain(time.Hour); l.Delivered != 1000 || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
		r.upToDate(50, 20)
		r.neverBackwards("cf_seq")
	})
}

func TestA429HoldsEverythingForAsLongAsItSays(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("first", nil))
		r.drain(time.Minute)
		r.fault(sandbox.Fault{Next: 1, Status: 429, Headers: map[string]string{"Retry-After": "8"}})
		since := r.box.CallCount()
		r.publish(r.identify("held", nil))
		time.Sleep(time.Second)
		began := time.Now()
		for u := range 20 {
			r.publish(r.identify(fmt.Sprint("u", u), nil))
		}
		r.drain(time.Minute)
		var throttled time.Time
		for _, c := range r.box.Calls() {
			switch {
			case c.N <= since:
			case c.Status == 429:
				throttled = c.Time
			case c.Time.Sub(throttled) < 8*time.Second:
				t.Errorf("%s was called %v after a 429 that asked for 8 s", c.Operation, c.Time.Sub(throttled))
			}
		}
		if throttled.IsZero() || time.Since(began) < 6*time.Second {
			t.Error("nothing was held")
		}
	})
}

func TestARefusedKeyPausesAndDeadLettersNothing(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.identify("first", nil))
		r.drain(time.Minute)
		r.fault(sandbox.Fault{Percent: 100, Status: 401})
		before := r.box.CallCount()
		r.load(30, 4)
		time.Sleep(26 * time.Hour)
		pauses := r.pool.Status().Pauses
		if len(pauses) != 1 || pauses[0].Reason != worker.HoldKeyRefused {
			t.Errorf("paused: %+v", pauses)
		}
		if n := r.box.CallCount() - before; n > 26*60 {
			t.Errorf("%d calls while the key was refused", n)
		}
		r.box.ClearFaults()
		if l := r.drain(time.Hour); l.Dead != 0 || l.Delivered != 121 {
			t.Errorf("ledger %+v", l)
		}
		r.upToDate(30, 4)
	})
}

func TestAnOutageOfADayCostsNothingButTime(t *testing.T) {
	for name, f := range map[string]sandbox.Fault{"answers 503": {Percent: 100, Status: 503}, "cuts": {Percent: 100, Cut: true}, "wrong page": {Percent: 100, Status: 302}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
				r.load(30, 1)
				r.drain(time.Minute)
				r.fault(f)
				r.load(30, 6)
				time.Sleep(24 * time.Hour)
				if pauses := r.pool.Status().Pauses; len(pauses) != 1 {
					t.Errorf("paused: %+v", pauses)
				}
				r.box.ClearFaults()
				if l := r.drain(time.Hour); l.Dead != 0 || l.Delivered != 210 {
					t.Errorf("ledger %+v", l)
				}
				r.upToDate(30, 6)
				r.neverBackwards("cf_seq")
			})
		})
	}
}

// One user's trouble is that user's alone: others go on, and in the end the event is set aside and tried again by itself.
func TestOneUsersTroubleDelaysNobodyAndEndsByItself(t *testing.T) {
	for _, status := range []int{500, 403} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
				r.publish(r.identify("poison", map[string]any{"seq": 0}))
				r.drain(time.Minute)
				poison := fmt.Sprint("/", r.contact("poison").ID)
				r.fault(sandbox.Fault{Percent: 100, Status: status, Match: poison})
				r.publish(r.identify("poison", map[string]any{"seq": 1}))
				r.load(20, 3)
				time.Sleep(10 * time.Second)
				r.upToDate(20, 3)
				time.Sleep(20 * time.Minute)
				if letters := r.letters(); len(letters) != 1 || letters[0].Reason != worker.ReasonExhausted || letters[0].Status != status {
					t.Errorf("letters %+v", letters)
				}
				r.drain(time.Minute)
				r.publish(r.identify("poison", map[string]any{"seq": 2})) // a later event of that user
				time.Sleep(time.Minute)
				r.box.ClearFaults()
				r.drain(time.Hour)
				r.noLetters(26 * time.Hour)
				if l := r.drain(time.Hour); l.Dead != 0 || len(r.letters()) != 0 {
					t.Errorf("the letter was not tried again: %+v", l)
				}
				if got := r.contact("poison").Custom["cf_seq"]; got != json.Number("2") {
					t.Errorf("seq is %v: an old letter beat newer data", got)
				}
				r.neverBackwards("cf_seq")
			})
		})
	}
}

// The API refuses one of many waiting calls, and there is nothing in it that could go without the rest: that one is set
// aside, the others arrive.
func TestARefusedCallIsTakenOutOfAMergedChange(t *testing.T) {
	bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.refuse(13)
		r.publish(r.numbered("ann", 1, 13)...)
		l := r.drain(time.Hour)
		letters := r.letters()
		if len(letters) != 1 || letters[0].MessageID != "m14" || letters[0].Reason != worker.ReasonInvalid || letters[0].Status != 400 || l.Delivered != 13 {
			t.Errorf("letters %+v, ledger %+v", letters, l)
		}
		r.upTo("ann", 12)
		r.publish(r.numbered("ann", 14, 20)...)
		r.drain(time.Hour)
		r.upTo("ann", 20)
		r.neverBackwards("cf_seq")
	})
}

func (r *rig) upTo(user string, seq int) {
	r.t.Helper()
	if got := r.contact(user).Custom["cf_seq"]; got != json.Number(fmt.Sprint(seq)) {
		r.t.Errorf("%s ends with %v, want %d", user, got, seq)
	}
}

func TestReplayDeliversOnceAndNeverBeatsNewerData(t *testing.T) {
	bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Percent: 100, Status: 400})
		// The probe and the fields must work, or nothing is tried at all.
		r.box.ClearFaults()
		r.fault(sandbox.Fault{Percent: 100, Status: 400, Operation: "create_contact"})
		r.publish(r.identify("ann", map[string]any{"seq": 1, "industry": "Music"}))
		if l := r.drain(time.Hour); l.Dead != 1 || l.Delivered != 0 {
			t.Fatalf("ledger %+v", l)
		}
		id := r.letters()[0].ID
		r.box.ClearFaults()
		replay := func() {
			t.Helper()
			if err := r.store.Replay(t.Context(), []string{id}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		replay()
		if l := r.drain(time.Minute); l.Dead != 0 || l.Delivered != 1 || len(r.letters()) != 0 {
			t.Errorf("after the replay: %+v", l)
		}
		r.upTo("ann", 1)
		writes := r.box.CallCount()
		replay()
		if l := r.drain(time.Minute); l.Delivered != 1 || r.box.CallCount() != writes {
			t.Errorf("the second replay did something: %+v, %v", l, r.calls(writes))
		}
		// An old letter and newer data.
		r.fault(sandbox.Fault{Percent: 100, Status: 400, Operation: "update_contact"})
		r.publish(r.identify("ann", map[string]any{"seq": 2}))
		r.drain(time.Hour)
		r.box.ClearFaults()
		r.publish(r.identify("ann", map[string]any{"seq": 3}))
		r.drain(time.Hour)
		id = r.letters()[0].ID
		if err := r.store.Replay(t.Context(), []string{id, id}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if l := r.drain(time.Minute); l.Dead != 0 || l.Delivered+l.Discarded != 3 || l.Accepted != 3 {
			t.Errorf("ledger %+v", l)
		}
		r.upTo("ann", 3)
		r.neverBackwards("cf_seq")
	})
}

func TestAReplayThatFailsAgainUpdatesItsLetter(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Percent: 100, Status: 400, Operation: "create_contact"})
		r.publish(r.identify("ann", nil))
		r.drain(time.Hour)
		first := r.letters()[0]
		time.Sleep(time.Hour)
		if err := r.store.Replay(t.Context(), []string{first.ID}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		again := r.letters()
		if len(again) != 1 || again[0].Attempts <= first.Attempts || !again[0].FirstTry.Equal(first.FirstTry) || !again[0].LastTry.After(first.LastTry) {
			t.Errorf("first %+v, then %+v", first, again)
		}
		if l := r.drain(time.Minute); l.Dead != 1 || l.Counts[queue.Count{Type: "identify", Outcome: queue.Dead, Reason: worker.ReasonInvalid}] != 1 {
			t.Errorf("ledger %+v", l)
		}
	})
}

// A user's trouble does not grow old while everything is held.
func TestAHoldDoesNotAgeAUsersTrouble(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		for _, user := range []string{"ann", "bob"} {
			r.publish(r.identify(user, map[string]any{"seq": 0}))
		}
		r.drain(time.Minute)
		r.fault(sandbox.Fault{Next: 2, Operation: "update_contact", Match: fmt.Sprint("/", r.contact("ann").ID), Status: 500})
		r.publish(r.identify("ann", map[string]any{"seq": 1}))
		time.Sleep(time.Second)
		r.fault(sandbox.Fault{Next: 1, Operation: "get_contact", Match: fmt.Sprint("/", r.contact("bob").ID), Status: 429, Headers: map[string]string{"Retry-After": "3600"}})
		r.publish(r.identify("bob", map[string]any{"seq": 1}))
		time.Sleep(time.Hour)
		if l := r.drain(10 * time.Minute); l.Dead != 0 || l.Delivered != 4 {
			t.Errorf("ledger %+v", l)
		}
		r.upTo("ann", 1)
	})
}

// Several users' calls fail for good, and hardly anybody else's come: that looks like an outage, as long as nobody else shows that it
// is none. Whoever comes goes first, so nobody waits for long, nobody waits once that has been shown twice, and it is the end of the
// pause. Those in trouble are set aside like one alone.
func TestSeveralUsersTroubleHoldsNobodyForLong(t *testing.T) {
	for _, status := range []int{500, 403} {
		bubbleNamed(t, fmt.Sprint(status), sandbox.Options{History: true}, func(t *testing.T, r *rig) {
			const poison = 12 // more than there are runners
			r.known("ann")
			for u := range poison {
				user := fmt.Sprint("poison", u)
				r.known(user)
				r.fault(sandbox.Fault{Percent: 100, Status: status, Match: fmt.Sprint("/", r.contact(user).ID)})
			}
			for u := range poison {
				r.publish(r.identify(fmt.Sprint("poison", u), map[string]any{"seq": 1}))
			}
			before := r.box.CallCount()
			for seq := 1; seq <= 12; seq++ {
				time.Sleep(5 * time.Minute)
				began := time.Now()
				r.publish(r.identify("ann", map[string]any{"seq": seq}))
				for fmt.Sprint(r.contact("ann").Custom["cf_seq"]) != fmt.Sprint(seq) && time.Since(began) < time.Hour {
					time.Sleep(time.Second)
				}
				most := 5 * time.Second
				if seq <= 3 {
					most = 5 * time.Minute // two probes
				}
				if took := time.Since(began); took > most {
					t.Errorf("call %d took %v", seq, took)
				}
			}
			if pauses := r.pool.Status().Pauses; len(pauses) > 0 {
				t.Errorf("paused: %+v", pauses)
			}
			if n := r.box.CallCount() - before; n > 40*(poison+12) { // about twenty tries each, some with a probe
				t.Errorf("%d calls: %v", n, r.calls(before))
			}
			letters := r.letters()
			for _, l := range letters {
				if l.Reason != worker.ReasonExhausted || l.Status != status {
					t.Errorf("letter %+v", l)
				}
			}
			if len(letters) != poison {
				t.Errorf("%d letters", len(letters))
			}
			r.box.ClearFaults()
			if l := r.redelivered(); l.Dead != 0 || l.Delivered != 1+12+2*poison {
				t.Errorf("ledger %+v", l)
			}
			r.neverBackwards("cf_seq")
		})
	}
}

// A key that may no longer write anything is nobody's own trouble: everything waits, and nothing is set aside.
func TestAKeyThatMayNotWriteHoldsEverything(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.load(10, 1)
		r.drain(time.Minute)
		r.fault(sandbox.Fault{Percent: 100, Status: 403, Operation: "create_contact|update_contact|upsert_contact|bulk_upsert"})
		for u := range 10 {
			r.publish(r.identify(fmt.Sprint("new", u), nil))
		}
		time.Sleep(26 * time.Hour)
		if p := r.pool.Status().Pauses; len(p) != 1 || p[0].Reason != worker.HoldMisconfigured || len(r.letters()) > 0 {
			t.Errorf("paused: %+v, %d letters", p, len(r.letters()))
		}
		r.box.ClearFaults()
		if l := r.drain(time.Hour); l.Delivered != 20 || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
	})
}

// Users who were found to be in trouble of their own are in an outage like anybody, when one begins then and nobody else is there: nothing
// is set aside because of it: before that, the API is asked whether it works.
func TestAnOutageAfterUsersOwnTroubleSetsNothingAside(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		const failing = 4
		r.known("ann")
		for u := range failing {
			user := fmt.Sprint("poison", u)
			r.known(user)
			r.fault(sandbox.Fault{Percent: 100, Status: 500, Match: fmt.Sprint("/", r.contact(user).ID)})
		}
		for u := range failing {
			r.publish(r.identify(fmt.Sprint("poison", u), map[string]any{"seq": 1}))
		}
		for seq := 1; seq <= 4; seq++ {
			time.Sleep(30 * time.Second)
			r.publish(r.identify("ann", map[string]any{"seq": seq}))
		}
		time.Sleep(time.Minute)
		if l, err := r.store.Ledger(t.Context()); err != nil || l.Pending != failing || len(r.pool.Status().Pauses) > 0 {
			t.Errorf("their trouble was to be their own: %+v, %v, %+v", l, err, r.pool.Status().Pauses)
		}
		r.fault(sandbox.Fault{Percent: 100, Status: 503})
		time.Sleep(26 * time.Hour)
		if p := r.pool.Status().Pauses; len(p) != 1 || p[0].Reason != worker.HoldOutage || len(r.letters()) > 0 {
			t.Errorf("paused: %+v, letters %+v", p, r.letters())
		}
		r.box.ClearFaults()
		if l := r.drain(time.Hour); l.Delivered != 1+failing+4+failing || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
	})
}

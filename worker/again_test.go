package worker_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// numbered makes calls of a user with the trait seq from … to, and nothing else that could be sent without it.
func (r *rig) numbered(user string, from, to int) []queue.Entry {
	r.t.Helper()
	var entries []queue.Entry
	for i := from; i <= to; i++ {
		entries = append(entries, r.identify(user, map[string]any{"seq": i}))
	}
	return entries
}

// refuse lets the account refuse calls of a number, without saying why.
func (r *rig) refuse(numbers ...int) {
	for _, n := range numbers {
		r.fault(sandbox.Fault{Percent: 100, Operation: "update_contact", Status: 400, MatchBody: fmt.Sprintf(`"cf_seq":%d}`, n)})
	}
}

// known makes the user's contact.
func (r *rig) known(user string) {
	r.t.Helper()
	r.publish(r.identify(user, map[string]any{"seq": 0}))
	r.drain(time.Minute)
}

func (r *rig) restart() {
	r.t.Helper()
	r.close()
	r.open()
}

// A merged change was written and its answer lost. More calls come, and the larger change fails, and then is refused:
// what is taken out of it must not be smaller than what was written.
func TestARefusedChangeIsNotSplitBelowWhatWasWritten(t *testing.T) {
	for name, between := range map[string]func(r *rig){
		"in the same run":        func(r *rig) { time.Sleep(10 * time.Second) },
		"after a restart":        func(r *rig) { r.restart() },
		"after several restarts": func(r *rig) { r.restart(); time.Sleep(20 * time.Millisecond); r.restart() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
				r.known("ann")
				r.fault(sandbox.Fault{Next: 1, Operation: "update_contact", DropAnswer: true})
				r.publish(r.numbered("ann", 1, 12)...)
				time.Sleep(time.Second) // the effect has happened
				r.upTo("ann", 12)
				r.fault(sandbox.Fault{Next: 1, Operation: "update_contact", Status: 500})
				r.refuse(19, 20)
				r.publish(r.numbered("ann", 13, 20)...)
				between(r)
				if l := r.drain(time.Hour); l.Dead != 2 || l.Delivered != 19 {
					t.Errorf("ledger %+v", l)
				}
				r.upTo("ann", 18)
				r.neverBackwards("cf_seq")
			})
		})
	}
}

// What a record covers is read again after a start if another user keeps the floor down. It must not take room in the
// next change: that would be smaller than before.
func TestWhatIsSettledDoesNotMakeTheNextChangeSmaller(t *testing.T) {
	bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.fault(sandbox.Fault{Percent: 100, Operation: "create_contact", Status: 500, MatchBody: "poison"})
		r.publish(append([]queue.Entry{r.identify("poison", nil)}, r.numbered("ann", 1, 300)...)...)
		time.Sleep(time.Second)
		r.fault(sandbox.Fault{Next: 1, Operation: "update_contact", DropAnswer: true})
		r.publish(r.numbered("ann", 301, 800)...)
		time.Sleep(time.Second)
		r.upTo("ann", 800)
		r.restart()
		time.Sleep(time.Minute)
		r.box.ClearFaults()
		if l := r.drain(time.Hour); l.Delivered != 802 {
			t.Errorf("ledger %+v", l)
		}
		r.upTo("ann", 800)
		r.neverBackwards("cf_seq")
	})
}

// A contact is made bare because more of it is refused. When the next call is held, that has happened: what then comes is
// made of at least the same calls, and the refused field is left out.
func TestACreationThatStopsHalfWayGoesOn(t *testing.T) {
	bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
		r.known("other") // the account's fields are read
		r.fault(sandbox.Fault{Next: 1, Operation: "get_contact|update_contact", Status: 429, Headers: map[string]string{"Retry-After": "5"}})
		r.fault(sandbox.Fault{Percent: 100, Status: 400, MatchBody: "Refuse me"})
		entries := make([]queue.Entry, 18)
		for i := range entries {
			entries[i] = r.identify("ann", map[string]any{"seq": i, "job title": fmt.Sprintf("title %02d", i)})
		}
		for _, i := range []int{11, 17} {
			entries[i] = r.identify("ann", map[string]any{"seq": i, "job title": "Refuse me"})
		}
		r.publish(entries[:12]...)
		time.Sleep(time.Second)
		r.publish(entries[12:]...)
		if l := r.drain(time.Hour); l.Dead != 0 || l.Delivered != 19 {
			t.Errorf("ledger %+v", l)
		}
		r.upTo("ann", 17)
		if title := r.contact("ann").Fields["job_title"]; title != "title 16" {
			t.Errorf("the title is %v, want that of the newest call whose title is taken", title)
		}
		r.neverBackwards("cf_seq")
	})
}

// DEAD is full when a merged change is to be set aside: some letters are stored, the settlement is not. The change then
// succeeds after all, so those letters must go, and meanwhile the account is not called every second.
func TestLettersOfASettlementThatFailedDoNotStay(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		big := strings.Repeat("x", 400<<10)
		r.known("ann")
		r.fault(sandbox.Fault{Percent: 100, Operation: "create_contact", Status: 400, MatchBody: "filler"})
		for i := range 23 {
			r.publish(r.identify(fmt.Sprint("filler", i), map[string]any{"junk": big}))
			r.drain(time.Minute)
		}
		r.fault(sandbox.Fault{Percent: 100, Operation: "update_contact", Status: 500})
		ann := r.numbered("ann", 1, 3)
		r.publish(append(ann, r.identify("ann", map[string]any{"seq": 4, "junk": big}), r.identify("ann", map[string]any{"seq": 5, "junk": big}))...)
		time.Sleep(30 * time.Minute)
		l, err := r.store.Ledger(t.Context())
		if err != nil || l.Pending != 5 || l.Dead <= 23 {
			t.Fatalf("DEAD is not full in the middle of a settlement: %+v, %v", l, err)
		}
		before := r.box.CallCount()
		time.Sleep(time.Hour)
		if n := r.box.CallCount() - before; n > 200 {
			t.Errorf("%d API calls in an hour though nothing can be set aside", n)
		}
		r.box.ClearFaults()
		l = r.drain(time.Hour)
		time.Sleep(time.Minute)
		if l = r.drain(time.Hour); l.Dead != 23 || l.Delivered != 6 || l.Counts[queue.Count{Type: "identify", Outcome: queue.Dead, Reason: worker.ReasonExhausted}] != 0 {
			t.Errorf("ledger %+v", l)
		}
		for _, letter := range r.letters() {
			if letter.Reason == worker.ReasonExhausted {
				t.Errorf("the letter of a delivered event is still there: %+v", letter)
			}
		}
		r.upTo("ann", 5)
	})
}

// Letters and new events of one user in one turn, a letter in several commands: each counts once, and the newest wins.
func TestReplaysMixWithNewEvents(t *testing.T) {
	bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.fault(sandbox.Fault{Percent: 100, Operation: "update_contact", Status: 400})
		for i := 1; i <= 3; i++ {
			r.publish(r.identify("ann", map[string]any{"seq": i}))
			r.drain(time.Minute)
		}
		r.box.ClearFaults()
		var ids []string
		for _, l := range r.letters() {
			ids = append(ids, l.ID)
		}
		// The first call after the hold finds all of this waiting.
		r.fault(sandbox.Fault{Next: 1, Operation: "create_contact", Status: 429, Headers: map[string]string{"Retry-After": "60"}})
		r.publish(r.identify("bob", nil))
		time.Sleep(time.Second)
		r.publish(r.identify("ann", map[string]any{"seq": 4}))
		for range 3 {
			if err := r.store.Replay(t.Context(), ids); err != nil {
				t.Fatal(err)
			}
			r.publish(r.identify("ann", map[string]any{"seq": 5}))
		}
		r.drain(time.Hour)
		time.Sleep(10 * time.Second)
		l := r.drain(time.Minute)
		if l.Dead != 0 || len(r.letters()) != 0 || l.Delivered+l.Discarded != l.Accepted || l.Accepted != 9 {
			t.Errorf("ledger %+v", l)
		}
		for count, n := range l.Counts {
			if count.Outcome == queue.Dead && n != 0 {
				t.Errorf("%+v: %d", count, n)
			}
		}
		r.upTo("ann", 5)
		r.neverBackwards("cf_seq")
	})
}

// An account might update a contact with the same address where it is told to create one; none is known to.
func TestACreateThatAnswersAStrangersContactIsNotFollowed(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		stranger := r.add(map[string]any{"emails": "owner@example.test", "external_id": "owner", "custom_field": map[string]any{"cf_notes": "by hand"}})
		r.fault(sandbox.Fault{
			Percent: 100, Operation: "create_contact", Status: 200,
			Body: fmt.Sprintf(`{"contact":{"id":%d,"external_id":"owner","custom_field":{}}}`, stranger.ID),
		})
		r.publish(r.identify("ann", map[string]any{"plan": "growth"}))
		if l := r.drain(time.Hour); l.Dead != 1 {
			t.Errorf("ledger %+v", l)
		}
		if letters := r.letters(); len(letters) != 1 || letters[0].Reason != worker.ReasonEmailConflict {
			t.Errorf("letters %+v", letters)
		}
		if c := r.contact("owner"); len(c.Custom) != 1 || c.Custom["cf_notes"] != "by hand" {
			t.Errorf("a stranger's contact was written: %+v", c)
		}
	})
}

// The same value is sent again after a while. The account keeps it in a form of its own.
func TestAValueInTheAccountsOwnFormCountsAsStored(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.mapping.ResendAfter = time.Hour
		r.restart()
		r.publish(r.identify("ann", map[string]any{"plan": "Growth", "logins": 3, "industry": "Music"}))
		r.drain(time.Minute)
		id := r.contact("ann").ID
		if _, err := r.box.Edit(id, map[string]any{"custom_field": map[string]any{"cf_plan": "by our own name: growth"}}); err != nil {
			t.Fatal(err)
		}
		r.fault(sandbox.Fault{
			Percent: 100, Operation: "update_contact", Status: 200,
			Body: fmt.Sprintf(`{"contact":{"id":%d,"external_id":"ann","custom_field":{"cf_plan":"by our own name: growth","cf_logins":"3.0","cf_industry":"Music"}}}`, id),
		})
		time.Sleep(2 * time.Hour)
		r.publish(r.identify("ann", map[string]any{"plan": "Growth", "logins": 3, "industry": "Music"}))
		r.drain(time.Minute)
		entries, err := r.store.Journal(t.Context(), queue.JournalQuery{MessageID: fmt.Sprint("m", r.n)})
		if err != nil || len(entries) != 1 || len(entries[0].LeftOut) != 0 || len(entries[0].Calls) == 0 {
			t.Errorf("the journal says %+v, %v", entries, err)
		}
		before := r.box.CallCount()
		r.publish(r.identify("ann", map[string]any{"plan": "Growth", "logins": json.Number("3"), "industry": "Music"}))
		r.drain(time.Minute)
		if n := r.calls(before)["update_contact"]; n != 0 {
			t.Error("it is sent with every call")
		}
	})
}

// What one change was made of may lie in many packs. After a start nothing is sent before all of them are read.
func TestNothingIsSentBeforeAllIsReadAgain(t *testing.T) {
	bubble(t, sandbox.Options{History: true}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.fault(sandbox.Fault{Next: 1, Operation: "get_contact", Status: 429, Headers: map[string]string{"Retry-After": "30"}})
		for _, entry := range r.numbered("ann", 1, 60) {
			r.publish(entry)
			time.Sleep(10 * time.Millisecond)
		}
		r.fault(sandbox.Fault{Next: 1, Operation: "update_contact", DropAnswer: true})
		time.Sleep(30 * time.Second)
		r.upTo("ann", 60)
		r.restart()
		if l := r.drain(time.Hour); l.Delivered != 61 {
			t.Errorf("ledger %+v", l)
		}
		r.neverBackwards("cf_seq")
	})
}

// What was set aside was not sent: its values are sent with the next call that carries them, and its message id is known.
func TestASetAsideCallIsRememberedButNotItsValues(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.fault(sandbox.Fault{Percent: 100, Operation: "update_contact", Status: 400}) // whichever field it is about
		refused := r.identify("ann", map[string]any{"job title": "Owner", "plan": "growth", "seq": 1})
		r.publish(refused)
		r.drain(time.Minute)
		r.box.ClearFaults()
		r.publish(refused, r.identify("ann", map[string]any{"job title": "Owner", "plan": "growth", "seq": 1}))
		l := r.drain(time.Minute)
		if l.Dead != 1 || l.Delivered != 2 || l.Discarded != 1 {
			t.Errorf("ledger %+v", l)
		}
		r.upTo("ann", 1)
		if got := r.contact("ann").Custom["cf_plan"]; got != "growth" {
			t.Errorf("plan is %v: it was taken for sent", got)
		}
	})
}

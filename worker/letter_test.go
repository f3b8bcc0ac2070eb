package worker_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// refused makes a letter of class invalid of each user, whose address the account refuses.
func (r *rig) refused(users ...string) []string {
	r.t.Helper()
	r.fault(sandbox.Fault{Percent: 100, Status: 400, MatchBody: "refuse-"})
	for _, user := range users {
		r.publish(r.identify(user, map[string]any{"email": "refuse-" + user + "@example.test", "job title": "Cook", "seq": 1}))
	}
	r.drain(time.Hour)
	var ids []string
	for _, l := range r.letters() {
		ids = append(ids, l.ID)
	}
	if len(ids) != len(users) {
		r.t.Fatalf("%d letters for %d users", len(ids), len(users))
	}
	return ids
}

func (r *rig) command(o queue.Order, ids ...string) queue.Ledger {
	r.t.Helper()
	if err := r.store.Command(r.t.Context(), ids, o); err != nil {
		r.t.Fatal(err)
	}
	time.Sleep(time.Minute)
	return r.drain(time.Hour)
}

// An operator gives letters up: they end as discarded, are counted as that under the job, and cost no call.
func TestDiscardedLettersAreCountedAndGone(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		ids := r.refused("ann", "bob", "eve")
		before := r.box.CallCount()
		o := queue.Order{Job: 7, Discard: worker.ReasonByOperator}
		l := r.command(o, ids[0], ids[1])
		if l.Dead != 1 || l.Discarded != 2 || l.Counts[queue.Count{Type: "identify", Outcome: queue.Discarded, Reason: worker.ReasonByOperator}] != 2 {
			t.Errorf("ledger %+v", l)
		}
		if again := r.command(o, ids[0], ids[1]); again.Discarded != 2 || again.Dead != 1 {
			t.Errorf("discarding twice: %+v", again)
		}
		if n := r.box.CallCount() - before; n != 0 {
			t.Errorf("%d API calls", n)
		}
		if diff := cmp.Diff(map[string]int64{"discarded:by_operator": 2}, queue.JobResults(l.Counts, 7)); diff != "" {
			t.Error(diff)
		}
	})
}

// A letter is delivered with a value changed. While it goes on failing its own bytes stay, and the change is kept beside them.
func TestEditedLettersKeepTheirBytes(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		id := r.refused("ann")[0]
		set := func(path, value string) []queue.Edit {
			return []queue.Edit{{Path: path, Value: json.RawMessage(value)}}
		}
		original, err := r.store.Letter(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		l := r.command(queue.Order{Job: 1, Edits: set("traits.seq", "5")}, id)
		if got := queue.JobResults(l.Counts, 1); got["dead:invalid"] != 1 || l.Dead != 1 {
			t.Errorf("results %v, ledger %+v", got, l)
		}
		kept, err := r.store.Letter(t.Context(), id)
		if err != nil || string(kept.Event) != string(original.Event) || kept.Attempts != 2 || kept.Job != 1 {
			t.Errorf("%+v, %v", kept, err)
		}
		if diff := cmp.Diff(set("traits.seq", "5"), kept.Edits); diff != "" {
			t.Error(diff)
		}
		// The same job asks once more, as after a crash: it has had its try.
		before := r.box.CallCount()
		if l := r.command(queue.Order{Job: 1, Edits: set("traits.seq", "5")}, id); r.box.CallCount() != before || queue.JobResults(l.Counts, 1)["dead:invalid"] != 1 {
			t.Error("a job tries a letter twice")
		}
		l = r.command(queue.Order{Job: 2, Edits: set(`traits.email`, `"ann@example.test"`)}, id)
		if got := queue.JobResults(l.Counts, 2); got["delivered"] != 1 || l.Dead != 0 || l.Delivered != 1 {
			t.Errorf("results %v, ledger %+v", got, l)
		}
		if c := r.contact("ann"); c.Email != "ann@example.test" || c.Custom["cf_seq"] != json.Number("5") {
			t.Errorf("the contact is %+v", c)
		}
		lines, err := r.store.Journal(t.Context(), queue.JournalQuery{User: original.User})
		if err != nil || len(lines) != 3 {
			t.Fatalf("%+v, %v", lines, err)
		}
		last := lines[2]
		if last.Outcome != queue.Delivered || !last.Replayed || last.Job != 2 || len(last.Edited) != 2 || last.Received.IsZero() {
			t.Errorf("%+v", last)
		}
		if first := lines[0]; first.Calls[0].Error == "" || first.Calls[0].At.IsZero() {
			t.Errorf("the journal does not say what was answered: %+v", first.Calls)
		}
	})
}

// What a replay held back because the contact has something newer is counted by field.
func TestWhatAReplayHeldBackIsCounted(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		id := r.refused("ann")[0]
		r.box.ClearFaults()
		r.publish(r.identify("ann", map[string]any{"seq": 9}))
		r.drain(time.Minute)
		l := r.command(queue.Order{Job: 3}, id)
		got := queue.JobResults(l.Counts, 3)
		if got["discarded:stale"]+got["delivered"] != 1 || got["held:cf_seq"] != 1 {
			t.Errorf("results %v", got)
		}
		if c := r.contact("ann"); c.Custom["cf_seq"] != json.Number("9") {
			t.Errorf("the contact went back: %+v", c)
		}
	})
}

// A letter that was exported, given up and imported is what it was, at its old place, and can be delivered.
func TestImportedLettersComeBackAsTheyWere(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		id := r.refused("ann")[0]
		exported, err := r.store.Letter(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.store.Import(t.Context(), []queue.Letter{exported}); err != nil { // it never left
			t.Fatal(err)
		}
		if l := r.drain(time.Minute); l.Dead != 1 || l.Accepted != 2 || l.Discarded != 1 {
			t.Errorf("importing what is there: %+v", l)
		}
		r.command(queue.Order{Discard: worker.ReasonByOperator}, id)
		exported.Edits = []queue.Edit{{Path: "traits.plan", Value: json.RawMessage(`"growth"`)}}
		if err := r.store.Import(t.Context(), []queue.Letter{exported, exported}); err != nil {
			t.Fatal(err)
		}
		l := r.drain(time.Minute)
		if l.Dead != 1 || l.Accepted != 4 || l.Counts[queue.Count{Type: "identify", Outcome: queue.Dead, Reason: worker.ReasonInvalid}] != 1 {
			t.Errorf("ledger %+v", l)
		}
		back, err := r.store.Letter(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		exported.Command = back.Command
		if diff := cmp.Diff(exported, back); diff != "" {
			t.Error(diff)
		}
		r.restart() // nothing of it is taken for a leftover
		r.box.ClearFaults()
		if l := r.command(queue.Order{}, id); l.Dead != 0 || l.Delivered != 1 {
			t.Errorf("ledger %+v", l)
		}
		if c := r.contact("ann"); c.Custom["cf_plan"] != "growth" {
			t.Errorf("the contact is %+v", c)
		}
		// From another log its place means nothing: it gets a new one.
		exported.Position = 1 << 50
		if err := r.store.Import(t.Context(), []queue.Letter{exported}); err != nil {
			t.Fatal(err)
		}
		if l := r.drain(time.Minute); l.Dead != 1 || r.letters()[0].Position == exported.Position {
			t.Errorf("ledger %+v, letters %+v", l, r.letters())
		}
	})
}

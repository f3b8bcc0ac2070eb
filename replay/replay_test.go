package replay_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/replay"
)

// waits are how long live calls have waited, from their arrival to the journal's line.
func (r *rig) waits(user string) (longest, mean time.Duration, n int) {
	r.t.Helper()
	var sum time.Duration
	for i := range 50 {
		lines, err := r.store.Journal(r.t.Context(), queue.JournalQuery{User: r.store.User(fmt.Sprint(user, i))})
		if err != nil {
			r.t.Fatal(err)
		}
		for _, e := range lines {
			wait := e.At.Sub(e.Received)
			longest, sum, n = max(longest, wait), sum+wait, n+1
		}
	}
	return longest, sum / time.Duration(max(n, 1)), n
}

// live sends n calls of other users, ten a second, and newer ones of the letters' users among them.
func (r *rig) live(user string, n, users int) {
	r.t.Helper()
	for i := range n {
		r.publish(r.call(fmt.Sprint(user, i%50), map[string]any{"seq": 1_000_000 + r.n})) // each is a change
		if i%10 == 0 && users > 0 {
			r.publish(r.call(fmt.Sprint("u", i%users), map[string]any{"seq": 1_000_000 + r.n}))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Thousands of letters are replayed while calls come in: nobody ends with older data, each letter is sent once, live calls
// wait at most twice as long as before, and the report adds up with the ledger. A stop, a crash of the jobs and a restart of
// everything come in the middle.
func TestAReplayStaysBehindLiveTraffic(t *testing.T) {
	bubble(t, sandbox.Options{History: true, CallLog: 200_000}, 0, func(t *testing.T, r *rig) {
		n, users := *letterCount, *userCount
		r.letters(n, users)
		if err := r.box.AddFault(sandbox.Fault{Percent: 100, Delay: 50 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		r.live("before", 100, 0)
		r.drain(time.Hour)
		longestBefore, meanBefore, _ := r.waits("before")

		before := r.drain(time.Hour)
		report := r.start(replay.Job{})
		id, err := replay.ParseName(report.ID)
		if err != nil {
			t.Fatal(err)
		}
		r.live("during", 40, users)
		if report, err = r.runner.Report(t.Context(), id); err != nil || report.State != replay.StateRunning || report.Deliver+report.Discard == 0 {
			t.Errorf("live traffic does not meet the replay: %+v, %v", report, err)
		}
		if _, err := r.runner.Stop(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if _, err := r.runner.Continue(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		r.live("during", 20, users)
		r.stopJobs() // as if the process had died between two saves
		r.openJobs()
		r.live("during", 20, users)
		r.restart()
		r.live("during", 20, users)
		report = r.wait(report, 24*time.Hour)
		after := r.drain(time.Hour)

		if report.Selected != n || report.Deliver+report.Discard != n || report.Gone != 0 || report.Dead != 0 || after.Dead != 0 {
			t.Errorf("report %+v, ledger %+v", report, after)
		}
		live := after.Accepted - before.Accepted
		if after.Delivered+after.Discarded-before.Delivered-before.Discarded != live+int64(n) {
			t.Errorf("the report does not add up with the ledger: %+v before, %+v after, %+v", before, after, report)
		}
		longest, mean, calls := r.waits("during")
		t.Logf("live calls waited %v on average and %v at most before, %v and %v during the replay (%d calls)", meanBefore, longestBefore, mean, longest, calls)
		if calls < 100 || mean > 2*meanBefore {
			t.Errorf("%d live calls waited %v on average, before the replay it was %v", calls, mean, meanBefore)
		}
		r.checkContacts(users)
	})
}

// checkContacts: each contact ends with its newest call, and no field was ever written with less than before.
func (r *rig) checkContacts(users int) {
	r.t.Helper()
	seen := 0
	for _, c := range r.box.Contacts() {
		if c.ExternalID == "" || c.ExternalID[0] != 'u' {
			continue
		}
		seen++
		last, writes := int64(-1), map[int64]int{}
		for _, s := range r.box.History(c.ID) {
			number, ok := s.Contact.Custom["cf_seq"].(json.Number)
			if !ok {
				continue
			}
			v, err := number.Int64()
			if err != nil {
				r.t.Fatal(err)
			}
			if v < last {
				r.t.Errorf("%s went from %d back to %d", c.ExternalID, last, v)
			}
			if v != last {
				writes[v]++
			}
			last = v
		}
		for v, times := range writes {
			if times != 1 {
				r.t.Errorf("%s: the value %d was written %d times", c.ExternalID, v, times)
			}
		}
	}
	if seen != users {
		r.t.Errorf("%d contacts of %d users", seen, users)
	}
}

// What a job selects is what was there when it began. What fails in it stays, is counted, and is not tried again by it.
func TestLettersThatFailAgainAreTriedOnce(t *testing.T) {
	bubble(t, sandbox.Options{}, 0, func(t *testing.T, r *rig) {
		r.letters(30, 30)
		r.refuse(`"u1`) // u1 and u10 to u19
		report := r.wait(r.start(replay.Job{}), time.Hour)
		if report.Selected != 30 || report.Deliver != 19 || report.Dead != 11 || report.Reasons["dead:invalid"] != 11 || report.State != replay.StateDone {
			t.Errorf("%+v", report)
		}
		// Twice does nothing twice: what was delivered is not there any more.
		calls := r.box.CallCount()
		again := r.wait(r.start(replay.Job{Filter: queue.LetterFilter{Field: "nothing"}}), time.Hour)
		if again.Selected != 0 || r.box.CallCount() != calls {
			t.Errorf("%+v", again)
		}
		r.box.ClearFaults()
		if last := r.wait(r.start(replay.Job{}), time.Hour); last.Selected != 11 || last.Deliver != 11 {
			t.Errorf("%+v", last)
		}
		if l := r.drain(time.Minute); l.Dead != 0 || l.Delivered != 30 {
			t.Errorf("ledger %+v", l)
		}
		reports, err := r.runner.Reports(t.Context())
		if err != nil || len(reports) != 3 || reports[0].Dead != 11 {
			t.Errorf("%+v, %v", reports, err)
		}
	})
}

// DEAD is full, so letters that fail again stay as they were: the replay ends all the same.
func TestAReplayEndsWhereNoLetterCanBeStoredAnew(t *testing.T) {
	bubble(t, sandbox.Options{}, 0, func(t *testing.T, r *rig) {
		r.close()
		r.dir, r.maxBytes = t.TempDir(), queue.MinMaxBytes
		r.open()
		r.refuse("")
		const all = 24 // DEAD takes no other
		for i := range all {
			r.publish(r.call(fmt.Sprint("u", i), map[string]any{"junk": strings.Repeat("x", 400<<10)}))
			r.drain(time.Minute)
		}
		done := r.wait(r.start(replay.Job{}), time.Minute)
		if done.State != replay.StateDone || done.Dead != all || done.Waiting != 0 {
			t.Errorf("report %+v", done)
		}
		if l := r.drain(time.Minute); l.Dead != all {
			t.Errorf("ledger %+v", l)
		}
	})
}

// Two jobs want the same letters: each letter is delivered once, and the other job says that it was gone.
func TestTwoJobsDeliverOnce(t *testing.T) {
	bubble(t, sandbox.Options{}, 0, func(t *testing.T, r *rig) {
		r.letters(200, 200)
		first, second := r.start(replay.Job{}), r.start(replay.Job{})
		first, second = r.wait(first, time.Hour), r.wait(second, time.Hour)
		if first.Deliver+second.Deliver != 200 || first.Dead+second.Dead != 0 {
			t.Errorf("%+v and %+v", first, second)
		}
		if l := r.drain(time.Minute); l.Delivered != 200 || l.Dead != 0 {
			t.Errorf("ledger %+v", l)
		}
	})
}

func TestJobsByIDEditAndDiscard(t *testing.T) {
	bubble(t, sandbox.Options{}, 0, func(t *testing.T, r *rig) {
		r.letters(5, 5)
		page, err := r.store.Letters(t.Context(), queue.LetterQuery{Sort: "position"})
		if err != nil {
			t.Fatal(err)
		}
		edit := []queue.Edit{{Path: "traits.plan", Value: json.RawMessage(`"growth"`)}}
		report := r.wait(r.start(replay.Job{IDs: []string{page.Letters[0].ID, page.Letters[1].ID}, Edits: edit}), time.Hour)
		if report.Selected != 2 || report.Deliver != 2 || !cmp.Equal(report.Edited, []string{"traits.plan"}) {
			t.Errorf("%+v", report)
		}
		growth := 0
		for _, c := range r.box.Contacts() {
			if c.Custom["cf_plan"] == "growth" {
				growth++
			}
		}
		if growth != 2 {
			t.Errorf("%d contacts have the changed value", growth)
		}
		data, _, err := r.store.State(t.Context(), "replay."+fmt.Sprint(mustParse(t, report.ID)))
		if err != nil || len(data) == 0 || json.Valid(data) && containsValue(data, "growth") {
			t.Errorf("the job keeps the value: %s, %v", data, err)
		}
		report = r.wait(r.start(replay.Job{Action: replay.ActionDiscard, Reason: "by_operator"}), time.Hour)
		if report.Selected != 3 || report.Discard != 3 || report.Reasons["discarded:by_operator"] != 3 {
			t.Errorf("%+v", report)
		}
		if _, err := r.runner.Stop(t.Context(), mustParse(t, report.ID)); !errors.Is(err, replay.ErrState) {
			t.Errorf("stopping what is done: %v", err)
		}
		if _, err := r.runner.Report(t.Context(), 7); !errors.Is(err, replay.ErrNoJob) {
			t.Error(err)
		}
	})
}

func mustParse(t *testing.T, name string) uint64 {
	t.Helper()
	id, err := replay.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func containsValue(data []byte, value string) bool {
	var all any
	if json.Unmarshal(data, &all) != nil {
		return false
	}
	return len(value) > 0 && cmp.Equal(true, containsText(all, value))
}

func containsText(v any, text string) bool {
	switch v := v.(type) {
	case string:
		return v == text
	case []any:
		for _, item := range v {
			if containsText(item, text) {
				return true
			}
		}
	case map[string]any:
		for _, item := range v {
			if containsText(item, text) {
				return true
			}
		}
	}
	return false
}

// Letters are announced a week before they expire, and then given up like any other discard: the ledger adds up.
func TestLettersExpireWithNotice(t *testing.T) {
	bubble(t, sandbox.Options{}, 8*24*time.Hour, func(t *testing.T, r *rig) {
		r.letters(4, 4)
		time.Sleep(2 * time.Hour)
		if a := r.runner.Ages(); a.Oldest.IsZero() || a.Expiring != 0 || a.Expires.Sub(a.Oldest) != 8*24*time.Hour {
			t.Errorf("%+v", a)
		}
		time.Sleep(25 * time.Hour)
		if a := r.runner.Ages(); a.Expiring != 4 {
			t.Errorf("nothing is announced: %+v", a)
		}
		if l := r.drain(time.Minute); l.Dead != 4 {
			t.Errorf("given up too early: %+v", l)
		}
		r.close()
		time.Sleep(6 * 24 * time.Hour) // nobody runs: these days cost nothing
		r.open()
		time.Sleep(24 * time.Hour)
		l := r.drain(time.Minute)
		if l.Dead != 0 || l.Counts[queue.Count{Type: "identify", Outcome: queue.Discarded, Reason: replay.ReasonExpired}] != 4 {
			t.Errorf("ledger %+v", l)
		}
		entries, err := r.store.AuditLog(t.Context(), 0, 10)
		if err != nil || len(entries) != 1 || entries[0].Action != replay.ActionDiscard || entries[0].Count != 4 {
			t.Errorf("%+v, %v", entries, err)
		}
	})
}

package worker_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
	"github.com/freshrelay/freshrelay/worker"
)

// asActivities is a configuration that the sandbox's account has everything for.
func asActivities(t *testing.T) mapping.Activities {
	t.Helper()
	return mapping.Activities{
		Type: "task", Types: map[string]string{"order completed": "Order Completed"}, Owner: "sandbox user",
		Title: template(t, "{{name}}"), Notes: template(t, "{{properties}}"),
	}
}

func template(t *testing.T, text string) mapping.Template {
	t.Helper()
	parsed, err := mapping.ParseTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// performing is bubble with a pool that makes activities.
func performing(t *testing.T, opt sandbox.Options, body func(t *testing.T, r *rig)) {
	t.Helper()
	bubble(t, opt, func(t *testing.T, r *rig) {
		r.activities = asActivities(t)
		r.restart()
		body(t, r)
	})
}

// track makes the stored form of a call that happens now.
func (r *rig) track(user, event string, properties map[string]any) queue.Entry {
	r.t.Helper()
	r.n++
	id := fmt.Sprint("m", r.n)
	body, err := json.Marshal(map[string]any{
		"type": "track", "userId": user, "messageId": id, "event": event, "properties": properties, "timestamp": time.Now().UTC().Format(time.RFC3339Nano),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	received := segment.Received{
		Source: "website", Surface: segment.SurfaceWebhook, At: time.Now().UTC(), Type: segment.Track, MessageID: id, UserID: user, Body: body,
	}
	return queue.Entry{UserID: user, Activity: true, Data: received.Encode()}
}

// titles are those of the sandbox's activities, in the order in which they were made.
func (r *rig) titles() string {
	var titles []string
	for _, a := range r.box.Activities() {
		titles = append(titles, fmt.Sprint(a.Fields["title"]))
	}
	return strings.Join(titles, " ")
}

// outcomes are the ledger's counts of track calls.
func outcomes(l queue.Ledger) map[string]int64 {
	counts := map[string]int64{}
	for c, n := range l.Counts {
		if c.Type == "track" && n != 0 {
			counts[strings.TrimSuffix(c.Outcome+":"+c.Reason, ":")] += n
		}
	}
	return counts
}

func (r *rig) wantOutcomes(l queue.Ledger, want map[string]int64) {
	r.t.Helper()
	if got := outcomes(l); fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("track calls ended as %v, want %v", got, want)
	}
}

func TestATrackBecomesAnActivity(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		before := r.box.Calls()
		r.publish(r.track("ann", "Order Completed", map[string]any{"total": 9.5, "gift": true}), r.track("ann", "Signed Up", nil))
		l := r.drain(time.Minute)
		r.wantOutcomes(l, map[string]int64{"delivered": 2})
		made := r.box.Activities()
		if len(made) != 2 {
			t.Fatalf("%d activities", len(made))
		}
		notes := fmt.Sprint(made[0].Fields["notes"])
		if made[0].ContactID != r.contact("ann").ID || made[0].Fields["title"] != "Order Completed" || made[0].Fields["start_date"] != made[0].Fields["end_date"] ||
			!strings.Contains(notes, "total: 9.5") || !strings.Contains(notes, "gift: true") || !strings.Contains(notes, "\nfreshrelay-") {
			t.Errorf("%+v", made[0])
		}
		if fmt.Sprint(made[0].Fields["sales_activity_type_id"]) == fmt.Sprint(made[1].Fields["sales_activity_type_id"]) || r.titles() != "Order Completed Signed Up" {
			t.Errorf("%+v", made)
		}
		got := r.calls(before[len(before)-1].N)
		if got[sandbox.OpCreateActivity] != 2 || len(got) != 2 || got["selector"] != 2 {
			t.Errorf("calls %v: two lists once, then one call for each", got)
		}
		lines := r.lines(fmt.Sprint("m", r.n))
		if len(lines) != 1 || lines[0].ContactID != fmtID(made[0].ContactID) || len(lines[0].Calls) != 1 || lines[0].Type != "track" {
			t.Errorf("journal %+v", lines)
		}
	})
}

// What came before it for the contact is settled first: a new contact is made, a change is made, a change that waits is waited for.
func TestAnActivityComesAfterWhatWasStoredBefore(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Next: 6, Status: 500, Operation: "create_contact|upsert_contact"})
		r.publish(r.track("ann", "A", nil), r.identify("ann", nil)) // together: the identify stands first
		r.publish(r.track("ann", "B", nil))
		time.Sleep(3 * time.Second)
		if len(r.box.Activities()) != 0 {
			t.Error("an activity came before its contact")
		}
		l := r.drain(time.Hour)
		r.wantOutcomes(l, map[string]int64{"delivered": 2})
		made := r.box.Activities()
		if r.titles() != "A B" || made[0].ContactID != r.contact("ann").ID {
			t.Errorf("%+v", made)
		}
		contact := int64(0)
		for _, c := range r.box.Calls() {
			if c.Effect && contact == 0 {
				contact = c.N
			}
		}
		if made[0].N < contact {
			t.Error("the first effect is not the contact")
		}
	})
}

func TestAnUnknownUsersActivityWaitsAMoment(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.publish(r.track("ann", "A", nil), r.track("bob", "B", nil))
		time.Sleep(20 * time.Second)
		r.publish(r.identify("ann", nil)) // by another connection, a moment later
		l := r.drain(5 * time.Minute)
		r.wantOutcomes(l, map[string]int64{"delivered": 1, "discarded:unknown_contact": 1})
		if r.titles() != "A" {
			t.Errorf("made %s", r.titles())
		}
	})
}

func TestCallsThatBecomeNothing(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		once := r.track("ann", "A", nil)
		r.publish(once)
		r.drain(time.Minute)
		r.publish(once, r.track("", "B", nil), r.track("ann", "", nil), queue.Entry{UserID: "ann", Activity: true, Data: []byte("x")})
		l := r.drain(5 * time.Minute)
		r.wantOutcomes(l, map[string]int64{"delivered": 1, "discarded:duplicate": 1, "discarded:missing_user_id": 1, "discarded:no_name": 1})
		if letters := r.letters(); len(letters) != 1 || letters[0].Reason != worker.ReasonUnreadable {
			t.Errorf("letters %+v", letters)
		}
	})
}

// Contacts have the quota first, and what waits for it holds none of them.
func TestActivitiesWaitForQuotaAndHoldNobody(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.activities, r.quota = asActivities(t), worker.Quota{PerHour: 100, Reserve: 0.1}
		r.restart()
		for i := range 60 {
			r.publish(r.track("ann", fmt.Sprint("A", i), nil))
		}
		for i := range 60 {
			r.publish(r.identify(fmt.Sprint("user", i), nil))
		}
		time.Sleep(30 * time.Minute)
		l, err := r.store.Ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		contacts, activities := 0, len(r.box.Activities())
		for _, c := range r.box.Contacts() {
			if strings.HasPrefix(c.ExternalID, "user") {
				contacts++
			}
		}
		if contacts != 60 || activities > 30 {
			t.Errorf("after half an hour: %d contacts, %d activities: %+v", contacts, activities, l)
		}
		l = r.drain(6 * time.Hour)
		r.wantOutcomes(l, map[string]int64{"delivered": 60})
		if len(r.box.Activities()) != 60 {
			t.Errorf("%d activities", len(r.box.Activities()))
		}
	})
}

func TestObservedActivitiesWaitAndArePerformedLater(t *testing.T) {
	performing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.known("ann")
		r.inMode(worker.Mode{Name: worker.ModeObserve, ObserveFor: time.Hour})
		r.publish(r.track("ann", "A", nil), r.track("ann", "", nil))
		time.Sleep(10 * time.Second)
		r.pending(2)
		if lines := r.lines(fmt.Sprint("m", r.n)); len(lines) != 1 || lines[0].Outcome != "observed" || lines[0].Reason != "no_name" {
			t.Errorf("journal %+v", lines)
		}
		if len(r.box.Activities()) != 0 {
			t.Error("something was made")
		}
		r.inMode(worker.Mode{})
		l := r.drain(time.Minute)
		r.wantOutcomes(l, map[string]int64{"delivered": 1, "discarded:no_name": 1})
		r.inMode(worker.Mode{Name: worker.ModeObserve, ObserveFor: time.Hour})
		r.publish(r.track("ann", "B", nil))
		l = r.drain(2 * time.Hour)
		r.wantOutcomes(l, map[string]int64{"delivered": 1, "discarded:no_name": 1, "discarded:not_live": 1})
	})
}

// A type that the account does not have holds activities, says so, and holds nothing else.
func TestAMissingTypeHoldsActivitiesAlone(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.activities = asActivities(t)
		r.activities.Type = "Website visit"
		r.restart()
		r.publish(r.identify("ann", nil), r.track("ann", "A", nil))
		time.Sleep(time.Minute)
		r.contact("ann")
		r.pending(1)
		pauses := r.pool.Status().Pauses
		if len(pauses) != 1 || pauses[0].Reason != worker.HoldActivities || !strings.Contains(pauses[0].Detail, `"Website visit"`) || !strings.Contains(pauses[0].Detail, "Order Completed") {
			t.Errorf("pauses %+v", pauses)
		}
		r.publish(r.track("ann", "Order Completed", nil)) // its type is there, but it comes after
		time.Sleep(time.Hour)
		if n := r.calls(0)["selector"]; n > 2*14 {
			t.Errorf("the lists were read %d times in an hour", n)
		}
		r.activities.Type = "Task"
		r.restart()
		r.drain(time.Minute)
		if r.titles() != "A Order Completed" || len(r.pool.Status().Pauses) != 0 {
			t.Errorf("made %q, pauses %+v", r.titles(), r.pool.Status().Pauses)
		}
	})
}

// TestTypesThatAreThereDoNotHideOneThatIsMissing: what is missing is said once, and until it is there.
func TestTypesThatAreThereDoNotHideOneThatIsMissing(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		r.activities = asActivities(t)
		r.activities.Types["Trial Started"] = "Trial"
		r.restart()
		r.known("ann")
		r.known("bob")
		r.publish(r.track("ann", "Trial Started", nil))
		time.Sleep(10 * time.Second)
		for range 5 {
			r.publish(r.track("bob", "A", nil))
			time.Sleep(6 * time.Minute)
		}
		p := r.pool.Status().Pauses
		if len(p) != 1 || p[0].Reason != worker.HoldActivities || !strings.Contains(p[0].Detail, `"Trial"`) {
			t.Errorf("pauses %+v", p)
		}
		if n := r.logs.FilterMessageSnippet("activities wait").Len(); n != 1 {
			t.Errorf("it is said %d times", n)
		}
		if n := r.logs.FilterMessageSnippet("activities are sent again").Len(); n != 0 {
			t.Errorf("it is taken back %d times", n)
		}
		r.activities.Types["Trial Started"] = "Task"
		r.restart()
		r.drain(time.Minute)
	})
}

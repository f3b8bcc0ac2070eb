package mapping

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/segment"
)

// A field that the API refused is neither set nor emptied, and an older call that carries it still counts.
func TestWhatTheAPIRefusesIsAsIfItCouldNotBeCoerced(t *testing.T) {
	t.Parallel()
	cat := NewCatalogue([]Field{
		{Name: "emails", Label: "Emails", Type: "group_field"},
		{Name: "job_title", Label: "Job title", Type: "text"},
		{Name: "cf_plan", Label: "Plan", Type: "text", Custom: true},
	})
	call := func(pos uint64, refused map[string]Reason, traits string) Call {
		at := time.Unix(int64(1000+pos), 0)
		received := segment.Received{
			Source: "website", At: at, Type: segment.Identify, UserID: "u",
			Body: json.RawMessage(`{"type":"identify","userId":"u","traits":` + traits + `,"timestamp":"` + at.UTC().Format(time.RFC3339) + `"}`),
		}
		ev, err := received.Event()
		if err != nil {
			t.Fatal(err)
		}
		return Call{Event: ev, Pos: pos, Refused: refused}
	}
	first := call(1, nil, `{"email":"u@x.test","plan":"free","job title":"Cook"}`)
	before := Fold(cat, Options{}, Record{ContactID: "7"}, []Call{first}, time.Unix(2000, 0)).Record
	for name, c := range map[string]Call{
		"set":     call(2, map[string]Reason{"cf_plan": ReasonRefused}, `{"email":"u@x.test","plan":"gold","job title":"Chef"}`),
		"emptied": call(2, map[string]Reason{"cf_plan": ReasonRefused}, `{"email":"u@x.test","job title":"Chef"}`),
	} {
		r := Fold(cat, Options{}, before, []Call{c}, time.Unix(2000, 0))
		var fields []string
		for _, f := range r.Change.Fields {
			fields = append(fields, f.Name)
		}
		if diff := cmp.Diff([]string{"job_title"}, fields); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if got, want := r.Record.Fields["cf_plan"].Hash, before.Fields["cf_plan"].Hash; got != want {
			t.Errorf("%s: the refused value is remembered", name)
		}
		if left := r.Outcomes[0].LeftOut; len(left) != 1 || left[0].Field != "cf_plan" || left[0].Reason != ReasonRefused {
			t.Errorf("%s: left out %+v", name, left)
		}
		// A call between the two, which arrives late, still sets the field: nothing newer has said anything usable.
		late := call(3, nil, `{"email":"u@x.test","plan":"growth"}`)
		late.Event.Timestamp = time.Unix(1001, 500)
		if r := Fold(cat, Options{}, r.Record, []Call{late}, time.Unix(2000, 0)); len(r.Change.Fields) != 1 || r.Change.Fields[0].Value != "growth" {
			t.Errorf("%s: a late call changes %+v", name, r.Change.Fields)
		}
	}
}

// What a call may have written before it was merged with a later one must be taken back in the account, not only here.
func TestACallThatMayHaveBeenSentIsTakenBack(t *testing.T) {
	t.Parallel()
	cat := NewCatalogue([]Field{
		{Name: "emails", Label: "Emails", Type: "group_field"}, {Name: "cf_plan", Label: "Plan", Type: "text", Custom: true},
	})
	call := func(pos uint64, again bool, traits ...segment.Trait) Call {
		at := time.Unix(int64(1000+pos), 0)
		ev := segment.Event{Type: segment.Identify, UserID: "u", Source: "website", Timestamp: at, Received: at, Traits: append([]segment.Trait{{Key: "email", Value: "u@x.test"}}, traits...)}
		return Call{Event: ev, Pos: pos, Again: again}
	}
	now := time.Unix(2000, 0)
	rec := Fold(cat, Options{}, Record{ContactID: "7"}, []Call{call(1, false, segment.Trait{Key: "plan", Value: "free"}), call(2, false)}, now).Record
	for _, again := range []bool{false, true} {
		r := Fold(cat, Options{}, rec, []Call{call(3, again, segment.Trait{Key: "plan", Value: "gold"}), call(4, false)}, now)
		if sent := len(r.Change.Fields) == 1 && r.Change.Fields[0].Name == "cf_plan" && r.Change.Fields[0].Value == nil; sent != again {
			t.Errorf("again %t: the change is %+v", again, r.Change.Fields)
		}
	}
	// The first of the two is set aside after a try whose outcome is unknown.
	gold := Fold(cat, Options{}, rec, []Call{call(3, false, segment.Trait{Key: "plan", Value: "gold"})}, now)
	doubted := rec.Clone()
	doubted.Doubt("cf_plan", gold.Record.Fields["cf_plan"])
	if r := Fold(cat, Options{}, doubted, []Call{call(4, false)}, now); len(r.Change.Fields) != 1 || r.Change.Fields[0].Value != nil {
		t.Errorf("a value that may be there is not emptied: %+v", r.Change.Fields)
	}
	if r := Fold(cat, Options{}, doubted, []Call{call(3, false, segment.Trait{Key: "plan", Value: "gold"})}, now); len(r.Change.Fields) != 1 || r.Change.Fields[0].Value != "gold" {
		t.Errorf("the call that was set aside is held: %+v", r.Change.Fields)
	}
}

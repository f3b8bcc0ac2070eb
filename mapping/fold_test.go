package mapping

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/segment"
)

func identify(id string, at int64, traits ...segment.Trait) Call {
	return Call{Pos: uint64(at), Event: segment.Event{
		Type: segment.Identify, MessageID: id, UserID: "u", Source: "website", Traits: traits,
		Timestamp: time.Unix(at, 0), Received: time.Unix(at, 0),
	}}
}

func TestFoldOfNothing(t *testing.T) {
	t.Parallel()
	rec := fullRecord()
	res := Fold(readCatalogue(t, "account"), Options{}, rec, nil, time.Unix(1772442999, 0))
	if !res.Change.Empty() || len(res.Outcomes) != 0 {
		t.Errorf("no calls made %+v", res)
	}
	if diff := cmp.Diff(rec, res.Record, cmp.AllowUnexported(Ring{}, seen{})); diff != "" {
		t.Errorf("no calls changed the record\n%s", diff)
	}
}

// TestFoldWithoutCatalogue: before the account's fields are known an email still makes a contact, and nothing else does.
func TestFoldWithoutCatalogue(t *testing.T) {
	t.Parallel()
	call := identify("m", 1772442905, segment.Trait{Key: "email", Value: "a@b.test"}, segment.Trait{Key: "name", Value: "A"})
	res := Fold(nil, Options{}, Record{}, []Call{call}, time.Unix(1772442999, 0))
	want := Change{UserID: "u", Email: "a@b.test", Fields: []FieldChange{{Name: "email", Label: "Email", Trait: "email", Type: "email", Value: "a@b.test"}}}
	if diff := cmp.Diff(want, res.Change); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestResultCounts(t *testing.T) {
	t.Parallel()
	email := segment.Trait{Key: "email", Value: "a@b.test"}
	calls := []Call{
		identify("m1", 1772442905, email, segment.Trait{Key: "Plan", Value: "x"}, segment.Trait{Key: "nobody", Value: 1}),
		identify("m2", 1772442906, email, segment.Trait{Key: "City", Value: nil}, segment.Trait{Key: "knows", Value: 1}),
		identify("m3", 1772442904, email, segment.Trait{Key: "City", Value: "late"}),
		{Event: segment.Event{Type: segment.Track}},
	}
	res := Fold(readCatalogue(t, "account"), Options{}, Record{ContactID: "1"}, calls, time.Unix(1772442999, 0))
	// Plan and City are emptied; email and City of the late call are held.
	if res.Emptied() != 2 || res.Held() != 2 || res.Unmapped() != 2 {
		t.Errorf("emptied %d, held %d, unmapped %d, want 2, 2, 2", res.Emptied(), res.Held(), res.Unmapped())
	}
	if res.Outcomes[3].Reason != ReasonNotForwarded || res.Outcomes[2].Reason != ReasonStale {
		t.Errorf("outcomes %+v", res.Outcomes)
	}
}

// TestRemember is for calls that the worker settles without Fold.
func TestRemember(t *testing.T) {
	t.Parallel()
	var rec Record
	call := identify("m", 1772442905, segment.Trait{Key: "email", Value: "a@b.test"})
	rec.Remember(call.Event.Source, call.Event.MessageID, call.Event.Received)
	cat, now := NewCatalogue(nil), time.Unix(1772442999, 0)
	if res := Fold(cat, Options{}, rec, []Call{call}, now); res.Outcomes[0].Reason != ReasonDuplicate {
		t.Errorf("a remembered call is %+v", res.Outcomes[0])
	}
	call.Replay = true
	if res := Fold(cat, Options{}, rec, []Call{call}, now); !res.Outcomes[0].Delivered || res.Record.Ring.Len() != 1 {
		t.Errorf("a replay of it is %+v", res.Outcomes[0])
	}
}

// TestHostileShape: a key of a quarter megabyte with thousands of parts must not be multiplied.
func TestHostileShape(t *testing.T) { // not parallel: it counts allocations
	parts := map[string]any{}
	for i := range 5000 {
		parts[string(rune('a'+i%26))+time.Unix(int64(i), 0).String()] = map[string]any{"x": 1}
	}
	key := string(make([]byte, 250_000))
	call := identify("m", 1772442905, segment.Trait{Key: key, Value: parts}, segment.Trait{Key: "email", Value: "a@b.test"})
	opt := Options{Traits: map[string]string{"a.b.c": "City"}}
	allocs := testing.AllocsPerRun(1, func() {
		Fold(readCatalogue(t, "small"), opt, Record{}, []Call{call}, time.Unix(1772442999, 0))
	})
	if allocs > 2000 {
		t.Errorf("%v allocations", allocs)
	}
}

package mapping

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

// TestGivenTo: whose a contact is follows from what the records of both users say, however often it went to and fro.
func TestGivenTo(t *testing.T) {
	to := func(users ...string) (list []Alias) {
		for _, u := range users {
			list = append(list, Alias{To: u})
		}
		return list
	}
	at := func(pos uint64) []Alias { return []Alias{{To: "b", Pos: pos}} }
	for name, c := range map[string]struct {
		a, b Record
		want bool
	}{
		"not yet":                    {Record{Aliased: to("b")}, Record{}, false},
		"it came off":                {Record{Aliased: to("b")}, Record{Previous: []string{"x", "a"}}, true},
		"another's":                  {Record{Aliased: to("b")}, Record{Previous: []string{"x"}}, false},
		"b is asked to give it back": {Record{Aliased: to("b")}, Record{Previous: []string{"a"}, Aliased: to("a")}, true},
		"it was given back, and is asked for anew": {Record{Aliased: to("b"), Previous: []string{"b"}}, Record{Previous: []string{"a"}, Aliased: to("a")}, false},
		"it came off once more":                    {Record{Aliased: to("b"), Previous: []string{"b"}}, Record{Previous: []string{"a"}}, true},
		"it came off by that call":                 {Record{Aliased: at(5)}, Record{Previous: []string{"a"}, Taken: map[string]uint64{"a": 5}}, true},
		"it came off by a former call":             {Record{Aliased: at(5)}, Record{Previous: []string{"a"}, Taken: map[string]uint64{"a": 4}}, false},
		"it came off, and b is asked to give it":   {Record{Aliased: at(5), Previous: []string{"b"}}, Record{Previous: []string{"a"}, Taken: map[string]uint64{"a": 5}, Aliased: to("a")}, true},
	} {
		if got := c.a.GivenTo("a", c.a.Aliased[0], &c.b); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestHeard(t *testing.T) {
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	a := Alias{To: "b", Message: hashMessage("website", "m1"), Received: at.Unix(), Pos: 50}
	var heard Record
	heard.Remember("website", "m1", at)
	for name, c := range map[string]struct {
		r    Record
		now  time.Time
		want bool
	}{
		"nothing is known":                {Record{}, at, false},
		"its message id is":               {heard, at, true},
		"other calls came later":          {Record{Pos: 90}, at, false},
		"erased before it":                {Record{Pos: 40, Suppressed: 1}, at, false},
		"erased after it":                 {Record{Pos: 90, Suppressed: 1}, at, true},
		"let come before it":              {Record{Pos: 90, Allowed: 40}, at, false},
		"erased and let come after it":    {Record{Pos: 90, Allowed: 80}, at, true},
		"longer ago than message ids are": {Record{}, at.Add(25 * time.Hour), true},
	} {
		if got := c.r.Heard(a, c.now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestTakeOver: what newer calls of the user said stays newer, and the ids of both become one person's, each once, without its own.
func TestTakeOver(t *testing.T) {
	previous := Record{
		ContactID: "7", Previous: []string{"x", "b", "y"}, Taken: map[string]uint64{"x": 2, "b": 1, "y": 4}, Given: true,
		Aliased:  []Alias{{To: "c", Pos: 8}, {To: "b", Pos: 7}},
		Fields:   map[string]FieldRecord{"city": {Clock: Clock{Time: 5}, Hash: 9, Sent: 3}, "plan": {Clock: Clock{Time: 5}, Hash: 9, Sent: 3}},
		Replaced: map[string]Clock{"website": {Time: 5}},
	}
	own := Record{
		Previous: []string{"x"}, Taken: map[string]uint64{"x": 3}, Aliased: []Alias{{To: "a"}}, Given: true, Pos: 4,
		Fields: map[string]FieldRecord{"city": {Clock: Clock{Time: 6}, Hash: 8, Sent: 2}, "plan": {Clock: Clock{Time: 4}, Hash: 8, Sent: 2}},
	}
	got := own.TakeOver(previous, "b", "a")
	if got.ContactID != "7" || got.Pos != 4 || got.Given || len(got.Aliased) != 0 || !slices.Equal(got.Previous, []string{"x", "y", "a"}) {
		t.Errorf("%+v", got)
	}
	if want := map[string]uint64{"x": 3, "y": 4, "a": 7}; !maps.Equal(got.Taken, want) {
		t.Errorf("taken %v, not %v", got.Taken, want)
	}
	if city, plan := got.Fields["city"], got.Fields["plan"]; city.Time != 6 || city.Sent != 0 || plan.Time != 5 || plan.Sent != 3 || got.Replaced["website"].Time != 5 {
		t.Errorf("%+v", got)
	}
	if len(own.Previous) != 1 || len(own.Taken) != 1 || !own.Given || own.Fields["city"].Sent != 2 {
		t.Errorf("the record itself was changed: %+v", own)
	}
}

func TestOffered(t *testing.T) {
	for name, c := range map[string]struct {
		r    Record
		want bool
	}{
		"to nobody":                 {Record{}, false},
		"to another":                {Record{Aliased: []Alias{{To: "c", Pos: 5}}}, false},
		"to b":                      {Record{Aliased: []Alias{{To: "b", Pos: 5}}}, true},
		"to b, in an earlier life":  {Record{Aliased: []Alias{{To: "b", Pos: 5}}, Allowed: 7}, false},
		"to b, since it came again": {Record{Aliased: []Alias{{To: "b", Pos: 9}}, Allowed: 7}, true},
	} {
		if got := c.r.Offered("b"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOfferedBy(t *testing.T) {
	alias := Alias{To: "b", Pos: 5}
	for i := range maxAliased + 1 {
		alias.say(hashMessage("website", fmt.Sprint("m", i)))
	}
	r := Record{Aliased: []Alias{alias}}
	for call, want := range map[string]bool{"m0": false, "m1": true, "m16": true, "m17": false} {
		if got := r.OfferedBy("b", "website", call); got != want {
			t.Errorf("%s: %v", call, got)
		}
	}
	if r.OfferedBy("c", "website", "m1") || r.OfferedBy("b", "app", "m1") {
		t.Error("another's call")
	}
	if r.Allowed = 7; r.OfferedBy("b", "website", "m1") {
		t.Error("from an earlier life")
	}
}

// TestPart: an id that is another person's is no previous id, and nothing of it is left.
func TestPart(t *testing.T) {
	r := Record{Previous: []string{"x", "a"}, Taken: map[string]uint64{"x": 3, "a": 7}}
	before := r
	r.Part("a")
	if !slices.Equal(r.Previous, []string{"x"}) || !maps.Equal(r.Taken, map[string]uint64{"x": 3}) || len(before.Previous) != 2 || len(before.Taken) != 2 {
		t.Errorf("%+v %+v", r, before)
	}
}

// TestAliasesAreBounded: somebody who makes up userIds does not make the record grow.
func TestAliasesAreBounded(t *testing.T) {
	rec := Record{ContactID: "7"}
	for i := range 100 {
		f := newFolder(NewCatalogue(nil), &Options{Aliases: true}, rec, time.Now())
		if out := f.previous(&Call{Heir: fmt.Sprint("user", i%50)}); !out.Delivered {
			t.Fatal(out)
		}
		rec = f.rec
	}
	if n := len(rec.Aliased); n != maxAliased || rec.Aliased[n-1].To != "user49" || rec.AliasedTo("user0") {
		t.Errorf("%d: %+v", n, rec.Aliased)
	}
}

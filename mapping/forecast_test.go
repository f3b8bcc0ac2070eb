package mapping

import (
	"encoding/json"
	"testing"
)

func TestForecastCountsUsersFieldsAndCalls(t *testing.T) {
	t.Parallel()
	set := func(name string, value any) FieldChange {
		return FieldChange{Name: name, Label: "Label of " + name, Trait: name, Value: value}
	}
	delivered := Outcome{Delivered: true, LeftOut: []LeftOut{{Trait: "colour", Reason: ReasonUnmapped}}}
	var f Forecast
	f.Add(Foreseen{ // a new contact, two calls
		Calls: 2, Requests: make([]Request, 1),
		Result: Result{Change: Change{Fields: []FieldChange{set("city", "Porto"), set("email", "a@b.c")}}, Outcomes: []Outcome{delivered, delivered}},
	})
	f.Add(Foreseen{ // a known one, one field of which is emptied
		Known: true, Calls: 1, Requests: make([]Request, 2),
		Result: Result{Change: Change{Fields: []FieldChange{set("city", nil)}}, Outcomes: []Outcome{delivered}},
	})
	f.Add(Foreseen{Known: true, Calls: 1, Result: Result{Outcomes: []Outcome{delivered}}}) // has it all
	f.Add(Foreseen{                                                                        // nothing of it is delivered, so what it leaves out does not matter
		Calls: 2, Discarded: []string{"missing_email"}, Dead: []string{"unreadable"},
		Result: Result{Outcomes: []Outcome{{Reason: ReasonMissingEmail, LeftOut: []LeftOut{{Trait: "size", Reason: ReasonUnmapped}}}}},
	})
	f.Add(Foreseen{Company: true, Calls: 3, Requests: make([]Request, 1), Result: Result{Change: Change{Fields: []FieldChange{set("name", "Acme")}}}})
	f.Add(Foreseen{Calls: 1, Known: true, Renamed: true})
	f.Add(Foreseen{Calls: 1, Halves: 1}) // the other half of that call
	f.Add(Foreseen{Calls: 1, Known: true, Erased: true})
	f.Add(Foreseen{Activity: true, Calls: 3, Discarded: []string{"unknown_contact"}})
	f.Sum()
	got, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"users":6,"calls":11,"create":1,"update":1,"unchanged":1,"nothing":1,"companies":1,"requests":4,"per_hour":0,"renamed":1,"erased":1,"activities":2,"discarded":{"missing_email":1,"unknown_contact":1},"dead":{"unreadable":1},` +
		`"fields":[{"field":"city","label":"Label of city","set":1,"emptied":1},{"field":"email","label":"Label of email","set":1,"emptied":0}],` +
		`"left_out":[{"trait":"colour","reason":"unmapped","calls":4}],"partial":false}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAnEmptyForecastIsEmptyLists(t *testing.T) {
	t.Parallel()
	var f Forecast
	f.Sum()
	if f.Fields == nil || f.LeftOut == nil || f.Discarded == nil {
		t.Errorf("null in JSON where a list belongs: %+v", f)
	}
}

func TestForecastOfAUserShowsBeforeAndAfter(t *testing.T) {
	t.Parallel()
	s := Foreseen{Known: true, Calls: 1, Dead: []string{"alias_conflict"}, Requests: []Request{
		{Operation: "update_contact", Method: "PUT", Path: "/contacts/7", Body: "a value"}, {Operation: "lookup_contacts", Method: "GET", Path: "/lookup?f=external_id&q=a+value"},
	}, Result: Result{Change: Change{Fields: []FieldChange{
		{Name: "cf_logins", Label: "Logins", Trait: "logins", Custom: true, Value: json.Number("13")}, {Name: "city", Label: "City"}, {Name: "tags", Label: "Tags", Value: []string{"a", "b"}},
	}}}}
	got, err := json.Marshal(s.ForUser(map[string]json.RawMessage{"cf_logins": json.RawMessage(`"12"`), "city": json.RawMessage(`"Porto"`)}))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"user":"","calls":1,"read":true,"fields":[{"field":"cf_logins","label":"Logins","trait":"logins","action":"set","before":"12","after":13},` +
		`{"field":"city","label":"City","action":"emptied","before":"Porto"},{"field":"tags","label":"Tags","action":"set","after":["a","b"]}],"left_out":[],"discarded":{},"dead":{"alias_conflict":1},"requests":[{"operation":"update_contact","method":"PUT","path":"/contacts/7"},{"operation":"lookup_contacts","method":"GET","path":"/lookup"}]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if s.ForUser(nil).Read {
		t.Error("a contact that was not read counts as read")
	}
}

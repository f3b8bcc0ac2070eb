package main

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"testing"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/mapping"
)

// forecaster foresees the same for everybody.
type forecaster struct {
	all  mapping.Forecast
	user mapping.UserForecast
	read bool
}

func (f *forecaster) Forecast(context.Context) (mapping.Forecast, error) { return f.all, nil }

func (f *forecaster) ForecastUser(_ context.Context, _ string, read bool) (mapping.UserForecast, error) {
	f.read = read
	user := f.user
	user.Fields = slices.Clone(user.Fields) // the caller masks them
	return user, nil
}

func TestObserve(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fields = []mapping.Field{{Name: "city", Label: "City", Type: "text"}}
	r.foresees = forecaster{
		all: mapping.Forecast{
			Users: 5, Calls: 9, Create: 2, Update: 1, Unchanged: 1, Nothing: 1, Requests: 1800, PerHour: 900, Discarded: map[string]int{"missing_email": 3},
			Fields:  []mapping.FieldCount{{Field: "city", Label: "City", Set: 2, Emptied: 1}},
			LeftOut: []mapping.LeftOutCount{{Trait: "shoe\x1bsize", Reason: "unmapped", Calls: 4}}, Partial: true,
		},
		user: mapping.UserForecast{
			Calls: 2, ContactID: "990000000000001", Read: true,
			Fields: []mapping.FieldForecast{
				{Field: "city", Label: "City", Trait: "city", Action: mapping.ActionSet, Before: json.RawMessage(`"Faro"`), After: json.RawMessage(`"Porto"`)},
				{Field: "job_title", Label: "Job title", Action: mapping.ActionEmptied, Before: json.RawMessage(`"Boss"`)},
			},
		},
	}
	got := r.run(t, "observe", "report")
	wantParts(t, "report", got.out, "9 calls of 5 users wait", "2 to create", "1 to update", "1 have it all", "1800 one by one; at 900 an hour that takes 2h",
		"not counted", "EMPTIED", "shoe\uFFFDsize", "3 calls would be discarded: missing_email")
	got = r.run(t, "observe", "show", "user-1")
	wantParts(t, "show", got.out, "contact     990000000000001; 2 calls wait", "<string>", "emptied", "--reveal")
	if regexp.MustCompile("Porto|Faro|Boss").MatchString(got.out) {
		t.Errorf("values are shown though nobody asked:\n%s", got.out)
	}
	if len(r.audits) != 0 {
		t.Errorf("looking at masks is audited: %+v", r.audits)
	}
	got = r.run(t, "observe", "show", "user-1", "--reveal", "--no-read")
	wantParts(t, "reveal", got.out, "Faro", "Porto", "Boss", "emptied")
	if len(r.audits) != 1 || r.audits[0].Action != "reveal" || r.foresees.read {
		t.Errorf("audit %+v, read %v", r.audits, r.foresees.read)
	}
	r.foresees.user = mapping.UserForecast{}
	if got := r.run(t, "observe", "show", "user-2"); got.code != exitFailed {
		t.Errorf("exit %d for a user of whom nothing waits", got.code)
	}
	if got := r.run(t, "-o", "json", "observe", "report"); !json.Valid([]byte(got.out)) {
		t.Errorf("no JSON: %s", got.out)
	}
}

func TestJudgingTheCallOfACheck(t *testing.T) {
	t.Parallel()
	event := func(outcome, reason string) *admin.Event { return &admin.Event{Outcome: outcome, Reason: reason} }
	for name, tc := range map[string]struct {
		call SentCall
		want string
	}{
		"discarded": {SentCall{Outcome: outcomeDiscarded, Event: event(outcomeDiscarded, "missing_user_id")}, app.LevelOK},
		"observed":  {SentCall{Outcome: outcomeObserved, Event: event(outcomeObserved, "missing_user_id")}, app.LevelOK},
		"refused":   {SentCall{Outcome: outcomeRefused, Status: 401}, app.LevelProblem},
		"unknown":   {SentCall{Outcome: outcomeUnknown}, app.LevelWarning},
		"delivered": {SentCall{Outcome: outcomeDelivered, Event: event(outcomeDelivered, "")}, app.LevelProblem},
	} {
		area, level, what, mend := judge("website", "https://relay.example.com", tc.call)
		if area != app.AreaPublic || level != tc.want || what == "" || (mend == "") != (level == app.LevelOK) {
			t.Errorf("%s: %s %s → %s", name, level, what, mend)
		}
	}
}

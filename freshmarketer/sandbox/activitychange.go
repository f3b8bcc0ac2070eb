package sandbox

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// serveActivities does GET /sales_activities, oldest first, and GET, PUT and DELETE of one. Source: Freshworks CRM API, "Sales
// activities". That a PUT keeps what it does not name, and how a deletion is answered, is inferred from tasks, seen live.
func (s *Sandbox) serveActivities(rq request) answer {
	if rq.op == OpListActivities {
		rows, meta := page(rq, s.activities)
		objects := make([]any, len(rows))
		for i, a := range rows {
			objects[i] = a.object()
		}
		return answer{status: http.StatusOK, body: map[string]any{"sales_activities": objects, "meta": meta}}
	}
	id, err := strconv.ParseInt(rq.id, 10, 64)
	if err != nil {
		return answer{status: http.StatusNotFound}
	}
	at, there := slices.BinarySearchFunc(s.activities, id, func(a Activity, id int64) int { return cmp.Compare(a.ID, id) })
	if !there {
		return s.refuse(http.StatusNotFound, s.say(notInCRM))
	}
	switch rq.op {
	case OpUpdateActivity:
		return s.updateActivity(rq, at)
	case OpDeleteActivity:
		of := s.activities[at].ContactID
		s.activities = slices.Delete(s.activities, at, at+1)
		return answer{status: http.StatusOK, body: map[string]any{"success": "200"}, contactID: of, effect: true}
	}
	return answer{status: http.StatusOK, body: map[string]any{"sales_activity": s.activities[at].object()}}
}

func (s *Sandbox) updateActivity(rq request, at int) answer {
	in, refusal := s.envelope(rq, "sales_activity")
	if in == nil {
		return refusal
	}
	for _, key := range []string{"id", "creater_id", "updater_id", "created_at", "updated_at"} { // the account's own
		delete(in, key)
	}
	if len(in) == 0 { // as with contacts
		return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
	}
	if problems := s.badIDs(in); len(problems) > 0 {
		return s.refuse(http.StatusBadRequest, problems...)
	}
	next := s.activities[at]
	next.Fields = maps.Clone(next.Fields)
	maps.Copy(next.Fields, in)
	if refusal, ok := s.checkActivity(next.Fields); !ok {
		return refusal
	}
	if in["targetable_type"] != nil || in["targetable_id"] != nil {
		c, missing := s.target(next.Fields)
		if c == nil {
			return missing
		}
		next.ContactID = c.ID
	}
	next.UpdatedAt = rq.at
	s.activities[at] = next
	return answer{status: http.StatusOK, body: map[string]any{"sales_activity": next.object()}, contactID: next.ContactID, effect: true}
}

// badIDs are the keys of ids with text that is no number: numbers as text are taken, other text is refused (a client's author).
func (s *Sandbox) badIDs(in map[string]any) (problems []string) {
	for _, key := range slices.Sorted(maps.Keys(in)) {
		text, ok := in[key].(string)
		if !ok || text == "" || !strings.HasSuffix(key, "_id") {
			continue
		}
		if _, err := strconv.ParseInt(text, 10, 64); err != nil || !json.Valid([]byte(text)) { // +1 and 01 are no JSON
			problems = append(problems, s.say(invalidChoice, strings.ToLower(spokenKey(key))))
		}
	}
	return problems
}

// activityFields is GET /settings/sales_activities/fields. The fields are those that a connector's documentation names; labels and
// types are inferred.
func activityFields() []fieldMeta {
	fields := []standardField{
		{name: "title", label: "Title", kind: TypeText},
		{name: "sales_activity_type_id", label: "Type", kind: TypeDropdown, choices: activityTypes()},
		{name: "sales_activity_outcome_id", label: "Outcome", kind: TypeDropdown, choices: numberedChoices(atOutcomes, choiceNames["outcomes"])},
		{name: "targetable_type", label: "Related to", kind: TypeDropdown, choices: named("Contact")},
		{name: "targetable_id", label: "Record", kind: TypeNumber},
		{name: "owner_id", label: "Sales owner", kind: TypeDropdown, choices: owners()},
		{name: "start_date", label: "Start date", kind: TypeDatetime},
		{name: "end_date", label: "End date", kind: TypeDatetime},
		{name: "notes", label: "Notes", kind: TypeTextarea},
		{name: "location", label: "Location", kind: TypeText},
		{name: "latitude", label: "Latitude", kind: TypeNumber},
		{name: "longitude", label: "Longitude", kind: TypeNumber},
		{name: "checkedin_at", label: "Checked in at", kind: TypeDatetime},
	}
	required := []string{"title", "sales_activity_type_id", "targetable_type", "targetable_id", "owner_id"}
	rows := make([]fieldMeta, len(fields))
	for i, f := range fields {
		rows[i] = f.metadata("SalesActivity", i+1, slices.Contains(required, f.name))
	}
	return rows
}

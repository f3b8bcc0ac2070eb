package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Activity is a sales activity, or with OpCreateNote a note, that the sandbox received.
type Activity struct {
	ID        int64          `json:"id"`
	N         int64          `json:"n"` // of the Call that made it
	At        time.Time      `json:"at"`
	ContactID int64          `json:"contact_id"`
	Fields    map[string]any `json:"fields"`              // the object as it was sent
	UpdatedAt time.Time      `json:"updated_at,omitzero"` // of the last update, if there was one
}

// createActivity is POST /sales_activities. Two equal calls make two activities. Source: Freshworks CRM API, "Sales
// activities"; 201 and one text per missing field are seen live on its siblings, as is the 404 for an unknown type.
func (s *Sandbox) createActivity(rq request) answer {
	in, refusal := s.envelope(rq, "sales_activity")
	if in == nil {
		return refusal
	}
	if refusal, ok := s.checkActivity(in); !ok {
		return refusal
	}
	c, missing := s.target(in)
	if c == nil {
		return missing
	}
	a := Activity{ID: firstActivityID + s.activitiesMade, N: rq.n, At: rq.at, ContactID: c.ID, Fields: in}
	s.activities = append(s.activities, a)
	s.activitiesMade++
	return answer{status: http.StatusCreated, body: map[string]any{"sales_activity": a.object()}, contactID: c.ID, effect: true}
}

// checkActivity checks the fields of a new or changed activity, but for the contact.
func (s *Sandbox) checkActivity(in map[string]any) (refusal answer, ok bool) {
	var problems []string
	for _, key := range []string{"title", "sales_activity_type_id", "targetable_type", "targetable_id", "owner_id"} {
		if v := in[key]; v == nil || strings.TrimSpace(fmt.Sprint(v)) == "" {
			problems = append(problems, s.say(cannotBeBlank, spokenKey(key)))
		}
	}
	for _, key := range []string{"start_date", "end_date"} {
		text, _ := in[key].(string)
		if _, err := time.Parse(time.RFC3339, text); err != nil && in[key] != nil {
			problems = append(problems, s.say(invalidChoice, strings.ToLower(spokenKey(key))))
		}
	}
	if len(problems) == 0 {
		problems = s.badIDs(in)
	}
	if len(problems) > 0 {
		return s.refuse(http.StatusBadRequest, problems...), false
	}
	if !hasChoice(activityTypes(), in["sales_activity_type_id"]) {
		return s.refuse(http.StatusNotFound, s.say(notInCRM)), false
	}
	if !hasChoice(owners(), in["owner_id"]) {
		return s.refuse(http.StatusBadRequest, s.say(invalidChoice, "owner")), false
	}
	return answer{}, true
}

// target is the contact that an activity or a note is about.
func (s *Sandbox) target(in map[string]any) (*contact, answer) {
	if in["targetable_type"] != "Contact" {
		return nil, s.refuse(http.StatusBadRequest, s.say(invalidChoice, "targetable type"))
	}
	return s.find(fmt.Sprint(in["targetable_id"]))
}

// envelope reads {"<name>":{…}}; without it the fields are missing, which is what the answer then says.
func (s *Sandbox) envelope(rq request, name string) (map[string]any, answer) {
	whole, err := s.decodeObject(rq)
	if err != nil {
		return nil, s.refuse(http.StatusBadRequest, err.Error())
	}
	in, _ := whole[name].(map[string]any)
	if in == nil && s.opt.LenientBody {
		in = whole
	}
	if in == nil {
		in = map[string]any{}
	}
	return in, answer{}
}

func spokenKey(key string) string {
	words := strings.ReplaceAll(strings.TrimSuffix(key, "_id"), "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

func hasChoice(choices []choice, id any) bool {
	return slices.ContainsFunc(choices, func(c choice) bool { return fmt.Sprint(c.ID) == fmt.Sprint(id) })
}

// object is an activity in its read form: what was sent, with numbers for ids, and what the account adds.
func (a Activity) object() map[string]any {
	o := map[string]any{
		"id": a.ID, "conversation_time": a.Fields["start_date"], "creater_id": userID, "updater_id": nil,
		"created_at": timestamp(a.At), "updated_at": timestamp(a.At),
	}
	for key, v := range a.Fields {
		if text, ok := v.(string); ok && strings.HasSuffix(key, "_id") {
			v = json.Number(text)
		}
		o[key] = v
	}
	if !a.UpdatedAt.IsZero() {
		o["updated_at"], o["updater_id"] = timestamp(a.UpdatedAt), userID
	}
	return o
}

// createNote is POST /notes. Source: seen live, also the 400 for a blank description.
func (s *Sandbox) createNote(rq request) answer {
	in, refusal := s.envelope(rq, "note")
	if in == nil {
		return refusal
	}
	if text, _ := in["description"].(string); strings.TrimSpace(text) == "" {
		return s.refuse(http.StatusBadRequest, s.say(cannotBeBlank, "Description"))
	}
	c, missing := s.target(in)
	if c == nil {
		return missing
	}
	note := Activity{ID: firstNoteID + int64(len(s.notes)), N: rq.n, At: rq.at, ContactID: c.ID, Fields: in}
	s.notes = append(s.notes, note)
	o := note.object()
	o["targetables"] = []any{map[string]any{"id": c.ID, "type": "Contact"}}
	return answer{status: http.StatusOK, body: map[string]any{"note": o}, contactID: c.ID, effect: true}
}

// Activities returns the sales activities, oldest first.
func (s *Sandbox) Activities() []Activity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.activities)
}

// Notes returns the notes, oldest first.
func (s *Sandbox) Notes() []Activity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.notes)
}

package sandbox

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// task is a task or an appointment of the account's users.
type task struct {
	Activity

	deleted bool
}

// plan is what tasks and appointments have in common.
type plan struct {
	name     string // of one, in an envelope; with an "s" that of many
	firstID  int64
	rows     *[]*task // by id, also the deleted ones
	problems func(in map[string]any) []string
}

// serveTasks does POST, GET, PUT and DELETE on /tasks. Source: seen live: 201 on create and 200 on update, one text for each field
// that is missing, {"success":"200"} for a deletion and 404 for the next. That a task need not be about a contact is inferred.
func (s *Sandbox) serveTasks(rq request) answer {
	return s.servePlan(rq, plan{name: "task", firstID: firstTaskID, rows: &s.tasks, problems: s.taskProblems})
}

func (s *Sandbox) servePlan(rq request, p plan) answer {
	if rq.id == "" && rq.method == http.MethodPost {
		return s.createPlanned(rq, p)
	}
	if rq.id == "" {
		return listPlanned(rq, p)
	}
	rows := *p.rows
	id, err := strconv.ParseInt(rq.id, 10, 64)
	if err != nil {
		return answer{status: http.StatusNotFound}
	}
	if id < p.firstID || id >= p.firstID+int64(len(rows)) || rows[id-p.firstID].deleted {
		return s.refuse(http.StatusNotFound, s.say(notInCRM))
	}
	t := rows[id-p.firstID]
	switch rq.method {
	case http.MethodDelete:
		t.deleted = true
		return answer{status: http.StatusOK, body: map[string]any{"success": "200"}, contactID: t.ContactID, effect: true}
	case http.MethodPut:
		in, refusal := s.envelope(rq, p.name)
		if in == nil {
			return refusal
		}
		next := maps.Clone(t.Fields)
		maps.Copy(next, in)
		if problems := p.problems(next); len(problems) > 0 {
			return s.refuse(http.StatusBadRequest, problems...)
		}
		t.Fields = next
		return answer{status: http.StatusOK, body: map[string]any{p.name: t.object()}, contactID: t.ContactID, effect: true}
	}
	return answer{status: http.StatusOK, body: map[string]any{p.name: t.object()}}
}

func listPlanned(rq request, p plan) answer {
	var live []*task
	for _, t := range *p.rows {
		if !t.deleted {
			live = append(live, t)
		}
	}
	rows, meta := page(rq, live)
	objects := make([]any, len(rows))
	for i, t := range rows {
		objects[i] = t.object()
	}
	return answer{status: http.StatusOK, body: map[string]any{p.name + "s": objects, "meta": meta}}
}

func (s *Sandbox) createPlanned(rq request, p plan) answer {
	in, refusal := s.envelope(rq, p.name)
	if in == nil {
		return refusal
	}
	if problems := p.problems(in); len(problems) > 0 {
		return s.refuse(http.StatusBadRequest, problems...)
	}
	t := &task{Activity: Activity{ID: p.firstID + int64(len(*p.rows)), N: rq.n, At: rq.at, Fields: in}}
	if in["targetable_type"] != nil || in["targetable_id"] != nil {
		c, missing := s.target(in)
		if c == nil {
			return missing
		}
		t.ContactID = c.ID
	}
	*p.rows = append(*p.rows, t)
	return answer{status: http.StatusCreated, body: map[string]any{p.name: t.object()}, contactID: t.ContactID, effect: true}
}

func (s *Sandbox) taskProblems(in map[string]any) (problems []string) {
	for _, key := range []string{"title", "due_date"} {
		if v := in[key]; v == nil || strings.TrimSpace(fmt.Sprint(v)) == "" {
			problems = append(problems, s.say(cannotBeBlank, spokenKey(key)))
		}
	}
	due, _ := in["due_date"].(string)
	if _, err := time.Parse(time.RFC3339, due); err != nil && len(problems) == 0 {
		problems = append(problems, s.say(invalidChoice, "due date"))
	}
	if in["owner_id"] != nil && !hasChoice(owners(), in["owner_id"]) {
		problems = append(problems, s.say(invalidChoice, "owner"))
	}
	if len(problems) == 0 {
		problems = s.badIDs(in)
	}
	return problems
}

// Tasks returns the tasks that are not deleted, oldest first.
func (s *Sandbox) Tasks() []Activity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return living(s.tasks)
}

func living(rows []*task) (list []Activity) {
	for _, t := range rows {
		if !t.deleted {
			list = append(list, t.Activity)
		}
	}
	return list
}

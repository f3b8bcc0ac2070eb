package sandbox

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// task is a task of the account's users. Unlike an activity it can be changed and deleted.
type task struct {
	Activity

	deleted bool
}

// serveTasks does POST, GET, PUT and DELETE on /tasks. Source: seen live: 201 on create and 200 on update, one text for each field
// that is missing, {"success":"200"} for a deletion and 404 for the next. That a task need not be about a contact is inferred.
func (s *Sandbox) serveTasks(rq request) answer {
	if rq.op == OpCreateTask {
		return s.createTask(rq)
	}
	if rq.op == OpListTasks {
		var live []*task
		for _, t := range s.tasks {
			if !t.deleted {
				live = append(live, t)
			}
		}
		rows, meta := page(rq, live)
		objects := make([]any, len(rows))
		for i, t := range rows {
			objects[i] = t.object()
		}
		return answer{status: http.StatusOK, body: map[string]any{"tasks": objects, "meta": meta}}
	}
	id, err := strconv.ParseInt(rq.id, 10, 64)
	if err != nil {
		return answer{status: http.StatusNotFound}
	}
	if id < firstTaskID || id >= firstTaskID+int64(len(s.tasks)) || s.tasks[id-firstTaskID].deleted {
		return s.refuse(http.StatusNotFound, s.say(notInCRM))
	}
	t := s.tasks[id-firstTaskID]
	switch rq.op {
	case OpDeleteTask:
		t.deleted = true
		return answer{status: http.StatusOK, body: map[string]any{"success": "200"}, contactID: t.ContactID, effect: true}
	case OpUpdateTask:
		in, refusal := s.envelope(rq, "task")
		if in == nil {
			return refusal
		}
		next := maps.Clone(t.Fields)
		maps.Copy(next, in)
		if problems := s.taskProblems(next); len(problems) > 0 {
			return s.refuse(http.StatusBadRequest, problems...)
		}
		t.Fields = next
		return answer{status: http.StatusOK, body: map[string]any{"task": t.object()}, contactID: t.ContactID, effect: true}
	}
	return answer{status: http.StatusOK, body: map[string]any{"task": t.object()}}
}

func (s *Sandbox) createTask(rq request) answer {
	in, refusal := s.envelope(rq, "task")
	if in == nil {
		return refusal
	}
	if problems := s.taskProblems(in); len(problems) > 0 {
		return s.refuse(http.StatusBadRequest, problems...)
	}
	t := &task{Activity: Activity{ID: firstTaskID + int64(len(s.tasks)), N: rq.n, At: rq.at, Fields: in}}
	if in["targetable_type"] != nil || in["targetable_id"] != nil {
		c, missing := s.target(in)
		if c == nil {
			return missing
		}
		t.ContactID = c.ID
	}
	s.tasks = append(s.tasks, t)
	return answer{status: http.StatusCreated, body: map[string]any{"task": t.object()}, contactID: t.ContactID, effect: true}
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
	return problems
}

// Tasks returns the tasks that are not deleted, oldest first.
func (s *Sandbox) Tasks() []Activity {
	s.mu.Lock()
	defer s.mu.Unlock()
	var tasks []Activity
	for _, t := range s.tasks {
		if !t.deleted {
			tasks = append(tasks, t.Activity)
		}
	}
	return tasks
}

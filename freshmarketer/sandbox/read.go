package sandbox

import (
	"net/http"
	"strconv"
)

// getContact is GET /contacts/:id. Unlike lookups it sees every write at once (seen live).
func (s *Sandbox) getContact(rq request) answer {
	c, missing := s.find(rq.id)
	if c == nil {
		return missing
	}
	return s.contactAnswer(http.StatusOK, c, rq.query.Get("include"))
}

// removeContact is DELETE /contacts/:id, which moves it to the recycle bin, and DELETE /contacts/:id/forget, which
// leaves nothing, also of a contact in the bin. Both are answered by the word true.
func (s *Sandbox) removeContact(rq request) answer {
	c, missing := s.find(rq.id)
	if id, err := strconv.ParseInt(rq.id, 10, 64); err == nil && rq.op == OpForgetContact {
		c = s.store.contacts[id]
	}
	if c == nil {
		return missing
	}
	next := c.edit(rq.at)
	next.Deleted = true
	if rq.op == OpForgetContact {
		next = &contact{ID: c.ID, Forgotten: true, Updated: rq.at}
	}
	if err := s.store.put(c, next, Snapshot{N: rq.n, At: rq.at, Operation: rq.op}, nil); err != nil {
		return answer{status: http.StatusInternalServerError, body: map[string]any{"error_code": 500}}
	}
	return answer{status: http.StatusOK, body: true, contactID: c.ID, effect: true}
}

// restoreContact is PUT /contacts/:id/restore: out of the recycle bin (seen live). What was taken by others meanwhile
// stands in the way. That custom fields are lost is reported by one client.
func (s *Sandbox) restoreContact(rq request) answer {
	id, err := strconv.ParseInt(rq.id, 10, 64)
	if err != nil {
		return answer{status: http.StatusNotFound}
	}
	before := s.store.contacts[id]
	if before == nil || !before.Deleted {
		return s.refuse(http.StatusNotFound, s.say(notInCRM))
	}
	next := before.edit(rq.at)
	next.Deleted = false
	if s.opt.RestoreClearsCustom {
		next.Custom = map[string]any{}
	}
	if problems := s.clashes(next); len(problems) > 0 {
		return s.refuse(http.StatusBadRequest, problems...)
	}
	if err := s.store.put(before, next, Snapshot{N: rq.n, At: rq.at, Operation: rq.op}, nil); err != nil {
		return answer{status: http.StatusInternalServerError, body: map[string]any{"error_code": 500}}
	}
	ans := s.contactAnswer(http.StatusOK, next, rq.query.Get("include"))
	ans.effect = true
	return ans
}

// find returns the live contact, or the answer for one that is not there: an empty 404 for what is no id at all.
func (s *Sandbox) find(id string) (*contact, answer) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, answer{status: http.StatusNotFound}
	}
	c := s.store.contacts[n]
	if !c.live() {
		return nil, s.refuse(http.StatusNotFound, s.say(notInCRM))
	}
	return c, answer{}
}

package sandbox

import (
	"fmt"
	"net/http"
	"strconv"
)

// onSelected is POST /contacts/bulk_destroy, whose contacts are gone at once (seen live), and /contacts/bulk_assign_owner, both with
// {"selected_ids":[…]}. That the destroyed ones are in the recycle bin, and that ids which are no contact's are passed over, is
// inferred. Source: Freshworks CRM API, as restated by a connector's documentation.
func (s *Sandbox) onSelected(rq request) answer {
	ids, whole, refusal := s.selected(rq)
	if whole == nil {
		return refusal
	}
	in, message := map[string]any(nil), "The selected contacts have been deleted."
	if rq.op == OpBulkAssignOwner {
		if !hasChoice(owners(), whole["owner_id"]) {
			return s.refuse(http.StatusBadRequest, s.say(invalidChoice, "owner"))
		}
		in, message = map[string]any{"owner_id": whole["owner_id"]}, "The owner of the selected contacts is being changed."
	}
	changed := false
	for _, id := range ids {
		before := s.store.contacts[id]
		if !before.live() {
			continue
		}
		next := before.edit(rq.at)
		next.Deleted = in == nil
		if problems := s.setStandard(next, in); len(problems) > 0 {
			return s.refuse(http.StatusBadRequest, problems...)
		}
		if err := s.store.put(before, next, Snapshot{N: rq.n, At: rq.at, Operation: rq.op}, in); err != nil {
			return answer{status: http.StatusInternalServerError, body: map[string]any{"error_code": 500}}
		}
		changed = true
	}
	return answer{status: http.StatusOK, body: map[string]any{"message": message}, effect: changed}
}

// selected reads {"selected_ids":[…]}, numbers or text, and passes over what is no id; no whole body goes with the answer to one
// that names nothing.
func (s *Sandbox) selected(rq request) (ids []int64, whole map[string]any, refusal answer) {
	whole, err := s.decodeObject(rq)
	if err != nil {
		return nil, nil, s.refuse(http.StatusBadRequest, err.Error())
	}
	list, _ := whole["selected_ids"].([]any)
	if len(list) == 0 {
		return nil, nil, s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
	}
	for _, v := range list {
		if id, err := strconv.ParseInt(fmt.Sprint(v), 10, 64); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, whole, answer{}
}

// cloneContact is POST /contacts/:id/clone, answered with the new contact. What is in it nobody has been seen to state; inferred:
// all but what must be unique, and what the body's {"contact":{…}} says instead.
func (s *Sandbox) cloneContact(rq request) answer {
	of, missing := s.find(rq.id)
	if of == nil {
		return missing
	}
	c := of.edit(rq.at)
	c.ID, c.Emails, c.Created = s.store.nextID, nil, rq.at
	for _, f := range s.fields.standard {
		if f.unique != "" {
			delete(c.Standard, f.name)
		}
	}
	in := map[string]any{}
	if len(rq.body) > 0 {
		body, err := s.decode(rq)
		if err != nil {
			return s.refuse(http.StatusBadRequest, err.Error())
		}
		in = body.Contact
	}
	if len(in) > 0 {
		return s.write(rq, nil, c, in, Merge, http.StatusOK)
	}
	if err := s.store.put(nil, c, Snapshot{N: rq.n, At: rq.at, Operation: rq.op}, nil); err != nil {
		return answer{status: http.StatusInternalServerError, body: map[string]any{"error_code": 500}}
	}
	ans := s.contactAnswer(http.StatusOK, c, rq.query.Get("include"))
	ans.effect = true
	return ans
}

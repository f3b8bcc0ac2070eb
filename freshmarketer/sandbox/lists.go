package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// marketingList is what people send campaigns to.
type marketingList struct {
	id      int64
	name    string
	members []int64
}

func (l *marketingList) add(id int64) {
	if !slices.Contains(l.members, id) {
		l.members = append(l.members, id)
	}
}

// listsToJoin reads contact_list_ids of a contact that is written: it joins these lists and leaves none. Source: client code; that
// lists which are not there are refused is inferred.
func (s *Sandbox) listsToJoin(in map[string]any) (lists []*marketingList, problems []string) {
	v := in["contact_list_ids"]
	ids, ok := v.([]any)
	if !ok && v != nil {
		return nil, []string{s.say(invalidAttributes)}
	}
	for _, id := range ids {
		l, _ := s.findList(fmt.Sprint(id))
		if l == nil {
			return nil, []string{s.say(invalidChoice, "list")}
		}
		lists = append(lists, l)
	}
	return lists, nil
}

// serveLists does the calls on marketing lists. Source: recorded answers and client code.
func (s *Sandbox) serveLists(rq request) answer {
	switch rq.op {
	case OpLists:
		rows, meta := page(rq, s.lists)
		objects := make([]any, len(rows))
		for i, l := range rows {
			objects[i] = map[string]any{"id": l.id, "name": l.name}
		}
		return answer{status: http.StatusOK, body: map[string]any{"lists": objects, "meta": meta}}
	case OpCreateList:
		return s.createList(rq)
	}
	l, missing := s.findList(rq.id)
	if l == nil {
		return missing
	}
	if rq.op == OpListMembers {
		var members []*contact
		for _, id := range l.members {
			if c := s.store.contacts[id]; c.live() {
				members = append(members, c)
			}
		}
		return s.contactPage(rq, members)
	}
	switch rq.op {
	case OpRenameList:
		return s.renameList(rq, l)
	case OpMoveToList:
		return s.moveToList(rq, l)
	}
	return s.changeList(rq, l)
}

// findList returns the list, or the answer for one that is not there.
func (s *Sandbox) findList(id string) (*marketingList, answer) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, answer{status: http.StatusNotFound}
	}
	if n < firstListID || n >= firstListID+int64(len(s.lists)) {
		return nil, s.refuse(http.StatusNotFound, s.say(notInCRM))
	}
	return s.lists[n-firstListID], answer{}
}

func (s *Sandbox) createList(rq request) answer {
	name, refusal := s.listName(rq)
	if name == "" {
		return refusal
	}
	l := &marketingList{id: firstListID + int64(len(s.lists)), name: name}
	s.lists = append(s.lists, l)
	return answer{status: http.StatusOK, body: map[string]any{"list": map[string]any{"id": l.id, "name": l.name}}, effect: true}
}

// changeList adds or removes {"ids":[…]}, numbers or text, or removes {"all":true}. Unknown ids are ignored (inferred).
func (s *Sandbox) changeList(rq request, l *marketingList) answer {
	whole, err := s.decodeObject(rq)
	if err != nil {
		return s.refuse(http.StatusBadRequest, err.Error())
	}
	given, ok := whole["ids"].([]any)
	if rq.op == OpRemoveFromList && whole["all"] == true {
		l.members = nil
	} else if !ok {
		return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
	}
	for _, v := range given {
		id, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
		at := slices.Index(l.members, id)
		switch {
		case err != nil || !s.store.contacts[id].live():
		case rq.op == OpAddToList:
			l.add(id)
		case rq.op == OpRemoveFromList && at >= 0:
			l.members = slices.Delete(l.members, at, at+1)
		}
	}
	return answer{status: http.StatusOK, body: map[string]any{"message": "The contacts are being updated."}, effect: true}
}

// listName reads {"name"}; "" goes with the answer to a body without one.
func (s *Sandbox) listName(rq request) (string, answer) {
	whole, err := s.decodeObject(rq)
	if err != nil {
		return "", s.refuse(http.StatusBadRequest, err.Error())
	}
	name, _ := whole["name"].(string)
	if strings.TrimSpace(name) == "" {
		return "", s.refuse(http.StatusBadRequest, s.say(cannotBeBlank, "Name"))
	}
	return name, answer{}
}

// renameList is PUT /lists/:id {"name"}. Two lists may have one name: clients have been seen to make such.
func (s *Sandbox) renameList(rq request, l *marketingList) answer {
	name, refusal := s.listName(rq)
	if name == "" {
		return refusal
	}
	l.name = name
	return answer{status: http.StatusOK, body: map[string]any{"list": map[string]any{"id": l.id, "name": l.name}}, effect: true}
}

// moveToList is PUT /lists/:id/move_contacts {"from_list_id", "ids" or "all"}: contacts leave that list for this one. Which of the
// two the path names, and that ids which are not in the other list are passed over, is inferred.
func (s *Sandbox) moveToList(rq request, to *marketingList) answer {
	whole, err := s.decodeObject(rq)
	if err != nil {
		return s.refuse(http.StatusBadRequest, err.Error())
	}
	given, ok := whole["ids"].([]any)
	if _, err := strconv.ParseInt(fmt.Sprint(whole["from_list_id"]), 10, 64); err != nil || !ok && whole["all"] != true {
		return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
	}
	from, missing := s.findList(fmt.Sprint(whole["from_list_id"]))
	if from == nil {
		return missing
	}
	ids := map[string]bool{}
	for _, v := range given {
		ids[fmt.Sprint(v)] = true
	}
	var stay []int64
	for _, id := range from.members {
		if whole["all"] != true && !ids[strconv.FormatInt(id, 10)] {
			stay = append(stay, id)
		} else {
			to.add(id)
		}
	}
	if from != to {
		from.members = stay
	}
	return answer{status: http.StatusOK, body: map[string]any{"message": "The contacts are being updated."}, effect: true}
}

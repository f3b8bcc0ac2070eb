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
	id, err := strconv.ParseInt(rq.id, 10, 64)
	if err != nil {
		return answer{status: http.StatusNotFound}
	}
	if id < firstListID || id >= firstListID+int64(len(s.lists)) {
		return s.refuse(http.StatusNotFound, s.say(notInCRM))
	}
	l := s.lists[id-firstListID]
	if rq.op == OpListMembers {
		var members []*contact
		for _, id := range l.members {
			if c := s.store.contacts[id]; c.live() {
				members = append(members, c)
			}
		}
		return s.contactPage(rq, members)
	}
	return s.changeList(rq, l)
}

func (s *Sandbox) createList(rq request) answer {
	whole, err := s.decodeObject(rq)
	if err != nil {
		return s.refuse(http.StatusBadRequest, err.Error())
	}
	name, _ := whole["name"].(string)
	if strings.TrimSpace(name) == "" {
		return s.refuse(http.StatusBadRequest, s.say(cannotBeBlank, "Name"))
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
		case rq.op == OpAddToList && at < 0:
			l.members = append(l.members, id)
		case rq.op == OpRemoveFromList && at >= 0:
			l.members = slices.Delete(l.members, at, at+1)
		}
	}
	return answer{status: http.StatusOK, body: map[string]any{"message": "The contacts are being updated."}, effect: true}
}

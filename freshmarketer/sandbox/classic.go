package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// classicPrefix is that of the classic Freshmarketer API, which was absorbed into the present product. Bundled accounts have the
// same calls below marketerPrefix (seen in client code). It works on the same contacts and lists here (inferred).
const classicPrefix = "/mas/api/v1/"

// Operations of the classic API.
const (
	OpClassicPut         = "classic_put_contact"
	OpClassicCreate      = "classic_create_contact"
	OpClassicGet         = "classic_get_contact"
	OpClassicUpdate      = "classic_update_contact"
	OpClassicDelete      = "classic_delete_contact"
	OpClassicList        = "classic_list_contacts"
	OpClassicLists       = "classic_lists"
	OpClassicSubscribe   = "classic_subscribe"
	OpClassicUnsubscribe = "classic_unsubscribe"
	OpClassicMail        = "classic_mail"
)

// classicRoutes relative to the prefix. Source: client code; the vendor's page has the verbs alone, and subscribe is inferred from
// unsubscribe.
var classicRoutes = []struct{ method, pattern, op string }{ //nolint:gochecknoglobals // a table nobody writes to
	{http.MethodPut, "contacts", OpClassicPut},
	{http.MethodPost, "contacts", OpClassicCreate},
	{http.MethodGet, "contacts", OpClassicList},
	{http.MethodGet, "contacts/:id", OpClassicGet},
	{http.MethodPut, "contacts/:id", OpClassicUpdate},
	{http.MethodDelete, "contacts/:id", OpClassicDelete},
	{http.MethodGet, "lists", OpClassicLists},
	{http.MethodPost, "mail/transaction", OpClassicMail},
	{http.MethodPost, "mail/transactional", OpClassicMail}, // its name on bundled accounts
}

func classicRoute(method, path string) request {
	for _, candidate := range classicRoutes {
		if candidate.method != method {
			continue
		}
		if id, ok := matchPath(candidate.pattern, path); ok {
			return request{op: candidate.op, id: id}
		}
	}
	if parts := strings.Split(path, "/"); method == http.MethodPatch && len(parts) == 5 && parts[0] == "lists" && parts[2] == "subscribers" {
		switch parts[4] {
		case "subscribe":
			return request{op: OpClassicSubscribe, id: parts[1] + "/" + parts[3]}
		case "unsubscribe":
			return request{op: OpClassicUnsubscribe, id: parts[1] + "/" + parts[3]}
		}
	}
	return request{op: OpUnknown}
}

// Mail is a transactional message that the sandbox was asked to send.
type Mail struct {
	N         int64          `json:"n"` // of the Call
	At        time.Time      `json:"at"`
	Template  string         `json:"template"`
	Recipient string         `json:"recipient"`
	Tokens    map[string]any `json:"tokens"`
}

// classic does a call. Nobody has stated its errors: they are those of the present API (inferred).
func (s *Sandbox) classic(rq request) answer {
	switch rq.op {
	case OpClassicLists:
		rq.op = OpLists
		return s.serveLists(rq)
	case OpClassicList:
		return s.classicList(rq)
	case OpClassicSubscribe, OpClassicUnsubscribe:
		return s.classicMember(rq)
	case OpClassicMail:
		return s.classicMail(rq)
	}
	var c *contact
	if rq.op != OpClassicPut && rq.op != OpClassicCreate {
		if c = s.store.unique("emails", rq.id); c == nil {
			found, missing := s.find(rq.id)
			if found == nil {
				return missing
			}
			c = found
		}
	}
	switch rq.op {
	case OpClassicGet:
		return s.contactAnswer(http.StatusOK, c, "")
	case OpClassicDelete:
		rq.id = strconv.FormatInt(c.ID, 10)
		return s.removeContact(rq)
	}
	return s.classicWrite(rq, c)
}

// classicWrite creates, changes, or with PUT and no id does whichever it takes, by the address.
func (s *Sandbox) classicWrite(rq request, c *contact) answer {
	whole, err := s.decodeObject(rq)
	if err != nil {
		return s.refuse(http.StatusBadRequest, err.Error())
	}
	in, lists, ok := s.classicFields(whole)
	if !ok {
		return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
	}
	if address, _ := in["email"].(string); rq.op == OpClassicPut {
		c = s.store.unique("emails", address)
	}
	var ans answer
	if c != nil {
		ans = s.update(rq, c, in, s.opt.CustomFieldMode)
	} else {
		ans = s.create(rq, in, http.StatusOK)
	}
	for _, l := range lists {
		if ans.effect && !slices.Contains(l.members, ans.contactID) {
			l.members = append(l.members, ans.contactID)
		}
	}
	return ans
}

// classicFields turns a flat body into the present form. Only email, status and lists have been seen; that names, phone, a
// custom_field object and custom fields at the top are taken is inferred.
func (s *Sandbox) classicFields(whole map[string]any) (in map[string]any, lists []*marketingList, ok bool) {
	in = maps.Clone(whole)
	custom, _ := in["custom_field"].(map[string]any)
	if custom == nil {
		custom = map[string]any{}
	}
	for name, v := range whole {
		if _, known := s.fields.customField(name); known {
			custom[name] = v
			delete(in, name)
		}
	}
	if len(custom) > 0 {
		in["custom_field"] = custom
	}
	if phone, given := in["phone"]; given {
		delete(in, "phone")
		in["mobile_number"] = cmp.Or(in["mobile_number"], phone)
	}
	switch in["status"] {
	case nil:
	case "subscribed":
		in["subscription_status"] = json.Number("1")
	case "unsubscribed":
		in["subscription_status"] = json.Number("0")
	default:
		return nil, nil, false
	}
	given, _ := in["lists"].([]any)
	for _, v := range given {
		l := s.list(fmt.Sprint(v))
		if l == nil {
			return nil, nil, false
		}
		lists = append(lists, l)
	}
	delete(in, "status")
	delete(in, "lists")
	return in, lists, true
}

// list is the marketing list with this id, nil if there is none.
func (s *Sandbox) list(id string) *marketingList {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n < firstListID || n >= firstListID+int64(len(s.lists)) {
		return nil
	}
	return s.lists[n-firstListID]
}

// classicList is GET /contacts?list_id&page&size: newest first (seen in old client code).
func (s *Sandbox) classicList(rq request) answer {
	rows := slices.DeleteFunc(s.indexStates(rq.at), func(c *contact) bool { return !c.live() })
	if id := rq.query.Get("list_id"); id != "" {
		l := s.list(id)
		if l == nil {
			return s.refuse(http.StatusNotFound, s.say(notInCRM))
		}
		rows = slices.DeleteFunc(rows, func(c *contact) bool { return !slices.Contains(l.members, c.ID) })
	}
	slices.Reverse(rows)
	rq.query.Set("per_page", rq.query.Get("size"))
	rows, _ = page(rq, rows)
	objects := make([]map[string]any, len(rows))
	for i, c := range rows {
		objects[i] = map[string]any{"id": c.ID, "email": orNull(c.email()), "created_at": timestamp(c.Created)}
	}
	return answer{status: http.StatusOK, body: map[string]any{"contacts": objects}}
}

// classicMember is PATCH /lists/{list}/subscribers/{contact}/subscribe or unsubscribe, of the list alone, without a body.
func (s *Sandbox) classicMember(rq request) answer {
	listID, contactID, _ := strings.Cut(rq.id, "/")
	l, c := s.list(listID), s.store.unique("emails", contactID)
	if c == nil {
		c, _ = s.find(contactID)
	}
	if l == nil || c == nil {
		return s.refuse(http.StatusNotFound, s.say(notInCRM))
	}
	l.members = slices.DeleteFunc(l.members, func(id int64) bool { return id == c.ID })
	if rq.op == OpClassicSubscribe {
		l.members = append(l.members, c.ID)
	}
	return answer{status: http.StatusOK, body: map[string]any{}, contactID: c.ID, effect: true}
}

// classicMail is POST /mail/transaction with {"id","recipient","tokens"}.
func (s *Sandbox) classicMail(rq request) answer {
	whole, err := s.decodeObject(rq)
	if err != nil {
		return s.refuse(http.StatusBadRequest, err.Error())
	}
	template, _ := whole["id"].(string)
	recipient, _ := whole["recipient"].(string)
	tokens, _ := whole["tokens"].(map[string]any)
	switch {
	case strings.TrimSpace(template) == "":
		return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
	case !validAddress(recipient):
		return s.refuse(http.StatusBadRequest, s.say(invalidEmail, recipient))
	}
	s.mails = append(s.mails, Mail{N: rq.n, At: rq.at, Template: template, Recipient: recipient, Tokens: tokens})
	return answer{status: http.StatusOK, body: map[string]any{}, effect: true}
}

// Mails returns the transactional messages, oldest first.
func (s *Sandbox) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

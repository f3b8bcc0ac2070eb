package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// createContact is POST /contacts. A contact that clashes with another is refused, never merged (seen live).
func (s *Sandbox) createContact(rq request) answer {
	body, err := s.decode(rq)
	if err != nil {
		return s.refuse(http.StatusBadRequest, err.Error())
	}
	return s.create(rq, body.Contact, http.StatusOK)
}

// updateContact is PUT /contacts/:id.
func (s *Sandbox) updateContact(rq request) answer {
	c, missing := s.find(rq.id)
	if c == nil {
		return missing
	}
	body, err := s.decode(rq)
	switch {
	case err != nil:
		return s.refuse(http.StatusBadRequest, err.Error())
	case len(body.Contact) == 0: // the same as on create (seen live)
		return s.refuse(http.StatusBadRequest, s.say(needToFill, "Email"))
	}
	return s.update(rq, c, body.Contact, s.opt.CustomFieldMode)
}

// upsertContact is POST /contacts/upsert. Source: Freshworks CRM API, "Upsert a contact"; the identifiers are those
// seen in client code, and that there must be exactly one is inferred from it.
func (s *Sandbox) upsertContact(rq request) answer {
	body, err := s.decode(rq)
	if err != nil {
		return s.refuse(http.StatusBadRequest, err.Error())
	}
	if _, _, ok := s.identifier(body.Identifier); ok && len(body.Contact) == 0 {
		return s.refuse(http.StatusBadRequest, s.say(needToFill, "Email")) // as on create and update (inferred), also for a contact that is there
	}
	return s.upsert(rq, body.Identifier, body.Contact, s.opt.UpsertCustomFieldMode)
}

// upsert updates the contact that the identifier finds, or creates one.
func (s *Sandbox) upsert(rq request, identifier, in map[string]any, mode Mode) answer {
	field, value, ok := s.identifier(identifier)
	if !ok || in == nil {
		return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
	}
	if field == "id" {
		c, missing := s.find(value)
		if c == nil {
			return missing
		}
		return s.update(rq, c, in, mode)
	}
	if c := s.store.unique(field, value); c != nil {
		return s.update(rq, c, in, mode)
	}
	if _, given := in[field]; !given {
		in[field] = value
	}
	status := http.StatusCreated
	if s.opt.UpsertAlways200 {
		status = http.StatusOK
	}
	return s.create(rq, in, status)
}

// identifier is the one entry of unique_identifier, as text.
func (s *Sandbox) identifier(given map[string]any) (field, value string, ok bool) {
	if len(given) != 1 {
		return "", "", false
	}
	for name, v := range given {
		switch v.(type) {
		case string, json.Number:
			field, value = name, fmt.Sprint(v)
		}
	}
	switch field {
	case "emails", "id", "mobile_number":
	case "external_id":
		if s.opt.RefuseExternalIDUpsert {
			return "", "", false
		}
	default:
		return "", "", false
	}
	return field, value, strings.TrimSpace(value) != ""
}

func (s *Sandbox) create(rq request, in map[string]any, status int) answer {
	c := newContact(rq.at)
	c.ID = s.store.nextID
	return s.write(rq, nil, c, in, Replace, status)
}

func (s *Sandbox) update(rq request, before *contact, in map[string]any, mode Mode) answer {
	return s.write(rq, before, before.edit(rq.at), in, mode, http.StatusOK)
}

// write applies what was sent to c, checks the whole and stores it. All problems are answered at once.
func (s *Sandbox) write(rq request, before, c *contact, in map[string]any, mode Mode, status int) answer {
	problems := s.setEmails(c, in)
	problems = append(problems, s.setStandard(c, in)...)
	problems = append(problems, s.setCustom(c, in, mode, s.fields.custom)...)
	problems = append(problems, s.setLinks(c, in)...)
	joins, wrong := s.listsToJoin(in)
	problems = append(problems, wrong...)
	if before == nil {
		problems = append(problems, s.missingRequired(c)...)
	}
	problems = append(problems, s.clashes(c)...)
	if len(problems) > 0 {
		return s.refuse(http.StatusBadRequest, problems...)
	}
	if rq.preload {
		if err := s.store.log.append(stateLine{contact: c}); err != nil {
			return answer{body: err.Error()}
		}
		s.store.place(before, c)
		return answer{effect: true}
	}
	if err := s.store.put(before, c, Snapshot{N: rq.n, At: rq.at, Operation: rq.op}, in); err != nil {
		return answer{status: http.StatusInternalServerError, body: map[string]any{"error_code": 500}}
	}
	for _, l := range joins {
		l.add(c.ID)
	}
	if rq.op == OpBulkUpsert { // nobody reads it
		return answer{status: status, contactID: c.ID, effect: true}
	}
	ans := s.contactAnswer(status, c, rq.query.Get("include"))
	ans.effect = true
	return ans
}

// missingRequired are the fields that the account's form demands of a new contact beside the address.
func (s *Sandbox) missingRequired(c *contact) []string {
	var problems []string
	for _, name := range s.fields.required {
		if c.Standard[name] == nil && c.Custom[name] == nil && name != "emails" {
			problems = append(problems, s.say(needToFill, s.fields.label(name)))
		}
	}
	return problems
}

// clashes are the values that another live contact has already. Source: Freshworks support, "unique fields": the
// primary address (unless an administrator has it otherwise), mobile number and external id.
func (s *Sandbox) clashes(c *contact) []string {
	var problems []string
	taken := func(field, value string) bool {
		other := s.store.unique(field, value)
		return value != "" && other != nil && other.ID != c.ID
	}
	if !s.opt.SharedAddresses && taken("emails", c.email()) {
		problems = append(problems, s.say(alreadyExists, c.email()))
	}
	for _, f := range s.fields.standard {
		if f.unique != "" && taken(f.name, c.text(f.name)) {
			problems = append(problems, s.say(notUnique, f.unique))
		}
	}
	return problems
}

// writeBody is the body of a write; without its envelopes a field is nil.
type writeBody struct {
	Identifier map[string]any `json:"unique_identifier"`
	Contact    map[string]any `json:"contact"`
}

// decode reads a body; its errors are texts for the answer.
func (s *Sandbox) decode(rq request) (writeBody, error) {
	whole, err := s.decodeObject(rq)
	if err != nil {
		return writeBody{}, err
	}
	var body writeBody
	body.Identifier, _ = whole["unique_identifier"].(map[string]any)
	body.Contact, _ = whole["contact"].(map[string]any)
	if body.Contact == nil && s.opt.LenientBody {
		delete(whole, "unique_identifier")
		body.Contact = whole
	}
	return body, nil
}

// decodeObject reads a body that must be a JSON object; its errors are texts for the answer.
func (s *Sandbox) decodeObject(rq request) (map[string]any, error) {
	var whole map[string]any
	if !strings.HasPrefix(rq.contentType, "application/json") {
		return nil, errors.New(s.say(invalidAttributes))
	}
	if err := unmarshal(rq.body, &whole); err != nil {
		// Rails repeats the text it cannot read, personal data and all.
		return nil, fmt.Errorf("unexpected token at '%.100s'", rq.body)
	}
	return whole, nil
}

// unmarshal keeps numbers as they were written and refuses anything behind the value.
func unmarshal(data []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the JSON value")
	}
	return nil
}

package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// OpByHand is the operation of writes made through Add and Edit, in History.
const OpByHand = "by_hand"

// Contact is a contact as it is inside, without the many keys of the API's object that never have a value.
type Contact struct {
	ID         int64          `json:"id"`
	Email      string         `json:"email"` // the primary address
	ExternalID string         `json:"external_id,omitempty"`
	Fields     map[string]any `json:"fields"`       // built-in fields that have a value: string, json.Number; tags []string
	Custom     map[string]any `json:"custom_field"` // custom fields that have a value: string, json.Number, bool
	CreatedAt  time.Time      `json:"created_at"`
	UpdatedAt  time.Time      `json:"updated_at"`
	Deleted    bool           `json:"is_deleted,omitempty"` // also of a forgotten contact, in History
}

// Snapshot is a contact right after one write.
type Snapshot struct {
	N         int64     `json:"n"` // of the Call, 0 for a write by hand
	At        time.Time `json:"at"`
	Operation string    `json:"operation"`
	Contact   Contact   `json:"contact"`
}

// Contacts returns the live contacts by id.
func (s *Sandbox) Contacts() []Contact {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(s.opt.Now())
	list := []Contact{}
	for _, id := range s.store.order {
		if c := s.store.contacts[id]; c.live() {
			list = append(list, c.public())
		}
	}
	return list
}

// History returns every state the contact was in since New, oldest first; nil unless Options.History is set.
func (s *Sandbox) History(id int64) []Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(s.opt.Now())
	return slices.Clone(s.store.history[id])
}

// Add creates a contact the way a person does in the browser: the same rules, but no call is counted and OnEffect is
// not called. fields is the contact object of the API, custom_field included.
func (s *Sandbox) Add(fields map[string]any) (Contact, error) {
	return s.byHand(func(rq request) answer { return s.createContact(rq) }, fields)
}

// Edit changes a contact the way a person does: what is not named stays, whatever the custom field mode.
func (s *Sandbox) Edit(id int64, fields map[string]any) (Contact, error) {
	return s.byHand(func(rq request) answer {
		c, missing := s.find(fmt.Sprint(id))
		if c == nil {
			return missing
		}
		body, err := s.decode(rq)
		if err != nil {
			return s.refuse(http.StatusBadRequest, err.Error())
		}
		return s.update(rq, c, body.Contact, Merge)
	}, fields)
}

// Remove moves a contact to the recycle bin the way a person does.
func (s *Sandbox) Remove(id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opt.Now()
	s.advance(now)
	if ans := s.removeContact(request{op: OpByHand, id: fmt.Sprint(id), at: now}); !ans.effect {
		return fmt.Errorf("sandbox: refused with %d", ans.status)
	}
	return nil
}

func (s *Sandbox) byHand(write func(request) answer, fields map[string]any) (Contact, error) {
	body, err := json.Marshal(map[string]any{"contact": fields})
	if err != nil {
		return Contact{}, fmt.Errorf("sandbox: fields: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opt.Now()
	s.advance(now)
	ans := write(request{op: OpByHand, contentType: "application/json", body: body, at: now})
	if !ans.effect {
		text, err := json.Marshal(ans.body)
		return Contact{}, errors.Join(fmt.Errorf("sandbox: refused with %d: %s", ans.status, text), err)
	}
	return s.store.contacts[ans.contactID].public(), nil
}

// public copies the state, so that a caller can do with it what it likes.
func (c *contact) public() Contact {
	fields := map[string]any{}
	maps.Copy(fields, c.Standard)
	delete(fields, "external_id")
	if len(c.Tags) > 0 {
		fields["tags"] = slices.Clone(c.Tags)
	}
	custom := map[string]any{}
	maps.Copy(custom, c.Custom)
	return Contact{
		ID: c.ID, Email: c.email(), ExternalID: c.text("external_id"), Fields: fields, Custom: custom,
		CreatedAt: c.Created, UpdatedAt: c.Updated, Deleted: c.Deleted || c.Forgotten,
	}
}

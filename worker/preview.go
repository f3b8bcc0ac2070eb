package worker

import (
	"context"
	"encoding/json"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// apiPath is where the API lives on the account's host. Source: Freshworks CRM API, "Authentication".
const apiPath = "/crm/sales/api"

// Preview is what would become of one letter if it were sent again now.
type Preview struct {
	Letter   queue.Letter
	Outcome  string // queue.Delivered, or queue.Discarded with Reason, or queue.Dead if it cannot be read
	Reason   string
	Requests []Request // that would write; none if the contact has it all already
	Fields   []queue.JournalField
	LeftOut  []queue.JournalLeftOut
}

// Request is a call to the API that was not made. Its Body holds values of the event.
type Request struct {
	Method, Path string
	Body         json.RawMessage
}

// Preview maps letters with today's mapping onto the records of their users, those of one user one after the other, and says
// which requests would follow. It writes nothing and calls nothing that does. With custom fields a contact is read first when it
// is really sent, and what it has in them is sent along; that is not in the preview.
func (p *Pool) Preview(ctx context.Context, letters []queue.Letter, edits []queue.Edit) ([]Preview, error) {
	fields, err := p.previewFields(ctx, letters)
	if err != nil {
		return nil, err
	}
	records := map[string]mapping.Record{}
	previews := make([]Preview, len(letters))
	for i, l := range letters {
		if l.Activity {
			if previews[i], err = p.previewActivity(ctx, l, edits); err != nil {
				return nil, err
			}
			continue
		}
		record, known := records[l.User]
		if !known {
			if record, err = p.remembered(ctx, l.User); err != nil {
				return nil, err
			}
		}
		previews[i], records[l.User] = p.preview(fields, record, l, edits)
	}
	return previews, nil
}

func (p *Pool) preview(fields previewFields, record mapping.Record, l queue.Letter, edits []queue.Edit) (Preview, mapping.Record) {
	c := call{position: l.Position, stored: l.Event, letter: &l, edits: mergeEdits(l.Edits, edits)}
	c.decode()
	out := Preview{Letter: l}
	var result mapping.Result
	if c.mapped() {
		fold, cat := mapping.Fold, fields.contacts
		if c.received.Type == segment.Account {
			fold, cat = mapping.FoldAccount, fields.accounts
		}
		result = fold(cat, p.cfg.Mapping, record, []mapping.Call{{Event: c.event, Pos: c.position, Replay: true, Group: p.company(c.event)}}, time.Now())
		c.outcome = result.Outcomes[0]
	}
	f := c.fate("")
	out.Outcome, out.Reason = f.outcome, f.reason
	out.Fields, out.LeftOut = c.journalFields()
	if f.outcome != queue.Delivered {
		return out, record
	}
	if !result.Change.Empty() {
		plan := plannedRequests(result.Change, record.ContactID, p.customs.mode(freshmarketer.OpUpdateContact))
		if c.received.Type == segment.Account {
			plan = plannedAccount(result.Change, record.ContactID)
		}
		out.Requests = requestsOf(writes(plan))
	}
	return out, result.Record
}

// requestsOf are the planned requests with the account's path and a body of bytes.
func requestsOf(plan []mapping.Request) []Request {
	list := make([]Request, len(plan))
	for i, r := range plan {
		list[i] = requestOf(r.Method, apiPath+r.Path, r.Body)
	}
	return list
}

func requestOf(method, path string, body any) Request {
	r := Request{Method: method, Path: path}
	if body != nil {
		r.Body, _ = json.Marshal(body) // fields hold strings, numbers, booleans, lists of strings and nil
	}
	return r
}

// journalFields is what the mapping did to the call's traits, as the journal tells of it.
func (c *call) journalFields() (fields []queue.JournalField, leftOut []queue.JournalLeftOut) {
	for _, f := range c.outcome.Fields {
		fields = append(fields, queue.JournalField{Field: f.Name, Label: f.Label, Trait: f.Trait, Action: string(f.Action)})
	}
	for _, l := range c.outcome.LeftOut {
		leftOut = append(leftOut, queue.JournalLeftOut{Trait: l.Trait, Field: l.Field, Reason: string(l.Reason)})
	}
	return fields, leftOut
}

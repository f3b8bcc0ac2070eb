package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// apiPath is where the API lives on the account's host. Source: Freshworks CRM API, "Authentication".
const apiPath = "/crm/sales/api"

// Preview is what would become of one letter if it were sent again now.
type Preview struct {
	Letter   queue.Letter
	Outcome  string // queue.Delivered, or queue.Discarded with Reason, or queue.Dead with it
	Reason   string
	Requests []Request // that would write; none if the contact has it all already
	Fields   []queue.JournalField
	LeftOut  []queue.JournalLeftOut
	Note     string // what is to be said besides; it holds no values
}

// Request is a call to the API that was not made. Its Body holds values of the event.
type Request struct {
	Method, Path string
	Body         json.RawMessage
}

// Preview says what would become of letters with today's mapping and the records of their users, those of one user one after the
// other, and which requests would follow. It writes nothing. The account is asked only where nothing else can tell: for its fields,
// if they are not known, and for the two contacts of an alias call. With custom fields a contact is read first when it is really
// sent, and what it has in them is sent along; that is not in the preview.
func (p *Pool) Preview(ctx context.Context, letters []queue.Letter, edits []queue.Edit) ([]Preview, error) {
	pl := p.planner()
	pl.look = p.readOnce
	var err error
	if pl.contacts, err = p.catalogue.get(ctx, ctx); err != nil {
		return nil, err
	}
	order := make([]int, len(letters))
	for i, l := range letters {
		if order[i] = i; l.Type == string(segment.Account) || l.Type == string(segment.Group) {
			if err := p.planAccounts(ctx, pl); err != nil {
				return nil, err
			}
		}
	}
	// Users wait for their company, and for the other half of an alias call.
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rank(letters[a]), rank(letters[b])) })
	previews := make([]Preview, len(letters))
	activities := map[string]mapping.Record{}
	for _, i := range order {
		if previews[i], err = pl.preview(ctx, letters[i], edits, activities); err != nil {
			return nil, err
		}
	}
	return previews, nil
}

func rank(l queue.Letter) int {
	switch {
	case l.Type == string(segment.Account), l.Type == string(segment.Previous):
		return 0
	case l.Activity:
		return 2
	}
	return 1
}

// preview plans one letter, after those before it.
func (pl *planner) preview(ctx context.Context, l queue.Letter, edits []queue.Edit, activities map[string]mapping.Record) (Preview, error) {
	c := call{position: l.Position, item: l.Position, stored: l.Event, letter: &l, edits: mergeEdits(l.Edits, edits)}
	c.decode()
	var list []plan
	var err error
	if l.Activity {
		record, known := activities[l.User]
		if !known {
			if record, err = pl.record(ctx, l.User, true); err != nil {
				return Preview{}, err
			}
		}
		list, activities[l.User], err = pl.happening(ctx, l.User, record, []call{c})
	} else {
		var record mapping.Record
		if record, err = pl.beside(ctx, l.User, c.item); err != nil {
			return Preview{}, err
		}
		list, record, err = pl.lane(ctx, l.User, record, []call{c})
		pl.settled(l.User, record)
	}
	if err != nil {
		return Preview{}, err
	}
	step := list[0]
	f := step.calls[0].fate("")
	out := Preview{Letter: l, Outcome: f.outcome, Reason: f.reason, Note: step.note}
	out.Fields, out.LeftOut = step.calls[0].journalFields()
	if f.outcome == queue.Delivered {
		for _, r := range step.requests {
			if r.Method != http.MethodGet {
				out.Requests = append(out.Requests, requestOf(r))
			}
		}
	}
	return out, nil
}

// requestOf is a planned request with the account's path and a body of bytes.
func requestOf(planned mapping.Request) Request {
	r := Request{Method: planned.Method, Path: fullPath(planned)}
	if planned.Body != nil {
		r.Body, _ = json.Marshal(planned.Body) // fields hold strings, numbers, booleans, lists of strings and nil
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

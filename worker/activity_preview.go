package worker

import (
	"context"
	"net/http"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
)

// previewActivity says what would become of a letter of the log of activities, without looking whether its contact is still there.
func (p *Pool) previewActivity(ctx context.Context, l queue.Letter, edits []queue.Edit) (Preview, error) {
	c := call{position: l.Position, stored: l.Event, letter: &l, edits: mergeEdits(l.Edits, edits)}
	c.decode()
	out := Preview{Letter: l}
	if c.mapped() {
		contact, err := p.remembered(ctx, l.User)
		if err != nil {
			return out, err
		}
		reason := mapping.JudgeActivity(mapping.Record{}, mapping.Call{Event: c.event, Replay: true})
		var act mapping.Activity
		if reason == "" {
			act, reason = p.cfg.Activities.Make(c.received, c.event)
		}
		switch {
		case reason != "":
		case contact.Suppressed != 0:
			reason = mapping.ReasonSuppressed
		case contact.ContactID == "":
			reason = mapping.ReasonUnknownContact
		}
		c.outcome = mapping.Outcome{Delivered: reason == "", Reason: reason}
		if reason == "" {
			plan, leftOut, err := p.plannedActivity(ctx, act, contact.ContactID, markerOf(l.User, l.Position))
			if err != nil {
				return out, err
			}
			out.Requests, c.outcome.LeftOut = []Request{plan}, leftOut
		}
	}
	f := c.fate("")
	out.Outcome, out.Reason = f.outcome, f.reason
	out.Fields, out.LeftOut = c.journalFields()
	return out, nil
}

// plannedActivity is the request of perform. Ids of the type and the owner are in it if the account's lists were read; the address
// of an event's contact, which is a part of the path, is not.
func (p *Pool) plannedActivity(ctx context.Context, act mapping.Activity, contactID, marker string) (Request, []mapping.LeftOut, error) {
	if p.cfg.Activities.As == mapping.AsEvent {
		known, _, err := p.events.known(ctx)
		if err != nil {
			return Request{}, nil, err
		}
		fields, leftOut, _ := known.Fit(act.Name, act.Properties)
		return requestOf(http.MethodPost, freshmarketer.EventsPath, fields), leftOut, nil
	}
	at := act.At.Format(time.RFC3339)
	body := map[string]any{
		"title": act.Title, "notes": withMarker(act.Notes, marker), "targetable_type": "Contact", "targetable_id": contactID, "start_date": at, "end_date": at,
	}
	if typeID, ownerID, what := p.kinds.find(act.Type); what == "" {
		body["sales_activity_type_id"], body["owner_id"] = typeID, ownerID
	}
	return requestOf(http.MethodPost, apiPath+"/sales_activities", map[string]any{"sales_activity": body}), nil, nil
}

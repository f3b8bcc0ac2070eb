package worker

import (
	"context"
	"net/http"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
)

// happening plans the calls of a lane of activities, one by one as happen takes them. The contact is the one that the user has
// once what came before for it is done.
func (pl *planner) happening(ctx context.Context, user string, record mapping.Record, calls []call) ([]plan, mapping.Record, error) {
	list := make([]plan, len(calls))
	for i := range calls {
		var err error
		if list[i], err = pl.happens(ctx, user, record, calls[i:i+1]); err != nil {
			return nil, record, err
		}
		record = list[i].result.Record
	}
	return list, record, nil
}

func (pl *planner) happens(ctx context.Context, user string, record mapping.Record, calls []call) (plan, error) {
	c, p := &calls[0], plan{calls: calls, before: record, activity: true}
	p.result.Record = record.Clone()
	own, err := pl.beside(ctx, user, c.item)
	if err != nil {
		return p, err
	}
	heirs := pl.heirs(ctx, user, c.item)
	_, contact, err := heirs(own) // itself, unless an alias call gave its contact away
	if err != nil {
		return p, err
	}
	if !c.mapped() {
		if own.Suppressed != 0 {
			suppress(calls)
		}
		return p, nil
	}
	if pl.deletion.hears(c) {
		concerns, err := c.concerns(own, heirs)
		switch {
		case err != nil:
			return p, err
		case !concerns && !c.undoes():
			c.outcome.Reason = mapping.ReasonStale
			return p, nil
		}
		if c.outcome.Delivered = true; !c.undoes() {
			p.result.Record = mapping.Record{}
			p.result.Record.Remember(c.received.Source, c.received.MessageID, c.received.At)
			p.note = "dead letters of the user's track and page calls go"
		}
		return p, nil
	}
	reason := mapping.JudgeActivity(record, mapping.Call{Event: c.event, Replay: c.letter != nil})
	var act mapping.Activity
	if reason == "" {
		act, reason = pl.activities.Make(c.received, c.event)
	}
	switch {
	case reason != "":
	case own.Suppressed != 0, contact.Suppressed != 0, c.position < max(own.Allowed, contact.Allowed):
		reason = mapping.ReasonSuppressed
	case contact.ContactID == "":
		reason = mapping.ReasonUnknownContact
	case pl.activities.As == mapping.AsEvent && pl.events != nil && pl.events.isOff():
		reason = mapping.ReasonNoEvents
	}
	if reason == mapping.ReasonUnknownContact && contact.Broken && pl.aside != nil {
		aside, err := pl.aside(ctx, user)
		if err != nil {
			return p, err
		}
		if aside { // the contact may yet come with that letter
			reason, c.aside = "", ReasonUnknownContact
		}
	}
	if c.outcome = (mapping.Outcome{Delivered: reason == "", Reason: reason}); reason != "" || c.aside != "" {
		return p, nil
	}
	p.result.Record.Remember(c.event.Source, c.event.MessageID, c.event.Received)
	if pl.activities.As == mapping.AsEvent {
		return p, pl.plannedEvent(ctx, &p, act, contact.ContactID)
	}
	pl.plannedActivity(&p, act, user, contact.ContactID)
	return p, nil
}

// plannedActivity is the request of perform. Type and owner stand in it as their ids if the account's lists were read.
func (pl *planner) plannedActivity(p *plan, act mapping.Activity, user, contact string) {
	at := act.At.Format(time.RFC3339)
	body := map[string]any{
		"title": act.Title, "notes": act.Notes, "start_date": at, "end_date": at, "targetable_type": "Contact", "targetable_id": contact,
		"sales_activity_type_id": act.Type, "owner_id": pl.activities.Owner,
	}
	r := mapping.Request{Operation: freshmarketer.OpCreateActivity, Method: http.MethodPost, Path: "/sales_activities", Body: map[string]any{"sales_activity": body}}
	if pl.kinds == nil || !pl.kinds.listed() {
		r.Note = "type and owner go out as their ids; the notes end with a marker by which the activity is found again"
	} else {
		typeID, ownerID, missing := pl.kinds.find(act.Type)
		if missing == "" {
			body["sales_activity_type_id"], body["owner_id"] = typeID, ownerID
		} else {
			p.note = "it waits until the account has that: " + missing
		}
		if position := p.calls[0].position; position < afterAll {
			body["notes"] = withMarker(act.Notes, markerOf(user, position))
		} else {
			r.Note = "the notes end with a marker by which the activity is found again"
		}
	}
	p.requests = append(p.requests, r)
}

// plannedEvent are the requests of performEvent.
func (pl *planner) plannedEvent(ctx context.Context, p *plan, act mapping.Activity, contact string) error {
	known, addressed := mapping.Attributes{}, false
	if pl.events != nil {
		var err error
		if known, _, err = pl.events.known(ctx); err != nil {
			return err
		}
		_, addressed = pl.events.address(contact)
	}
	fields, leftOut, _ := known.Fit(act.Name, act.Properties)
	p.calls[0].outcome.LeftOut = leftOut
	if !addressed {
		p.requests = append(p.requests, reading(contact))
	}
	p.requests = append(p.requests, mapping.Request{
		Operation: freshmarketer.OpSendEvent, Method: http.MethodPost, Path: freshmarketer.EventsPath, Body: fields,
		Note: "event " + act.Name + ", by the contact's address; undocumented; attributes keep the type of their first value",
	})
	return nil
}
